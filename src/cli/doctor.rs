//! `taskshed doctor`: whether a store is fit for tasks.

use std::time::Duration;

use serde_json::json;

use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::config::Settings;
use crate::domain::time::format_duration;
use crate::store::Finding;
use crate::store::Result;
use crate::store::Severity;
use crate::store::Store;

use super::failure::Failure;
use super::failure::chain;
use super::output;
use super::output::Format;
use super::store;

/// From here a difference between clocks is worth a word.
const SKEW_MAX: Duration = Duration::from_secs(1);

/// Looks the store over and says what it found.
pub(super) fn run(settings: &Settings, asked: Option<Format>) -> std::result::Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let store = store::open(settings)?;
    let found = runtime.block_on(look(&*store, settings.node.lease));
    let findings = found.map_err(|error| store::explain(settings, &error))?;

    show(&findings, Format::chosen(asked))?;
    let serious = findings.iter().filter(|finding| finding.severity == Severity::Serious).count();
    match serious {
        0 => Ok(()),
        1 => Err(Failure::Refused("1 serious finding".into())),
        count => Err(Failure::Refused(format!("{count} serious findings"))),
    }
}

async fn look(store: &dyn Store, lease: Duration) -> Result<Vec<Finding>> {
    let mut findings = vec![clocks(store).await?];
    findings.extend(store.check(lease).await?);
    match store.prepare().await {
        Ok(()) => {}
        Err(error) => findings.push(Finding {
            severity: Severity::Serious,
            topic: "nodes",
            found: chain(&error),
            advice: "nodes will not start on this store".into(),
        }),
    }
    findings.push(failover(lease));
    Ok(findings)
}

/// Compares this machine's clock with the store's, halfway through the call.
async fn clocks(store: &dyn Store) -> Result<Finding> {
    let sent = SystemClock.wall();
    let theirs = store.now().await?;
    let took = SystemClock.wall().since(sent);
    let ours = sent.plus(took / 2);
    let skew = ours.since(theirs).max(theirs.since(ours));
    let is_off = skew > SKEW_MAX + took;
    Ok(Finding {
        severity: if is_off { Severity::Advice } else { Severity::Fine },
        topic: "clocks",
        found: format!(
            "this machine and the store differ by {}, answers take {}",
            milliseconds(skew),
            milliseconds(took)
        ),
        advice: if is_off {
            "tasks go by the store's clock; let both follow a time server, or `--at` means another \
             moment than you think"
                .into()
        } else {
            String::new()
        },
    })
}

fn milliseconds(length: Duration) -> String {
    format!("{:.1}ms", length.as_secs_f64() * 1e3)
}

fn failover(lease: Duration) -> Finding {
    let trusted = lease.mul_f64(0.99).saturating_sub(Duration::from_millis(250));
    Finding {
        severity: Severity::Fine,
        topic: "failover",
        found: format!(
            "with a lease of {}, a store that is away for less than {} stops no run; after that only \
             exclusive tasks are stopped",
            format_duration(lease),
            format_duration(Duration::from_millis(
                u64::try_from(trusted.as_millis()).unwrap_or(u64::MAX)
            ))
        ),
        advice: String::new(),
    }
}

fn show(findings: &[Finding], format: Format) -> std::result::Result<(), Failure> {
    let word = |severity| match severity {
        Severity::Fine => "fine",
        Severity::Advice => "advice",
        Severity::Serious => "serious",
    };
    let value = |finding: &Finding| {
        json!({
            "severity": word(finding.severity),
            "topic": finding.topic,
            "found": finding.found,
            "advice": finding.advice,
        })
    };
    match format {
        Format::Json => output::json(&findings.iter().map(value).collect::<Vec<_>>()),
        Format::Jsonl => findings.iter().try_for_each(|finding| output::json(&value(finding))),
        Format::Table => {
            for finding in findings {
                let found = output::plain(&finding.found);
                output::line(&format!(
                    "{:<8} {:<12} {found}",
                    word(finding.severity),
                    finding.topic
                ))?;
                if !finding.advice.is_empty() {
                    output::line(&format!("{:<8} {:<12} -> {}", "", "", finding.advice))?;
                }
            }
            Ok(())
        }
    }
}
