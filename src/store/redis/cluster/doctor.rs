//! Whether a cluster is fit for tasks.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::time::Duration;

use redis::Value;

use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::domain::durability::Durability;
use crate::store::Error;
use crate::store::Finding;
use crate::store::Result;
use crate::store::Severity;
use crate::store::redis::RedisStore;
use crate::store::redis::check;
use crate::store::redis::check::Wishes;
use crate::store::redis::check::fine;
use crate::store::redis::failure::explain;
use crate::store::redis::failure::read;

use super::ClusterStore;
use super::primaries::Range;
use super::primaries::View;
use super::primaries::owner;
use super::slot::slot_of;

/// From when a primary is known to be gone until its replica has taken its place: it waits for half a
/// second and a random half, longer if another replica has more, and asks the other primaries.
const ELECTION: Duration = Duration::from_secs(2);

/// Fewest primaries of which one may be away while the others can agree.
const PRIMARIES_MIN: usize = 3;

/// From here a difference between the clocks of primaries is worth a word.
const SKEW_MAX: Duration = Duration::from_millis(100);

/// What a primary tells of itself.
struct Told {
    findings: Vec<Finding>,
    settings: HashMap<String, String>,
    /// Its `CLUSTER INFO`.
    cluster: String,
    /// How far its clock is ahead of this machine's, and how unsure that is: µs.
    skew_us: i64,
    unsure: Duration,
}

impl ClusterStore {
    /// Looks over the cluster, the primaries that serve the namespace, and its partitions.
    pub(super) async fn look_over(&self, lease: Duration) -> Result<Vec<Finding>> {
        let views = self.place.primaries.look().await.map_err(|error| explain("check", error))?;
        let homes = self.homes(&views);
        let durability = self.options.durability;
        let wishes = Wishes { durability, fails_over: true, clustered: true, lease };
        let mut findings = vec![self.spread(&homes, &views)];
        findings.push(replicas(&homes, durability));
        findings.extend(self.half_moved(&views));

        let mut told = BTreeMap::new();
        for (place, (_, parts)) in &homes {
            match ask(&self.parts[parts[0]], wishes).await {
                Ok(answer) => drop(told.insert(place.clone(), answer)),
                Err(error) if error.is_transient() => findings.push(away(place, parts, &error)),
                Err(error) => return Err(error),
            }
        }
        if let Some(first) = told.values().next() {
            findings.extend([whole(&first.cluster), coverage(&first.settings)]);
        }
        findings.push(failover(&told, lease));
        findings.push(clocks(&told));
        findings.extend(together(told));
        findings.extend(self.partitions().await);
        Ok(findings)
    }

    /// Each primary that serves a partition, with the partitions.
    fn homes(&self, views: &[View]) -> BTreeMap<String, (Range, Vec<usize>)> {
        let mut homes: BTreeMap<String, (Range, Vec<usize>)> = BTreeMap::new();
        for (number, part) in self.parts.iter().enumerate() {
            if let Some(range) = owner(views, slot_of(&part.prefix)) {
                let place = format!("{}:{}", range.host, range.port);
                homes.entry(place).or_insert_with(|| (range.clone(), Vec::new())).1.push(number);
            }
        }
        homes
    }

    /// How the partitions lie on the primaries.
    fn spread(&self, homes: &BTreeMap<String, (Range, Vec<usize>)>, views: &[View]) -> Finding {
        let mut all: Vec<_> = views
            .iter()
            .flat_map(|view| &view.ranges)
            .map(|range| (&range.host, range.port))
            .collect();
        all.sort();
        all.dedup();
        let counts: Vec<_> = homes.values().map(|(_, parts)| parts.len().to_string()).collect();
        let found = format!(
            "{} on {} of {} primaries: {}",
            self.count(),
            homes.len(),
            all.len(),
            counts.join(", ")
        );
        let (severity, advice) = if all.len() < PRIMARIES_MIN {
            (Severity::Serious, "run at least three primaries: fewer cannot agree on a failover")
        } else if homes.len() < all.len() {
            (
                Severity::Advice,
                "some primaries serve none; move a slot there, or use a namespace with more",
            )
        } else {
            (Severity::Fine, "")
        };
        Finding { severity, topic: "partitions", found, advice: advice.into() }
    }

