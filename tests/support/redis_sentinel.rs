//! A primary, its replica, and three sentinels that watch them.

use std::fmt::Display;
use std::net::TcpStream;
use std::process::Child;
use std::time::Duration;

use tempfile::TempDir;

use crate::redis_server::RedisServer;
use crate::redis_server::free_port;
use crate::redis_server::guarded;
use crate::redis_server::launch;
use crate::redis_server::tell;

/// Name under which the primary is watched.
const NAME: &str = "shed";

/// A pair of servers of which one is the primary, and who watches them.
#[derive(Debug)]
pub(crate) struct Watched {
    servers: Vec<RedisServer>,
    sentinels: Vec<Sentinel>,
}

/// A sentinel that ends with this value.
#[derive(Debug)]
pub(crate) struct Sentinel {
    guard: Child,
    port: u16,
    _dir: TempDir,
}

impl Watched {
    /// Starts all five, each with `options` if it is a server, and waits until they know each other.
    ///
    /// A primary counts as gone after a second.
    pub(crate) fn start(options: &[&str]) -> Self {
        let options = [&["--repl-diskless-sync-delay", "0"], options].concat();
        let primary = RedisServer::start(&options);
        let mut replica = RedisServer::start(&options);
        replica.follow(primary.port());
        let watched = primary.port();
        let servers = vec![primary, replica];
        let new = Self { servers, sentinels: Vec::new() };
        new.wait_for("the replica follows", || is_copied(watched));

        let sentinels = (0..3).map(|_| Sentinel::watch(watched, &[])).collect();
        let new = Self { sentinels, ..new };
        let all_known = |sentinel: &Sentinel| {
            let told = sentinel.told();
            ["num-slaves 1", "num-other-sentinels 2", "flags master"].iter().all(|sign| {
                let (fact, value) = sign.split_once(' ').expect("it has two words");
                told.windows(2).any(|pair| pair[0] == fact && pair[1] == value)
            })
        };
        new.wait_for("all know each other", || new.sentinels.iter().all(all_known));
        new
    }

    /// Where the sentinels are, and what they watch.
    pub(crate) fn url(&self) -> String {
        let places: Vec<_> =
            self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
        format!("redis+sentinel://{}/{NAME}", places.join(","))
    }

    /// Where the sentinels say that the primary is.
    pub(crate) fn primary_port(&self) -> u16 {
        let ports = self.sentinels.iter().map(|sentinel| {
            let told = sentinel.told();
            let pair = told.windows(2).find(|pair| pair[0] == "port");
            pair.and_then(|pair| pair[1].parse::<u16>().ok()).expect("a sentinel knows the port")
        });
        let ports: Vec<_> = ports.collect();
        if ports.iter().all(|port| *port == ports[0]) { ports[0] } else { 0 }
    }

    pub(crate) fn primary(&mut self) -> &mut RedisServer {
        let port = self.primary_port();
        self.servers.iter_mut().find(|server| server.port() == port).expect("it is one of ours")
    }

    pub(crate) fn replica(&mut self) -> &mut RedisServer {
        let port = self.primary_port();
        self.servers.iter_mut().find(|server| server.port() != port).expect("there are two")
    }

    /// Breaks the connection of the replica, which cannot make it again before it is the primary.
    pub(crate) fn cut_off(&mut self) {
        for words in ["CONFIG SET masteruser nobody", "CONFIG SET masterauth wrong"] {
            assert!(self.replica().tell(words).starts_with("+OK"), "it is there");
        }
        self.primary().tell("CLIENT KILL TYPE replica");
    }

    /// Kills the primary, waits until its replica has taken its place, and makes it a replica.
    pub(crate) fn fail_over(&mut self) {
        let old = self.primary_port();
        self.primary().kill();
        self.wait_for("the sentinels agree on another", || {
            ![0, old].contains(&self.primary_port())
        });
        for words in ["CONFIG SET masteruser \"\"", "CONFIG SET masterauth \"\""] {
            self.primary().tell(words);
        }
        let new = self.primary_port();
        self.replica().follow(new);
        // A busy machine may look like a dead primary; then there is one more failover.
        self.wait_for("there is a replica again, and all sentinels know it", || {
            let port = self.primary_port();
            let sees = |sentinel: &Sentinel| sentinel.sees_replica_of(port);
            port != 0 && is_copied(port) && self.sentinels.iter().all(sees)
        });
    }

    fn wait_for(&self, what: &str, is_so: impl Fn() -> bool) {
        let told = || {
            let told = self.sentinels.iter().map(|sentinel| (sentinel.told(), sentinel.replicas()));
            format!("{:#?}", told.collect::<Vec<_>>())
        };
        wait_until(what, is_so, told);
    }
}

impl Sentinel {
    /// Starts one that watches the server at a port of the loopback, with more lines in its file.
    pub(crate) fn watch(primary_port: u16, lines: &[&str]) -> Self {
        let dir = TempDir::new().expect("a directory for the sentinel can be made");
        let port = free_port();
        let file = dir.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nlogfile log\n\
             sentinel monitor {NAME} 127.0.0.1 {primary_port} 2\n\
             sentinel down-after-milliseconds {NAME} 1000\n\
             sentinel failover-timeout {NAME} 3000\n{}\n",
            dir.path().display(),
            lines.join("\n")
        );
        std::fs::write(&file, text).expect("the directory can be written");
        let mut command = guarded();
        command.arg("redis-server").arg(&file).arg("--sentinel");
        let new = Self { guard: launch(command), port, _dir: dir };
        wait_until(
            "the sentinel answers",
            || TcpStream::connect(("127.0.0.1", port)).is_ok(),
            || file.display(),
        );
        new
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Everything it says of the primary: names and values in turn.
    fn told(&self) -> Vec<String> {
        facts(&tell(self.port, &format!("SENTINEL MASTER {NAME}")))
    }

    /// Everything it says of the replica: names and values in turn.
    fn replicas(&self) -> Vec<String> {
        facts(&tell(self.port, &format!("SENTINEL REPLICAS {NAME}")))
    }

    /// Whether it could choose the replica of the server at `port`.
    fn sees_replica_of(&self, port: u16) -> bool {
        let told = self.replicas();
        let is = |fact: &str, value: &str| {
            told.windows(2).any(|pair| pair[0] == fact && pair[1] == value)
        };
        is("flags", "slave")
            && is("master-link-status", "ok")
            && is("master-port", &port.to_string())
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ended = self.guard.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "waits for processes, which have no clock of ours")]
fn wait_until<T: Display>(what: &str, is_so: impl Fn() -> bool, told: impl Fn() -> T) {
    for _ in 0..3000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("within 30 s: {what}; {}", told());
}

/// Whether the server at a port of the loopback has a replica that has caught up with it.
fn is_copied(port: u16) -> bool {
    tell(port, "INFO replication").contains("state=online")
}

/// The texts of an answer.
fn facts(answer: &str) -> Vec<String> {
    let lines = answer.lines().filter(|line| !line.starts_with(['*', '$', '+']));
    lines.map(str::to_owned).collect()
}
