//! Which server serves a slot, as the cluster has it.
//!
//! Several servers are asked at once, and for each slot the one with the newest *configuration
//! epoch* is believed: it grows with each failover, and a server that was cut off still names the
//! primary of an older one. Whatever they say, the server itself is asked for its role afterwards.
//!
//! A slot of which another server has taken keys already is served by nobody. The server that gives it
//! away refuses calls by itself, but its replica, if it takes its place meanwhile, does not know
//! that the slot was moving and would serve what is left of it.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::Client;
use redis::ConnectionAddr;
use redis::ConnectionInfo;
use redis::RedisError;
use redis::Value;
use tokio::sync::Mutex;
use tokio::sync::watch;

use crate::store::redis::address;
use crate::store::redis::address::moved;
use crate::store::redis::failure::misconfigured;
use crate::store::redis::failure::unfit;

use super::asking;

/// How long one server may take to be connected to, and to answer.
const WITHIN: Duration = Duration::from_millis(1500);

/// How much longer than the first the others may take.
const REST_WITHIN: Duration = Duration::from_millis(250);

/// Most servers that are asked beside those that the URL names, primaries first.
const LEARNT_MAX: usize = 32;

/// The servers of a cluster.
pub(crate) struct Primaries {
    named: Vec<ConnectionInfo>,
    /// Counts looks. A caller that waited while one was under way shares its outcome.
    looks: AtomicU64,
    last: Mutex<Last>,
    /// Who serves which slots, told to those who listen at primaries.
    owners: watch::Sender<Owners>,
}

/// First slots of ranges, and host and port of who serves them.
pub(super) type Owners = BTreeMap<u16, (String, u16)>;

#[derive(Default)]
struct Last {
    /// Servers that the URL need not name.
    learnt: Vec<(String, u16)>,
    outcome: Option<Result<Arc<[View]>, RedisError>>,
}

/// What one server says of the cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) ranges: Vec<Range>,
    /// Hosts and ports of all servers that serve a slot, primaries first.
    servers: Vec<(String, u16)>,
    /// Slots of which this server has some keys, and which another one serves.
    pub(super) taken: Vec<u16>,
}

/// Slots and who serves them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) epoch: u64,
    /// How many replicas the primary has.
    pub(super) replicas: usize,
}

impl Primaries {
    /// The cluster of which these servers are part.
    pub(super) fn new(named: Vec<ConnectionInfo>) -> Self {
        Self {
            named,
            looks: AtomicU64::new(0),
            last: Mutex::default(),
            owners: watch::Sender::default(),
        }
    }

    /// The server that serves a slot now, to be asked for its role.
    ///
    /// # Errors
    ///
    /// If no server answers in time, or none serves the slot.
    pub(crate) async fn of_slot(&self, slot: u16) -> Result<Client, RedisError> {
        let views = self.look().await?;
        if views.iter().any(|view| view.taken.contains(&slot)) {
            let why = "the slot is half moved; wait, or run redis-cli --cluster fix";
            return Err(unfit(why, slot.to_string()));
        }
        match owner(&views, slot) {
            Some(range) => Client::open(self.info(&range.host, range.port)),
            None => Err(unfit("no server of the cluster serves the slot", slot.to_string())),
        }
    }

    /// What those servers say that answer in time.
    ///
    /// # Errors
    ///
    /// If none does.
    pub(super) async fn look(&self) -> Result<Arc<[View]>, RedisError> {
        let looks_before = self.looks.load(Ordering::Relaxed);
        let mut last = self.last.lock().await;
        if self.looks.load(Ordering::Relaxed) != looks_before
            && let Some(outcome) = &last.outcome
        {
            return outcome.clone();
        }
        let outcome = self.ask(&last.learnt).await;
        self.looks.fetch_add(1, Ordering::Relaxed);
        if let Ok(views) = &outcome {
            let mut learnt = HashSet::new();
            let all = views.iter().flat_map(|view| &view.servers);
            let fresh = all.filter(|server| learnt.insert(*server)).take(LEARNT_MAX);
            last.learnt = fresh.cloned().collect();
            let owners = owners(views);
            self.owners.send_if_modified(|known| {
                let has_changed = *known != owners;
                *known = owners;
                has_changed
            });
        }
        last.outcome = Some(outcome.clone());
        outcome
    }

