//! Who is compared, what it needs, and with how many tasks.

/// How a peer comes to the machine.
pub(crate) enum Source {
    /// It is this program.
    Ours,
    /// Packages of Python, into an environment of its own; the version of the first one is told.
    Python(&'static [&'static str]),
    /// Packages of npm, beside its program; the version of the first one is told.
    Npm(&'static [&'static str]),
    /// The folder of a crate, which is built; the package whose version is told.
    Cargo(&'static str, &'static str),
    /// A package of Debian, and the Ruby that tells its version.
    Ruby(&'static str, &'static str),
}

/// One of those that are compared.
pub(crate) struct Peer {
    /// The word that selects it, and its folder.
    pub(crate) name: &'static str,
    /// As tables name it.
    pub(crate) title: &'static str,
    pub(crate) source: Source,
    /// The measures that it can take.
    measures: &'static [&'static str],
    /// How many tasks it drains: fewer than 100,000 where that would take more than ten seconds.
    pub(crate) tasks: usize,
    /// First words for its programs.
    pub(crate) words: &'static [&'static str],
    /// A word more for them if all tasks wait before they are run.
    pub(crate) waiting: &'static [&'static str],
}

impl Peer {
    /// Whether it takes part in a measure.
    pub(crate) fn takes(&self, measure: &str) -> bool {
        self.measures.contains(&measure)
    }
}

const ON_REDIS: &[&str] = &["drain", "one", "lag", "half-load", "cpu"];

/// What most have in common.
const BASE: Peer = Peer {
    name: "",
    title: "",
    source: Source::Ours,
    measures: ON_REDIS,
    tasks: 100_000,
    words: &[],
    waiting: &[],
};

/// All, ours first.
pub(crate) const ALL: &[Peer] = &[
    Peer {
        name: "taskshed",
        title: "taskshed",
        measures: &["drain", "one", "lag", "half-load", "cpu", "alone", "mysql", "control"],
        ..BASE
    },
    Peer {
        name: "taskshed-python",
        title: "TaskShed (Python)",
        // Its store on MySQL passes lists, which newer drivers refuse.
        source: Source::Python(&[
            "taskshed[redis,mysql]==0.10.0",
            "redis==8.1.0",
            "pymysql==1.1.3",
        ]),
        measures: &["drain", "one", "lag", "half-load", "cpu", "alone", "mysql"],
        tasks: 30_000,
        ..BASE
    },
    Peer {
        name: "arq",
        title: "arq",
        source: Source::Python(&["arq==0.28.0", "redis[hiredis]==5.3.1"]),
        tasks: 12_000,
        ..BASE
    },
    Peer {
        name: "celery",
        title: "Celery",
        source: Source::Python(&["celery[redis]==5.7.0", "kombu==5.7.0", "redis==8.1.0"]),
        tasks: 6_000,
        ..BASE
    },
    Peer {
        name: "bullmq",
        title: "BullMQ",
        source: Source::Npm(&["bullmq@6.7.0", "ioredis@6.0.0"]),
        ..BASE
    },
    Peer {
        name: "sidekiq",
        title: "Sidekiq",
        source: Source::Ruby("ruby-sidekiq", "require 'sidekiq/version'; puts Sidekiq::VERSION"),
        ..BASE
    },
    Peer {
        name: "apalis",
        title: "apalis, without leases",
        source: Source::Cargo("apalis", "apalis-redis"),
        waiting: &["spread"],
        ..BASE
    },
    Peer {
        name: "apalis-leases",
        title: "apalis, with leases",
        source: Source::Cargo("apalis", "apalis-redis"),
        measures: &["drain", "cpu"],
        tasks: 21_000,
        words: &["leased"],
        waiting: &["spread"],
    },
    Peer {
        name: "oxana",
        title: "Oxana",
        source: Source::Cargo("oxana", "oxana"),
        tasks: 30_000,
        ..BASE
    },
    Peer {
        name: "apalis-mysql",
        title: "apalis-mysql",
        source: Source::Cargo("apalis-mysql", "apalis-mysql"),
        measures: &["mysql"],
        tasks: 5_000,
        ..BASE
    },
    Peer {
        name: "huey",
        title: "Huey",
        source: Source::Python(&["huey==3.5.4", "peewee==4.5.3", "pymysql==1.2.4"]),
        measures: &["mysql"],
        tasks: 4_000,
        ..BASE
    },
    Peer {
        name: "apscheduler",
        title: "APScheduler",
        source: Source::Python(&["apscheduler==3.11.3"]),
        measures: &["alone"],
        ..BASE
    },
];