    /// Partitions whose slot is on its way to another server.
    fn half_moved(&self, views: &[View]) -> Option<Finding> {
        let taken: Vec<u16> = views.iter().flat_map(|view| view.taken.clone()).collect();
        let slots = self.parts.iter().map(|part| slot_of(&part.prefix)).enumerate();
        let moving = slots.filter(|(_, slot)| taken.contains(slot));
        let moving: Vec<_> =
            moving.map(|(number, slot)| format!("{number} (slot {slot})")).collect();
        (!moving.is_empty()).then(|| Finding {
            severity: Severity::Serious,
            topic: "partitions",
            found: format!("half moved and not in use: {}", moving.join(", ")),
            advice: "wait until the move has ended, or complete it with redis-cli --cluster fix"
                .into(),
        })
    }

    /// What is wrong with the keys of each partition that answers.
    async fn partitions(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut is_fine = true;
        for (number, part) in self.parts.iter().enumerate() {
            let Ok(found) = part.look_at_keys().await else { continue };
            for mut finding in found.into_iter().filter(|one| one.severity != Severity::Fine) {
                is_fine = false;
                finding.found = format!("partition {number}: {}", finding.found);
                findings.push(finding);
            }
        }
        if is_fine {
            findings.push(fine("records", "none is damaged"));
        }
        findings
    }
}

impl RedisStore {
    /// Looks at records that cannot be read, and at the key that must not be there.
    async fn look_at_keys(&self) -> Result<Vec<Finding>> {
        let mut findings = vec![check::corrupt(&self.link, &self.key("corrupt")).await?];
        let mut ask = redis::cmd("EXISTS");
        ask.arg(&self.prefix);
        let count: u64 = read("check", self.link.send("check", &ask).await?)?;
        if count > 0 {
            findings.push(Finding {
                severity: Severity::Serious,
                topic: "keys",
                found: format!("somebody made a key named {}", self.prefix),
                advice: format!("delete it before the slot is moved: DEL {}", self.prefix),
            });
        }
        Ok(findings)
    }
}

async fn ask(part: &RedisStore, wishes: Wishes) -> Result<Told> {
    let link = &part.link;
    let findings = check::server(link, &wishes).await?;
    let settings = check::settings(link).await?;
    let mut info = redis::cmd("CLUSTER");
    info.arg("INFO");
    let cluster = match link.send("check", &info).await? {
        Value::BulkString(text) => String::from_utf8_lossy(&text).into_owned(),
        other => read("check", other)?,
    };
    let sent = SystemClock.wall();
    let (seconds, micros): (i64, i64) =
        read("check", link.send("check", &redis::cmd("TIME")).await?)?;
    let unsure = SystemClock.wall().since(sent);
    let skew_us = seconds * 1_000_000 + micros - sent.plus(unsure / 2).as_us();
    Ok(Told { findings, settings, cluster, skew_us, unsure })
}

fn away(place: &str, parts: &[usize], error: &Error) -> Finding {
    let parts: Vec<_> = parts.iter().map(ToString::to_string).collect();
    Finding {
        severity: Severity::Serious,
        topic: "partitions",
        found: format!("{place} does not answer ({error}); it serves {}", parts.join(", ")),
        advice: "start it, or let a replica take its place".into(),
    }
}

