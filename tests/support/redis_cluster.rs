//! A private Redis Cluster: three primaries, each with a replica if a test wants to lose one.

use std::time::Duration;

use crate::redis_server::RedisServer;
use crate::redis_server::free_port;

/// Primaries of a cluster.
const PRIMARIES: usize = 3;

const SLOTS: usize = 16_384;

/// Servers that end with this value; the first three were made primaries.
#[derive(Debug)]
pub(crate) struct RedisCluster {
    servers: Vec<RedisServer>,
}

/// One line of what a server knows of the others.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) id: String,
    pub(crate) port: u16,
    pub(crate) flags: String,
    /// The id of its primary, or a dash.
    pub(crate) follows: String,
    ranges: Vec<(u16, u16)>,
}

impl RedisCluster {
    /// Starts three primaries that share the slots, each with so many replicas. A server counts as
    /// gone after a second.
    pub(crate) fn start(replicas: usize, options: &[&str]) -> Self {
        Self::of(PRIMARIES, replicas, options)
    }

    /// Starts so many primaries.
    pub(crate) fn of(primaries: usize, replicas: usize, options: &[&str]) -> Self {
        let count = primaries * (1 + replicas);
        let servers: Vec<_> = (0..count)
            .map(|_| {
                let bus = free_port().to_string();
                let fixed = [
                    "--cluster-enabled",
                    "yes",
                    "--cluster-config-file",
                    "nodes",
                    "--cluster-node-timeout",
                    "1000",
                    "--repl-diskless-sync-delay",
                    "0",
                    "--cluster-port",
                    &bus,
                ];
                RedisServer::start(&[&fixed[..], options].concat())
            })
            .collect();
        for (n, server) in servers.iter().enumerate() {
            server.tell(&format!("CLUSTER SET-CONFIG-EPOCH {}", n + 1));
        }
        for (n, server) in servers[..primaries].iter().enumerate() {
            let (first, next) = (n * SLOTS / primaries, (n + 1) * SLOTS / primaries);
            server.tell(&format!("CLUSTER ADDSLOTSRANGE {first} {}", next - 1));
        }
        let new = Self { servers };
        for server in &new.servers[1..] {
            let bus = server.option("--cluster-port");
            let meet = format!("CLUSTER MEET 127.0.0.1 {} {bus}", server.port());
            new.servers[0].tell(&meet);
        }
        let all_known = |server: &RedisServer| {
            let known = known(server);
            known.len() == count && known.iter().all(|one| !one.flags.contains("handshake"))
        };
        wait_until("all know each other", || new.servers.iter().all(all_known));
        for (n, replica) in new.servers[primaries..].iter().enumerate() {
            let follows = new.id(n % primaries);
            let is_told =
                || replica.tell(&format!("CLUSTER REPLICATE {follows}")).starts_with("+OK");
            wait_until("a replica is told to follow", is_told);
        }
        new.wait_until_whole();
        new
    }

    /// Some of its servers, and how many partitions the namespace has.
    pub(crate) fn url(&self, partitions: usize) -> String {
        let places: Vec<_> =
            self.servers.iter().map(|server| format!("127.0.0.1:{}", server.port())).collect();
        format!("redis+cluster://{}?partitions={partitions}", places.join(","))
    }

    /// What a server answers; nothing if it does not.
    pub(crate) fn tell(&self, number: usize, words: &str) -> String {
        self.servers[number].tell(words)
    }

    /// Where a server listens.
    pub(crate) fn port(&self, number: usize) -> u16 {
        self.servers[number].port()
    }

    /// One of its servers.
    pub(crate) fn server(&mut self, number: usize) -> &mut RedisServer {
        &mut self.servers[number]
    }

    /// The number of the server that serves a slot.
    pub(crate) fn owner(&self, slot: u16) -> usize {
        self.voted(slot).expect("most servers agree on who serves the slot")
    }

    /// The number of the server that serves a slot, as most of them have it.
    fn voted(&self, slot: u16) -> Option<usize> {
        let mut votes = vec![0; self.servers.len()];
        for server in &self.servers {
            let serves = |one: &Known| {
                one.flags.contains("master")
                    && !one.flags.contains("fail")
                    && one.ranges.iter().any(|(first, last)| (*first..=*last).contains(&slot))
            };
            if let Some(owner) = known(server).into_iter().find(serves)
                && let Some(number) = self.servers.iter().position(|s| s.port() == owner.port)
            {
                votes[number] += 1;
            }
        }
        votes.iter().position(|count| *count > votes.len() / 2)
    }

    /// The slot of a key, as the servers have it.
    pub(crate) fn slot(&self, key: &str) -> u16 {
        let answers =
            self.servers.iter().map(|server| server.tell(&format!("CLUSTER KEYSLOT {key}")));
        let numbers = answers.filter_map(|answer| {
            answer.lines().next()?.strip_prefix(':').and_then(|number| number.parse().ok())
        });
        numbers.into_iter().next().expect("a server answers")
    }

