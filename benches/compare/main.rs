//! The same work on taskshed and on its peers, in turn, on one machine.
//!
//! `cargo bench --bench compare [-- MEASURE… PEER… rounds=3 short plots]`. Without names it measures
//! all. Peers are installed into `target/compare`, each with the settings that its documentation
//! recommends for speed (see the head of its file under `peers`); one that cannot be installed is
//! named and left out. `short` takes a tenth of the tasks, `plots` draws `docs/plots`. Each run is
//! one line of JSON in `target/compare/runs.jsonl`; the table of medians is printed.
//!
//! | measure | what it times |
//! |---|---|
//! | `control` | nothing: a task is left out and one comes twice, and it stops unless both are counted |
//! | `drain` | adds in batches of 1,000, and then one worker process that runs all of them |
//! | `one` | adds one at a time over one connection, beside `redis-benchmark` |
//! | `lag` | 500 tasks a second: from the add to the start, and from the due time to the start |
//! | `cpu` | seconds of CPU of producer, worker and server while tasks are added and run |
//! | `alone` | how late tasks start in one process that keeps them in memory |
//! | `mysql` | `drain` on MariaDB |
//!
//! A worker is warm when its clock starts: it is connected, and has looked at nothing. The clock
//! stops when the last task has run, not when that is known to the server, which favours those that
//! say so late. Every run counts which tasks ran how often.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and may stop"
)]

mod install;
#[expect(dead_code, reason = "tests stop theirs and start it again")]
#[path = "../../tests/support/mariadb_server.rs"]
mod mariadb_server;
mod measure;
mod ours;
mod peers;
mod plot;
mod program;
mod redis_bench;
#[expect(dead_code, reason = "tests stop theirs and start it again")]
#[path = "../../tests/support/redis_server.rs"]
mod redis_server;
mod report;
mod server;
#[expect(dead_code, reason = "reports of another form")]
#[path = "../speed/report.rs"]
mod speed_report;

use std::path::PathBuf;

use measure::Course;
use peers::Peer;
use report::Report;

const MEASURES: [&str; 7] = ["control", "drain", "one", "lag", "cpu", "alone", "mysql"];

fn main() {
    let words: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if words.first().is_some_and(|word| word == "peer") {
        return ours::run(&words[1..]);
    }
    let has = |name: &str| words.iter().any(|word| word == name);
    let measures: Vec<_> = MEASURES.into_iter().filter(|name| has(name)).collect();
    let measures = if measures.is_empty() { MEASURES.to_vec() } else { measures };
    let rounds = words.iter().find_map(|word| word.strip_prefix("rounds="));
    let rounds = rounds.map_or(if has("short") { 1 } else { 3 }, |count| count.parse().unwrap());

    let scratch = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/compare");
    let course = Course { short: has("short"), scratch: scratch.clone() };
    let wanted = |peer: &Peer| {
        let named = peers::ALL.iter().any(|peer| has(peer.name));
        (!named || has(peer.name)) && measures.iter().any(|measure| peer.takes(measure))
    };
    let peers = install::all(peers::ALL.iter().filter(|peer| wanted(peer)), &scratch);

    let mut report = Report::new(&scratch, &peers);
    for measure in measures {
        for round in 1..=rounds {
            measure::beside(measure, &course, round, &mut report);
            for ready in peers.iter().filter(|ready| ready.peer.takes(measure)) {
                for run in measure::take(measure, ready, &course) {
                    report.note(round, ready, run);
                }
            }
        }
    }
    println!("\n{}", report.table());
    if has("plots") {
        plot::draw(&report);
    }
}