fn replicas(homes: &BTreeMap<String, (Range, Vec<usize>)>, durability: Durability) -> Finding {
    let alone = homes.iter().filter(|(_, (range, _))| range.replicas == 0);
    let alone: Vec<_> = alone.map(|(place, _)| place.as_str()).collect();
    let fewest = homes.values().map(|(range, _)| range.replicas).min().unwrap_or(0);
    if !alone.is_empty() {
        return Finding {
            severity: Severity::Serious,
            topic: "replicas",
            found: format!("none of {} can be replaced", alone.join(", ")),
            advice: "give each primary a replica".into(),
        };
    }
    let found = format!("each primary has {fewest} or more to fail over to");
    match durability {
        Durability::Replicated(wanted) if fewest <= usize::from(wanted.get()) => Finding {
            severity: Severity::Advice,
            topic: "replicas",
            found,
            advice: format!(
                "after a failover durability = \"replicated:{wanted}\" acknowledges nothing there until \
                 the old primary is back; add one"
            ),
        },
        _ => fine("replicas", found),
    }
}

/// Whether every slot is served.
fn whole(info: &str) -> Finding {
    let fact = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or("unknown").trim().to_owned()
    };
    let (state, served) = (fact("cluster_state"), fact("cluster_slots_ok"));
    let found = format!("state {state}, {served} of 16384 slots are served");
    if state == "ok" && served == "16384" {
        return fine("cluster", found);
    }
    Finding {
        severity: Severity::Serious,
        topic: "cluster",
        found,
        advice: "look at redis-cli --cluster check, and repair it with redis-cli --cluster fix"
            .into(),
    }
}

fn coverage(settings: &HashMap<String, String>) -> Finding {
    match settings.get("cluster-require-full-coverage").map(String::as_str) {
        Some("yes") => Finding {
            severity: Severity::Advice,
            topic: "coverage",
            found: "cluster-require-full-coverage is yes: if one slot is not served, none is"
                .into(),
            advice: "set it to no on all servers, so that the other partitions go on".into(),
        },
        Some(other) => fine("coverage", format!("cluster-require-full-coverage is {other}")),
        None => fine("coverage", "the servers do not tell cluster-require-full-coverage"),
    }
}

/// Compares the slowest failover with the lease.
fn failover(told: &BTreeMap<String, Told>, lease: Duration) -> Finding {
    let timeouts = told.values().filter_map(|told| {
        let text = told.settings.get("cluster-node-timeout")?;
        Some(Duration::from_millis(text.parse().ok()?))
    });
    match timeouts.max() {
        Some(longest) => {
            check::failover_time(longest + ELECTION, "cluster-node-timeout and an election", lease)
        }
        None => fine("failover", "the servers do not tell cluster-node-timeout"),
    }
}

/// Each partition goes by the clock of its primary.
fn clocks(told: &BTreeMap<String, Told>) -> Finding {
    let (first, last) = (
        told.values().map(|told| told.skew_us).min().unwrap_or(0),
        told.values().map(|told| told.skew_us).max().unwrap_or(0),
    );
    let apart = Duration::from_micros(u64::try_from(last - first).unwrap_or(0));
    let unsure = told.values().map(|told| told.unsure).max().unwrap_or_default();
    let found = format!(
        "the primaries differ by {:.1}ms, give or take {:.1}ms",
        apart.as_secs_f64() * 1e3,
        unsure.as_secs_f64() * 1e3
    );
    if apart <= SKEW_MAX + unsure {
        return fine("clocks", found);
    }
    Finding {
        severity: Severity::Advice,
        topic: "clocks",
        found,
        advice: "let all servers follow a time server: a task runs by the clock of its partition"
            .into(),
    }
}

/// What was found at the primaries; what several have in common once.
fn together(told: BTreeMap<String, Told>) -> Vec<Finding> {
    let count = told.len();
    let mut found: Vec<(Finding, Vec<String>)> = Vec::new();
    for (place, told) in told {
        for finding in told.findings {
            match found.iter_mut().find(|(known, _)| *known == finding) {
                Some((_, places)) => places.push(place.clone()),
                None => found.push((finding, vec![place.clone()])),
            }
        }
    }
    let named = found.into_iter().map(|(mut finding, places)| {
        let whose = if places.len() == count { "all".into() } else { places.join(", ") };
        finding.found = format!("{whose}: {}", finding.found);
        finding
    });
    named.collect()
}