    /// How a server is called by the others.
    pub(crate) fn id(&self, number: usize) -> String {
        let answer = self.servers[number].tell("CLUSTER MYID");
        answer.lines().nth(1).expect("a server knows its name").to_owned()
    }

    /// Breaks the connection of the replica of a slot, which cannot make it again before it is the
    /// primary. Answers the number of its primary.
    pub(crate) fn cut_off(&self, slot: u16) -> usize {
        let owner = self.owner(slot);
        let id = self.id(owner);
        let known = known(&self.servers[owner]);
        let replica = known.iter().find(|one| one.follows == id && !one.flags.contains("fail"));
        let port = replica.expect("there is a replica").port;
        let replica = self.servers.iter().find(|server| server.port() == port);
        let replica = replica.expect("it is one of ours");
        for words in ["CONFIG SET masteruser nobody", "CONFIG SET masterauth wrong"] {
            assert!(replica.tell(words).starts_with("+OK"), "it is there");
        }
        self.servers[owner].tell("CLIENT KILL TYPE replica");
        owner
    }

    /// Kills a primary and waits until its replica serves a slot of it; answers that one's number.
    pub(crate) fn fail_over(&mut self, slot: u16) -> usize {
        let old = self.owner(slot);
        self.servers[old].kill();
        wait_until("another one serves its slots", || {
            let owner = self.voted(slot).filter(|owner| *owner != old);
            owner.is_some_and(|owner| self.servers[owner].tell("ROLE").contains("master"))
        });
        let new = self.owner(slot);
        for words in ["CONFIG SET masteruser \"\"", "CONFIG SET masterauth \"\""] {
            self.servers[new].tell(words);
        }
        new
    }

    /// Starts a killed primary again, whose slots another one serves by now, and waits until it is that
    /// one's replica.
    pub(crate) fn revive(&mut self, number: usize) {
        self.servers[number].restart();
        wait_until("it is a replica", || {
            self.servers[number].tell("ROLE").contains("slave")
                && self.servers.iter().all(|server| {
                    let known = known(server);
                    known.len() == self.servers.len()
                        && known.iter().all(|one| !one.flags.contains("fail"))
                })
        });
        self.wait_until_whole();
    }

    /// Waits until all slots are served and all replicas have caught up.
    pub(crate) fn wait_until_whole(&self) {
        wait_until("all slots are served and copied", || {
            self.servers.iter().all(|server| {
                let replication = server.tell("INFO replication");
                let has_caught_up = replication.contains("role:master")
                    || replication.contains("master_link_status:up");
                let known = known(server);
                let is_told = |one: &Known| one.flags.contains("slave") || !one.ranges.is_empty();
                server.tell("CLUSTER INFO").contains("cluster_state:ok")
                    && has_caught_up
                    && known.iter().all(is_told)
            })
        });
    }

    /// Moves a slot as operators do, but one key at a time; `between` is called before each key and
    /// before the end.
    pub(crate) fn move_slot(&self, slot: u16, to: usize, between: impl FnMut(usize)) {
        let from = self.owner(slot);
        self.move_keys(slot, to, usize::MAX, between);
        let moved = format!("CLUSTER SETSLOT {slot} NODE {}", self.id(to));
        for server in [to, from] {
            self.done(server, &moved);
        }
    }

    /// Begins to move a slot, and moves so many keys.
    pub(crate) fn move_keys(
        &self,
        slot: u16,
        to: usize,
        count: usize,
        mut between: impl FnMut(usize),
    ) {
        let from = self.owner(slot);
        self.done(to, &format!("CLUSTER SETSLOT {slot} IMPORTING {}", self.id(from)));
        self.done(from, &format!("CLUSTER SETSLOT {slot} MIGRATING {}", self.id(to)));
        for moved in 0..=count {
            between(moved);
            let answer = self.tell(from, &format!("CLUSTER GETKEYSINSLOT {slot} 1"));
            let key = answer.lines().nth(2).filter(|line| line.starts_with('{'));
            let Some(key) = key.filter(|_| moved < count) else { return };
            self.done(from, &format!("MIGRATE 127.0.0.1 {} \"{key}\" 0 5000", self.port(to)));
        }
    }

    fn done(&self, server: usize, words: &str) {
        let answer = self.tell(server, words);
        assert!(answer.starts_with("+OK"), "{words}: {answer}");
    }
}

/// What a server knows of the cluster; nothing if it does not answer.
pub(crate) fn known(server: &RedisServer) -> Vec<Known> {
    let answer = server.tell("CLUSTER NODES");
    let lines = answer.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let (place, _) = fields.get(1)?.split_once('@')?;
        let ranges = fields[8..].iter().filter(|text| !text.starts_with('[')).filter_map(|text| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            Some((first.parse().ok()?, last.parse().ok()?))
        });
        Some(Known {
            id: fields[0].into(),
            port: place.rsplit(':').next()?.parse().ok()?,
            flags: fields[2].into(),
            follows: fields[3].into(),
            ranges: ranges.collect(),
        })
    });
    lines.collect()
}

#[expect(clippy::disallowed_methods, reason = "waits for processes, which have no clock of ours")]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..3000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("within 30 s: {what}");
}
