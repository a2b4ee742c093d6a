//! `taskshed doctor`: looks a store over.

use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::store::Finding;
use crate::store::Result;
use crate::store::Severity;
use crate::store::connect;

use super::REFUSED;
use super::StoreArgs;
use super::refuse_store;

/// A clock that is further off than this is worth a word, µs.
const SKEW_US_MAX: i64 = 1_000_000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) async fn run(args: Args) -> i32 {
    let findings = match look(&args.store).await {
        Ok(findings) => findings,
        Err(error) => return refuse_store(&error),
    };
    for finding in &findings {
        let mark = match finding.severity {
            Severity::Fine => "ok     ",
            Severity::Advice => "advice ",
            Severity::Serious => "SERIOUS",
        };
        println!("{mark} {}: {}", finding.topic, finding.found);
        if !finding.advice.is_empty() {
            println!("        {}", finding.advice);
        }
    }
    let is_serious = findings.iter().any(|finding| finding.severity == Severity::Serious);
    if is_serious { REFUSED } else { 0 }
}

async fn look(args: &StoreArgs) -> Result<Vec<Finding>> {
    let store = connect::open(&args.store, args.options())?;
    let mut findings = store.check().await?;
    let skew_us = SystemClock.wall().as_us() - store.now().await?.as_us();
    let is_off = skew_us.abs() > SKEW_US_MAX;
    findings.push(Finding {
        severity: if is_off { Severity::Advice } else { Severity::Fine },
        topic: "clock",
        found: format!("this machine is {skew_us} µs ahead of the store"),
        advice: if is_off { "synchronise both clocks".into() } else { String::new() },
    });
    Ok(findings)
}
