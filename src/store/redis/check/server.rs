//! One server: what would cost tasks or time there.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::domain::durability::Durability;
use crate::store::Finding;
use crate::store::Severity;

use super::VERSION_MIN;
use super::Wishes;
use super::fine;
use super::info::Info;

/// Looks over what a server says about itself.
pub(super) fn look(
    info: &Info,
    settings: &HashMap<String, String>,
    wishes: &Wishes,
) -> Vec<Finding> {
    let mut findings = vec![version(info), eviction(info), memory(info)];
    findings.extend([role(info, wishes), cluster_mode(info, wishes)]);
    findings.push(durability(info, settings));
    findings
}

fn version(info: &Info) -> Finding {
    let version = info.text("redis_version").unwrap_or("unknown");
    let name = info.text("server_name").unwrap_or("redis");
    let found = format!("{name} {version}");
    if major(version) >= VERSION_MIN {
        return fine("version", found);
    }
    let advice = "install Redis 7.0 or newer, or Valkey".into();
    Finding { severity: Severity::Serious, topic: "version", found, advice }
}

pub(super) fn major(version: &str) -> u32 {
    version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
}

fn eviction(info: &Info) -> Finding {
    let policy = info.text("maxmemory_policy").unwrap_or("unknown");
    if policy == "noeviction" {
        return fine("eviction", policy);
    }
    Finding {
        severity: Severity::Serious,
        topic: "eviction",
        found: format!("maxmemory-policy is {policy}: tasks are deleted when memory is full"),
        advice: "set maxmemory-policy noeviction".into(),
    }
}

fn memory(info: &Info) -> Finding {
    let (used, max) = (info.number("used_memory"), info.number("maxmemory"));
    if max == 0 {
        return Finding {
            severity: Severity::Advice,
            topic: "memory",
            found: format!("{} used, no maxmemory", mebibytes(used)),
            advice: "set maxmemory below the machine's memory: a full server then refuses new \
                     tasks and finishes the others, instead of being killed"
                .into(),
        };
    }
    let found = format!("{} of {} used", mebibytes(used), mebibytes(max));
    if used / 4 < max / 5 {
        return fine("memory", found);
    }
    let advice =
        "raise maxmemory or remove tasks: when it is reached, new tasks are refused".into();
    Finding { severity: Severity::Serious, topic: "memory", found, advice }
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

fn role(info: &Info, wishes: &Wishes) -> Finding {
    if info.text("role").is_some_and(|role| role != "master") {
        return Finding {
            severity: Severity::Serious,
            topic: "role",
            found: "a replica, which takes no writes".into(),
            advice: "give the address of the primary".into(),
        };
    }
    let count = info.replica_count();
    let found = format!("primary with {count} replicas that follow");
    let (severity, advice) = match wishes.durability {
        Durability::Replicated(wanted) => match count.cmp(&u64::from(wanted.get())) {
            Ordering::Less => (
                Severity::Serious,
                format!(
                    "durability = \"replicated:{wanted}\" acknowledges nothing now; start replicas"
                ),
            ),
            Ordering::Equal => (
                Severity::Advice,
                format!(
                    "durability = \"replicated:{wanted}\" acknowledges nothing once one is away; add one"
                ),
            ),
            Ordering::Greater => (Severity::Fine, String::new()),
        },
        Durability::Memory | Durability::Fsync if wishes.fails_over => (
            Severity::Advice,
            "a failover loses what the replica did not have yet; durability = \"replicated:1\" \
             prevents that"
                .into(),
        ),
        Durability::Memory | Durability::Fsync => (Severity::Fine, String::new()),
    };
    Finding { severity, topic: "role", found, advice }
}

fn cluster_mode(info: &Info, wishes: &Wishes) -> Finding {
    let is_on = info.text("cluster_enabled") == Some("1");
    if is_on == wishes.clustered {
        return fine("cluster mode", if is_on { "on" } else { "off" });
    }
    Finding {
        severity: Severity::Serious,
        topic: "cluster mode",
        found: if is_on { "on" } else { "off" }.into(),
        advice: "use redis+cluster:// for a Redis Cluster, and redis:// for a server alone".into(),
    }
}

fn durability(info: &Info, settings: &HashMap<String, String>) -> Finding {
    let fsync = settings.get("appendfsync").map_or("unknown", String::as_str);
    let saves = settings.get("save").is_some_and(|save| !save.is_empty());
    let (severity, found, advice) = if info.text("aof_enabled") == Some("1") {
        match fsync {
            "no" => (
                Severity::Serious,
                "appendonly with appendfsync no: a crash loses what the system had not written",
                "set appendfsync everysec or always",
            ),
            "always" => (Severity::Fine, "appendonly with appendfsync always", ""),
            "everysec" => (
                Severity::Advice,
                "appendonly with appendfsync everysec: a crash loses up to a second or two",
                "set appendfsync always if no acknowledged task may be lost",
            ),
            _ => (
                Severity::Advice,
                "appendonly; the server does not tell appendfsync",
                "make sure that appendfsync is everysec or always",
            ),
        }
    } else if saves {
        (
            Severity::Serious,
            "snapshots only: a crash loses everything since the last one",
            "set appendonly yes",
        )
    } else {
        (
            Severity::Serious,
            "nothing is written to disk, or the server does not tell",
            "set appendonly yes",
        )
    };
    Finding { severity, topic: "durability", found: found.into(), advice: advice.into() }
}
