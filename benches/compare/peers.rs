//! Who is compared, what it needs, and with how many tasks.

/// How a peer comes to the machine.
pub(crate) enum Source {
    /// It is this program.
    Ours,
    /// Packages of Python, into an environment of its own; the version of the first one is told.
    Python(&'static [&'static str]),
    /// Packages of npm, beside its program; the version of the first one is told.
    Npm(&'static [&'static str]),
    /// A crate beside its manifest, which is built; the package whose version is told.
    Cargo(&'static str),
    /// A package of Debian, into the system, and the Ruby that tells its version.
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
    /// How many tasks it drains: fewer than 100,000 where that would take minutes.
    pub(crate) tasks: usize,
}

impl Peer {
    /// Whether it takes part in a measure.
    pub(crate) fn takes(&self, measure: &str) -> bool {
        self.measures.contains(&measure)
    }
}

const ON_REDIS: &[&str] = &["drain", "one", "lag", "cpu"];

/// All, ours first.
pub(crate) const ALL: &[Peer] = &[
    Peer {
        name: "taskshed",
        title: "taskshed",
        source: Source::Ours,
        measures: &["drain", "one", "lag", "cpu", "alone", "mysql", "control"],
        tasks: 100_000,
    },
    Peer {
        name: "taskshed-python",
        title: "TaskShed (Python)",
        source: Source::Python(&["taskshed[redis,mysql]==0.10.0", "pymysql<1.2"]),
        // Its store on MySQL passes lists, which newer drivers refuse.
        measures: &["drain", "one", "lag", "cpu", "alone", "mysql"],
        tasks: 100_000,
    },
    Peer {
        name: "arq",
        title: "arq",
        source: Source::Python(&["arq==0.28.0"]),
        measures: ON_REDIS,
        tasks: 20_000,
    },
    Peer {
        name: "celery",
        title: "Celery",
        source: Source::Python(&["celery[redis]==5.7.0"]),
        measures: ON_REDIS,
        tasks: 10_000,
    },
    Peer {
        name: "bullmq",
        title: "BullMQ",
        source: Source::Npm(&["bullmq@6.7.0", "ioredis@6.0.0"]),
        measures: ON_REDIS,
        tasks: 50_000,
    },
    Peer {
        name: "sidekiq",
        title: "Sidekiq 6",
        source: Source::Ruby("ruby-sidekiq", "require 'sidekiq/version'; puts Sidekiq::VERSION"),
        measures: ON_REDIS,
        tasks: 100_000,
    },
    Peer {
        name: "apalis",
        title: "apalis",
        source: Source::Cargo("apalis-redis"),
        measures: ON_REDIS,
        // Its worker ends with an error when more than 8,000 tasks are due.
        tasks: 7_000,
    },
    Peer {
        name: "oxana",
        title: "Oxana",
        source: Source::Cargo("oxana"),
        measures: ON_REDIS,
        tasks: 30_000,
    },
    Peer {
        name: "apalis-mysql",
        title: "apalis-mysql",
        source: Source::Cargo("apalis-mysql"),
        measures: &["mysql"],
        tasks: 5_000,
    },
    Peer {
        name: "apscheduler",
        title: "APScheduler 3",
        source: Source::Python(&["apscheduler==3.11.3"]),
        measures: &["alone"],
        tasks: 0,
    },
];
