//! Whether a server is fit for tasks.

use std::collections::HashMap;

use redis::Value;

use crate::store::Error;
use crate::store::Finding;
use crate::store::Result;
use crate::store::Severity;

use super::failure::read;
use super::link::Link;

/// Oldest version that has script flags.
const VERSION_MIN: u32 = 7;

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
    if info.text("cluster_enabled") == Some("1") {
        return refused("Redis Cluster is not supported; use a server without cluster mode".into());
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
pub(super) async fn check(link: &Link, corrupt_key: &str) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    match info(link, "check").await? {
        Some(info) => {
            findings.extend([version(&info), eviction(&info), memory(&info)]);
            findings.extend([role(&info), cluster_mode(&info)]);
            findings.push(durability(&info, &settings(link).await?));
        }
        None => findings.push(Finding {
            severity: Severity::Advice,
            topic: "server",
            found: "INFO is forbidden to this user".into(),
            advice: "allow +info, so that the server's settings can be checked".into(),
        }),
    }
    findings.push(corrupt(link, corrupt_key).await?);
    Ok(findings)
}

/// What the server says about itself.
struct Info(HashMap<String, String>);

impl Info {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn number(&self, name: &str) -> u64 {
        self.text(name).and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

/// `None` if the user may not ask.
async fn info(link: &Link, method: &'static str) -> Result<Option<Info>> {
    let Some(answer) = allowed(link.send(method, &redis::cmd("INFO")).await)? else {
        return Ok(None);
    };
    let text: String = read(method, answer)?;
    let lines = text.lines().filter_map(|line| line.trim_end().split_once(':'));
    Ok(Some(Info(lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())))
}

/// Settings by name; empty where the server does not tell them, as managed ones do.
async fn settings(link: &Link) -> Result<HashMap<String, String>> {
    let mut ask = redis::cmd("CONFIG");
    ask.arg("GET").arg("appendfsync").arg("save");
    match allowed(link.send("check", &ask).await)? {
        Some(answer) => read("check", answer),
        None => Ok(HashMap::new()),
    }
}

/// `None` if the server refuses to answer this user, or at all.
fn allowed(answer: Result<Value>) -> Result<Option<Value>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(Error::Unusable { problem })
            if ["NOPERM", "unknown command", "No permission", "no permissions"]
                .iter()
                .any(|sign| problem.contains(sign)) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn fine(topic: &'static str, found: impl Into<String>) -> Finding {
    Finding { severity: Severity::Fine, topic, found: found.into(), advice: String::new() }
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

fn major(version: &str) -> u32 {
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

fn role(info: &Info) -> Finding {
    let replicas = info.number("connected_slaves");
    match info.text("role") {
        Some("master") | None => fine("role", format!("primary with {replicas} replicas")),
        Some(_) => Finding {
            severity: Severity::Serious,
            topic: "role",
            found: "a replica, which takes no writes".into(),
            advice: "give the address of the primary".into(),
        },
    }
}

fn cluster_mode(info: &Info) -> Finding {
    if info.text("cluster_enabled") != Some("1") {
        return fine("cluster mode", "off");
    }
    Finding {
        severity: Severity::Serious,
        topic: "cluster mode",
        found: "on".into(),
        advice: "use a server without cluster mode".into(),
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

async fn corrupt(link: &Link, key: &str) -> Result<Finding> {
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