    /// Tells when a slot is served by another server than before.
    pub(super) fn moves(&self) -> watch::Receiver<Owners> {
        self.owners.subscribe()
    }

    async fn ask(&self, learnt: &[(String, u16)]) -> Result<Arc<[View]>, RedisError> {
        let mut servers = self.named.clone();
        for (host, port) in learnt {
            let info = self.info(host, *port);
            if servers.iter().all(|known| known.addr() != info.addr()) {
                servers.push(info);
            }
        }
        let asked = servers.into_iter().enumerate().map(|(n, server)| (n, ask(server)));
        let (mut views, mut failed) = (Vec::new(), None);
        for (_, answer) in asking::soon(asked.collect(), REST_WITHIN).await {
            match answer {
                Ok(view) => views.push(view),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            _ if !views.is_empty() => Ok(views.into()),
            Some(error) if error.to_string().contains("cluster support disabled") => {
                let problem = "the server is not part of a Redis Cluster";
                Err(misconfigured(problem, "use redis:// for it".into()))
            }
            Some(error) => Err(error),
            None => Err(unfit("no server of the cluster answered in time", String::new())),
        }
    }

    /// How to reach another server of the cluster.
    fn info(&self, host: &str, port: u16) -> ConnectionInfo {
        let like = self.named[0].clone();
        let address = moved(like.addr(), host.to_owned(), port);
        address::tuned(like.set_addr(address))
    }
}

impl fmt::Debug for Primaries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Primaries").field("named", &self.named.len()).finish_non_exhaustive()
    }
}

/// Who serves a slot, by the newest of what several servers say.
pub(super) fn owner(views: &[View], slot: u16) -> Option<&Range> {
    let ranges = views.iter().flat_map(|view| &view.ranges);
    let found = ranges.filter(|range| (range.first..=range.last).contains(&slot));
    found.max_by_key(|range| (range.epoch, range.replicas))
}

fn owners(views: &[View]) -> Owners {
    let firsts = views.iter().flat_map(|view| &view.ranges).map(|range| range.first);
    let owners = firsts.filter_map(|first| Some((first, owner(views, first)?)));
    owners.map(|(first, range)| (first, (range.host.clone(), range.port))).collect()
}

async fn ask(server: ConnectionInfo) -> Result<View, RedisError> {
    let asked_host = match server.addr() {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.clone(),
        _ => String::new(),
    };
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(WITHIN))
        .set_response_timeout(Some(WITHIN));
    let client = Client::open(server)?;
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let mut both = redis::pipe();
    // Only the first names servers as clients are to call them; only the second tells the epochs.
    both.cmd("CLUSTER").arg("SLOTS").cmd("CLUSTER").arg("NODES");
    let (slots, nodes): (Value, String) = both.query_async(&mut connection).await?;
    let mut view = view(&slots, &epochs(&nodes), &asked_host);
    for slot in importing(&nodes) {
        let mut count = redis::cmd("CLUSTER");
        count.arg("COUNTKEYSINSLOT").arg(slot);
        if count.query_async::<u64>(&mut connection).await? > 0 {
            view.taken.push(slot);
        }
    }
    Ok(view)
}

/// The slots that the server which says so takes from others.
fn importing(nodes: &str) -> Vec<u16> {
    let own = nodes.lines().find(|line| line.contains("myself")).unwrap_or_default();
    let fields = own.split(' ').filter_map(|field| field.strip_prefix('[')?.split_once("-<-"));
    fields.filter_map(|(slot, _)| slot.parse().ok()).collect()
}

/// Configuration epoch by the id of a server.
fn epochs(nodes: &str) -> HashMap<String, u64> {
    let lines = nodes.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let id = fields.next()?;
        Some((id.to_owned(), fields.nth(5)?.parse().ok()?))
    });
    lines.collect()
}

