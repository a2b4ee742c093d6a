//! What would cost tasks or time, for `doctor`, and what cannot be worked with at all.

use std::collections::BTreeMap;

use crate::domain::durability::Durability;
use crate::store::Error;
use crate::store::Finding;
use crate::store::Result;
use crate::store::Severity;

use super::SCHEMA;
use super::link::Session;
use super::schema;

const SETTINGS: &str = include_str!("sql/settings.sql");
const CLIENTS: &str = include_str!("sql/clients.sql");

/// The first versions with `SKIP LOCKED`.
const MARIADB_FROM: (u16, u16) = (10, 6);
const MYSQL_FROM: (u16, u16) = (8, 0);

/// What a server shows of itself, by name.
struct Settings {
    shown: BTreeMap<String, String>,
    number: (u16, u16),
}

impl Settings {
    async fn read(session: &mut Session<'_>, method: &'static str) -> Result<Self> {
        let (major, minor, _) = session.server_version();
        let shown = schema::shown(session, method, SETTINGS).await?;
        Ok(Self { shown: shown.into_iter().collect(), number: (major, minor) })
    }

    fn get(&self, name: &str) -> &str {
        self.shown.get(name).map_or("", String::as_str)
    }

    fn is_on(&self, name: &str) -> bool {
        !matches!(self.get(name), "" | "0" | "OFF")
    }

    fn is_mariadb(&self) -> bool {
        self.get("version").contains("MariaDB")
    }
}

/// Refuses a server with which no node can work, or which keeps less than was asked for.
pub(super) async fn refuse(session: &mut Session<'_>, durability: Durability) -> Result<()> {
    let settings = Settings::read(session, "prepare").await?;
    let mut findings = vec![version(&settings), binlog(&settings)];
    if durability == Durability::Fsync {
        findings.push(flush(&settings));
    }
    let refused = findings.into_iter().find(|finding| finding.severity == Severity::Serious);
    refused.map_or(Ok(()), |Finding { found, advice, .. }| {
        Err(Error::Unusable { problem: format!("{found}; {advice}") })
    })
}

/// Looks a server over.
pub(super) async fn check(session: &mut Session<'_>) -> Result<Vec<Finding>> {
    let settings = Settings::read(session, "check").await?;
    let clients = schema::shown(session, "check", CLIENTS).await?;
    schema::verify(session).await?;
    Ok(vec![
        version(&settings),
        flush(&settings),
        binlog(&settings),
        replication(&settings),
        galera(&settings),
        writable(&settings),
        connections(&settings, &clients),
    ])
}

fn fine(topic: &'static str, found: impl Into<String>) -> Finding {
    Finding { severity: Severity::Fine, topic, found: found.into(), advice: String::new() }
}

fn advice(topic: &'static str, found: impl Into<String>, advice: &str) -> Finding {
    let (found, advice) = (found.into(), advice.into());
    Finding { severity: Severity::Advice, topic, found, advice }
}

fn serious(topic: &'static str, found: impl Into<String>, what: &str) -> Finding {
    Finding { severity: Severity::Serious, ..advice(topic, found, what) }
}

fn version(settings: &Settings) -> Finding {
    let (product, from) =
        if settings.is_mariadb() { ("MariaDB", MARIADB_FROM) } else { ("MySQL", MYSQL_FROM) };
    let shown = settings.get("version");
    if settings.number < from {
        let found = format!("the server is {product} {shown}, older than {}.{}", from.0, from.1);
        return serious("version", found, "upgrade the server");
    }
    fine("version", format!("{product} {shown}, schema {SCHEMA}"))
}

fn flush(settings: &Settings) -> Finding {
    match settings.get("innodb_flush_log_at_trx_commit") {
        "1" | "3" => fine("durability", "every commit is written to the disk"),
        other => serious(
            "durability",
            format!("innodb_flush_log_at_trx_commit = {other}: a crash loses the last second"),
            "set it to 1",
        ),
    }
}

fn binlog(settings: &Settings) -> Finding {
    let format = settings.get("binlog_format");
    if settings.is_on("log_bin") && format == "STATEMENT" {
        return serious(
            "binlog",
            "binlog_format = STATEMENT: the server refuses writes at READ COMMITTED (error 1665)",
            "set binlog_format = ROW",
        );
    }
    fine("binlog", if settings.is_on("log_bin") { format } else { "off" })
}

fn replication(settings: &Settings) -> Finding {
    if settings.is_on("log_bin") && settings.get("sync_binlog") != "1" {
        return advice(
            "replicas",
            "sync_binlog is not 1: after a crash replicas may lack the last tasks",
            "set it to 1, if there are replicas",
        );
    }
    fine("replicas", "none are fed with less than what is on the disk")
}

fn galera(settings: &Settings) -> Finding {
    if settings.is_on("wsrep_on") {
        return serious(
            "galera",
            "wsrep_on: rows are locked on one server alone, and a crash may lose the last commits",
            "send all nodes to one server of the cluster",
        );
    }
    fine("galera", "not in use")
}

fn writable(settings: &Settings) -> Finding {
    if settings.is_on("read_only") {
        return serious("writes", "read_only: a replica", "name the primary in the URL");
    }
    fine("writes", "taken")
}

fn connections(settings: &Settings, clients: &[(String, String)]) -> Finding {
    let most: u64 = settings.get("max_connections").parse().unwrap_or(0);
    let peak = clients.iter().find(|(name, _)| name == "max_used_connections");
    let peak: u64 = peak.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let found = format!("{peak} of {most} were in use at once; a node takes up to 10");
    if peak * 10 >= most * 9 {
        return advice("connections", found, "raise max_connections");
    }
    fine("connections", found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(number: (u16, u16), shown: &[(&str, &str)]) -> Settings {
        let shown = shown.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Settings { shown: shown.collect(), number }
    }

    #[test]
    fn old_servers_are_told_by_their_product() {
        let of = |number, text| version(&settings(number, &[("version", text)])).severity;

        assert_eq!(of((10, 6), "10.6.1-MariaDB"), Severity::Fine);
        assert_eq!(of((10, 5), "10.5.9-MariaDB"), Severity::Serious);
        assert_eq!(of((8, 0), "8.0.36"), Severity::Fine);
        assert_eq!(of((5, 7), "5.7.44"), Severity::Serious);
    }

    #[test]
    fn what_costs_tasks_is_serious() {
        let shown = [
            ("innodb_flush_log_at_trx_commit", "2"),
            ("log_bin", "ON"),
            ("binlog_format", "STATEMENT"),
            ("wsrep_on", "ON"),
            ("read_only", "ON"),
        ];
        let bad = settings((10, 11), &shown);

        for finding in [flush(&bad), binlog(&bad), galera(&bad), writable(&bad)] {
            assert_eq!(finding.severity, Severity::Serious, "{}", finding.found);
            assert!(!finding.advice.is_empty());
        }
    }
}
