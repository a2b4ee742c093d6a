//! The store of a cluster, and the server that keeps it.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;

use mysql_async::Conn;
use mysql_async::Opts;
use mysql_async::prelude::Queryable;

use crate::Failure;
use crate::mariadb_server::MariadbServer;
use crate::redis_sentinel::Watched;
use crate::redis_server::RedisServer;

/// Kinds of stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Redis,
    Mariadb,
    Sqlite,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Redis, Self::Mariadb, Self::Sqlite];
}

impl Kind {
    /// The kind of the store at a URL.
    pub(crate) fn of(url: &str) -> Self {
        match url.split([':', '+']).next() {
            Some("sqlite") => Self::Sqlite,
            Some("mysql" | "mariadb") => Self::Mariadb,
            _ => Self::Redis,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Redis => "redis",
            Self::Mariadb => "mariadb",
            Self::Sqlite => "sqlite",
        })
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.to_string() == text);
        found.ok_or_else(|| format!("{text} is none of redis, mariadb, sqlite"))
    }
}

/// What a scenario needs of its store beside a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Its clock can be moved.
    pub(crate) clock: bool,
    /// It has a replica that takes over.
    pub(crate) replica: bool,
}

/// The store of a cluster.
#[derive(Debug)]
pub(crate) enum Place {
    Redis(RedisServer),
    /// A primary with its replica and those who watch them.
    Watched(Watched),
    Mariadb(MariadbServer),
    /// A file.
    Sqlite(PathBuf),
    /// A store of somebody else, whose server is left alone.
    Foreign(String),
}

impl Place {
    /// Starts a server, or names a file in `dir`.
    ///
    /// Redis syncs each write: with less a killed one may lose what it acknowledged.
    ///
    /// # Errors
    ///
    /// If the library that moves the clock of a server cannot be built.
    pub(crate) fn start(kind: Kind, needs: Needs, dir: &Path) -> Result<Self, Failure> {
        let durable = ["--appendonly", "yes", "--appendfsync", "always"];
        Ok(match kind {
            Kind::Redis if needs.replica => Self::Watched(Watched::start(&durable)),
            Kind::Redis if needs.clock => Self::Redis(RedisServer::start_with_clock(&durable)),
            Kind::Redis => Self::Redis(RedisServer::start(&durable)),
            Kind::Mariadb if needs.clock => Self::Mariadb(MariadbServer::start_with(clock(dir)?)),
            Kind::Mariadb => Self::Mariadb(MariadbServer::start(&[])),
            Kind::Sqlite => Self::Sqlite(dir.join("tasks.db")),
        })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Redis(server) => server.url(),
            Self::Watched(watched) => watched.url(),
            Self::Mariadb(server) => server.url(),
            Self::Sqlite(path) => format!("sqlite:{}", path.display()),
            Self::Foreign(url) => url.clone(),
        }
    }

    /// Host and port that a proxy may stand before, if there are such.
    ///
    /// Servers that are found by others, and those that must be who they say, cannot be behind one.
    pub(crate) fn address(&self) -> Option<String> {
        match self {
            Self::Redis(server) => Some(format!("127.0.0.1:{}", server.port())),
            Self::Mariadb(server) => Some(format!("127.0.0.1:{}", server.port())),
            Self::Watched(_) | Self::Sqlite(_) => None,
            Self::Foreign(url) => {
                let (scheme, rest) = url.split_once("://")?;
                let authority = rest.split(['/', '?']).next()?;
                let address = authority.rsplit('@').next()?;
                let is_plain = matches!(scheme, "redis" | "valkey" | "mysql" | "mariadb");
                let has_port = address.rsplit_once(':')?.1.parse::<u16>().is_ok();
                (is_plain && has_port && !address.contains(',')).then(|| address.to_owned())
            }
        }
    }

    /// Where it is behind a proxy at this port of the loopback.
    pub(crate) fn url_behind(&self, port: u16) -> String {
        let own = self.address().unwrap_or_default();
        self.url().replacen(&own, &format!("127.0.0.1:{port}"), 1)
    }

    /// What must have happened to a write before it is acknowledged.
    pub(crate) fn durability(&self) -> &'static str {
        match self {
            Self::Watched(_) => "replicated:1",
            _ => "memory",
        }
    }

    /// Process of the server, to be stopped and continued.
    pub(crate) fn pid(&self) -> Option<i32> {
        match self {
            Self::Redis(server) => Some(server.pid()),
            Self::Mariadb(server) => server.pid().parse().ok(),
            Self::Watched(_) | Self::Sqlite(_) | Self::Foreign(_) => None,
        }
    }

    /// What the store holds beside its settings; nothing, when all tasks were removed.
    pub(crate) async fn leftovers(&mut self) -> Result<Vec<String>, Failure> {
        match self {
            // Nobody but its owner may look into it.
            Self::Foreign(_) => Ok(Vec::new()),
            Self::Redis(server) => Ok(keys(server)),
            Self::Watched(watched) => Ok(keys(watched.primary())),
            Self::Mariadb(server) => {
                let mut conn = Conn::new(Opts::from_url(&server.url())?).await?;
                let mut left = Vec::new();
                for table in TABLES {
                    let rows: Option<u64> =
                        conn.query_first(format!("SELECT count(*) FROM `{table}`")).await?;
                    left.extend(
                        rows.filter(|rows| *rows > 0).map(|rows| format!("{rows} of {table}")),
                    );
                }
                Ok(left)
            }
            Self::Sqlite(path) => {
                let file = rusqlite::Connection::open(path)?;
                let mut left = Vec::new();
                for table in TABLES {
                    let count = format!("SELECT count(*) FROM \"{table}\"");
                    let rows: i64 = file.query_row(&count, [], |row| row.get(0))?;
                    left.extend((rows > 0).then(|| format!("{rows} of {table}")));
                }
                Ok(left)
            }
        }
    }
}

/// Tables that are empty when there are no tasks.
const TABLES: [&str; 4] = ["task", "unique_key", "lease", "stop"];

/// Keys that stay when there are no tasks; what a dead process waited for goes a minute after it.
const STAY: [&str; 9] = [
    "queues",
    "schema",
    "leader",
    "nodes",
    "beats",
    "ended_claims",
    "mark",
    "wants",
    "waiting:default",
];

fn keys(server: &RedisServer) -> Vec<String> {
    let answer = server.tell("KEYS *");
    let names = answer.lines().filter_map(|line| line.strip_prefix("{ts:default:0}:"));
    names.filter(|name| !STAY.contains(name)).map(str::to_owned).collect()
}

/// The environment of processes whose wall clock follows a file `shift` in this directory.
pub(crate) fn clock(dir: &Path) -> Result<Vec<(String, String)>, Failure> {
    let (library, shift) = (dir.join("clock.so"), dir.join("shift"));
    std::fs::write(&shift, 0_i64.to_ne_bytes())?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/clock_shift.c");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-o"])
        .args([&library, &source])
        .status()?;
    if !built.success() {
        return Err("cc could not build the library that moves clocks".into());
    }
    let variable = |name: &str, path: &Path| (name.to_owned(), path.display().to_string());
    Ok(vec![variable("LD_PRELOAD", &library), variable("CLOCK_SHIFT_FILE", &shift)])
}