fn view(slots: &Value, epochs: &HashMap<String, u64>, asked_host: &str) -> View {
    let (mut view, mut primaries) = (View::default(), Vec::new());
    let Value::Array(entries) = slots else { return view };
    for entry in entries {
        let Value::Array(entry) = entry else { continue };
        let [Value::Int(first), Value::Int(last), servers @ ..] = &entry[..] else { continue };
        let servers: Vec<_> = servers.iter().filter_map(|told| server(told, asked_host)).collect();
        let (Ok(first), Ok(last)) = (u16::try_from(*first), u16::try_from(*last)) else { continue };
        let Some((host, port, id)) = servers.first().cloned() else { continue };
        let epoch = epochs.get(&id).copied().unwrap_or(0);
        let replicas = servers.len() - 1;
        view.ranges.push(Range { first, last, host, port, epoch, replicas });
        let mut servers = servers.into_iter().map(|(host, port, _)| (host, port));
        primaries.extend(servers.next());
        view.servers.extend(servers);
    }
    view.servers.splice(0..0, primaries);
    view
}

/// Host, port and id of a server. One that does not know its own name is where it was asked.
fn server(told: &Value, asked_host: &str) -> Option<(String, u16, String)> {
    let Value::Array(told) = told else { return None };
    let host = match told.first()? {
        Value::BulkString(host) => String::from_utf8_lossy(host).into_owned(),
        _ => String::new(),
    };
    let host = if matches!(host.as_str(), "" | "?") { asked_host.to_owned() } else { host };
    let Value::Int(port) = told.get(1)? else { return None };
    let Value::BulkString(id) = told.get(2)? else { return None };
    Some((host, u16::try_from(*port).ok()?, String::from_utf8_lossy(id).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u16, last: u16, port: u16, epoch: u64) -> Range {
        Range { first, last, host: "h".into(), port, epoch, replicas: 0 }
    }

    #[test]
    fn the_newest_configuration_is_believed() {
        let view = |ranges| View { ranges, ..View::default() };
        let old = view(vec![range(0, 99, 1, 3), range(100, 199, 2, 9)]);
        let new = view(vec![range(0, 49, 3, 4), range(50, 99, 1, 3)]);
        let views = [old, new];

        let port = |slot| owner(&views, slot).map(|range| range.port);
        assert_eq!(port(7), Some(3));
        assert_eq!(port(70), Some(1));
        assert_eq!(port(150), Some(2));
        assert_eq!(port(200), None);
    }

    #[test]
    fn slots_that_a_server_takes_are_named_by_itself() {
        let nodes = "aa 10.0.0.1:7@1 master - 0 0 12 connected 0-5 [5->-cc]\n\
                     cc :9@1 myself,master - 0 0 4 connected 6-9 [5-<-aa] [7->-aa] [4-<-aa]\n";

        assert_eq!(importing(nodes), [5, 4]);
        assert!(importing("").is_empty());
    }

    #[test]
    fn what_a_server_says_is_read() {
        let text = |text: &str| Value::BulkString(text.into());
        let one =
            |host: Value, port, id: &str| Value::Array(vec![host, Value::Int(port), text(id)]);
        let slots = Value::Array(vec![
            Value::Array(vec![
                Value::Int(0),
                Value::Int(5),
                one(text("10.0.0.1"), 7, "aa"),
                one(text("10.0.0.2"), 8, "bb"),
            ]),
            Value::Array(vec![Value::Int(6), Value::Int(9), one(Value::Nil, 9, "cc")]),
        ]);
        let nodes = "aa 10.0.0.1:7@1 master - 0 0 12 connected 0-5\n\
                     cc :9@1 myself,master - 0 0 4 connected 6-9\n";

        let view = view(&slots, &epochs(nodes), "asked");

        let first = Range { host: "10.0.0.1".into(), replicas: 1, ..range(0, 5, 7, 12) };
        let second = Range { host: "asked".into(), ..range(6, 9, 9, 4) };
        assert_eq!(view.ranges, [first, second]);
        let ports: Vec<_> = view.servers.iter().map(|(_, port)| *port).collect();
        assert_eq!(ports, [7, 9, 8], "primaries first");
    }
}
