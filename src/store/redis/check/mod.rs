//! Whether a server is fit for tasks.

mod info;
mod sentinel;
mod server;

use std::time::Duration;

use crate::domain::durability::Durability;
use crate::domain::lease::trusted_for;
use crate::domain::time::format_duration;
use crate::store::Error;
use crate::store::Finding;
use crate::store::Result;
use crate::store::Severity;

pub(super) use info::settings;

use super::failure::read;
use super::link::Link;
use info::info;
use server::major;

/// Oldest version that has script flags.
const VERSION_MIN: u32 = 7;

/// What the store is to be good for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wishes {
    pub(super) durability: Durability,
    /// Whether a replica may take the primary's place by itself.
    pub(super) fails_over: bool,
    /// Whether the server is to be part of a Redis Cluster.
    pub(super) clustered: bool,
    /// Length of the leases that have to survive a failover.
    pub(super) lease: Duration,
}

/// Refuses a server on which tasks could not be kept.
///
/// A server that tells nothing about itself is taken as it is: `check` says so.
pub(super) async fn prepare(link: &Link) -> Result<()> {
    let Some(info) = info(link, "prepare").await? else { return Ok(()) };
    let refused = |problem: String| Err(Error::Unusable { problem });
    if let Some(version) = info.text("redis_version")
        && major(version) < VERSION_MIN
    {
        return refused(format!("Redis {version} is too old; version 7.0 or newer is needed"));
    }
    if info.text("cluster_enabled") == Some("1") && !link.address().is_clustered() {
        return refused(
            "the server is part of a Redis Cluster; use redis+cluster://HOST:PORT".into(),
        );
    }
    match info.text("maxmemory_policy") {
        Some(policy) if policy != "noeviction" => refused(format!(
            "maxmemory-policy is {policy}, which silently deletes tasks when memory is full; \
             run CONFIG SET maxmemory-policy noeviction, and set it in redis.conf"
        )),
        _ => Ok(()),
    }
}

/// Looks over what would cost tasks or time.
pub(super) async fn check(link: &Link, corrupt_key: &str, wishes: Wishes) -> Result<Vec<Finding>> {
    let mut findings = server(link, &wishes).await?;
    if let Some(sentinels) = link.address().sentinels() {
        findings.extend(sentinel::look(sentinels, wishes.lease).await);
    }
    findings.push(corrupt(link, corrupt_key).await?);
    Ok(findings)
}

/// Looks over one server.
pub(super) async fn server(link: &Link, wishes: &Wishes) -> Result<Vec<Finding>> {
    Ok(match info(link, "check").await? {
        Some(info) => server::look(&info, &settings(link).await?, wishes),
        None => vec![Finding {
            severity: Severity::Advice,
            topic: "server",
            found: "INFO is forbidden to this user".into(),
            advice: "allow +info, so that the server's settings can be checked".into(),
        }],
    })
}

pub(super) fn fine(topic: &'static str, found: impl Into<String>) -> Finding {
    Finding { severity: Severity::Fine, topic, found: found.into(), advice: String::new() }
}

/// Compares how long a failover takes with how long a lease is trusted.
pub(super) fn failover_time(away: Duration, why: &str, lease: Duration) -> Finding {
    let trusted = trusted_for(lease);
    let found = format!(
        "about {} ({why}); leases of {} are trusted for {}",
        format_duration(away),
        format_duration(lease),
        format_duration(Duration::from_millis(u64::try_from(trusted.as_millis()).unwrap_or(0))),
    );
    if away < trusted {
        return fine("failover", found);
    }
    let longer = Duration::from_secs((away.as_secs() + 2) * 100 / 99);
    let advice = format!(
        "exclusive tasks are stopped by each failover, and tasks of living nodes may run twice; use \
         --lease {} or let failovers begin sooner",
        format_duration(longer)
    );
    Finding { severity: Severity::Advice, topic: "failover", found, advice }
}

/// Names the records of a partition that cannot be read.
pub(super) async fn corrupt(link: &Link, key: &str) -> Result<Finding> {
    let mut ask = redis::cmd("ZRANGE");
    ask.arg(key).arg(0).arg(9);
    let ids: Vec<String> = read("check", link.send("check", &ask).await?)?;
    if ids.is_empty() {
        return Ok(fine("records", "none is damaged"));
    }
    Ok(Finding {
        severity: Severity::Serious,
        topic: "records",
        found: format!("damaged and set aside: {}", ids.join(", ")),
        advice: "look at them with redis-cli (hash rec), then remove or add the tasks anew".into(),
    })
}
