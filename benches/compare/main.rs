//! The same work on taskshed and on its peers, in turn, on one machine.
//!
//! `cargo bench --bench compare [-- MEASURE… PEER… rounds=5 short plots]`. Without names it measures
//! all. Peers are installed into `target/compare`, each with the settings that its documentation
//! recommends for speed (see the head of its file under `peers`); one that cannot be installed is
//! named and left out. `short` takes a tenth of the tasks, `plots` draws `docs/plots` and fills the
//! tables of `docs/benchmarks.md`. Each run, also one that fails, is a line of JSON in
//! `target/compare/runs.jsonl`; the tables are printed.
//!
//! | measure | what it times |
//! |---|---|
//! | `control` | nothing: a task is left out and one comes twice, and it stops unless both are counted |
//! | `drain` | adds in batches of 1,000, and then one worker process that runs all of them |
//! | `one` | adds one at a time over one connection, beside `redis-benchmark` |
//! | `lag` | 500 tasks a second: from the add to the start, and from the due time to the start |
//! | `half-load` | lags while tasks are added at half of the rate at which the same peer drains |
//! | `cpu` | seconds of CPU of producer, worker and server while tasks are added and run |
//! | `alone` | how late tasks start in one process that keeps them in memory |
//! | `mysql` | `drain` on MariaDB |
//!
//! A worker is warm when its clock starts: it is connected, and has looked at nothing. The clock
//! stops when the last task has run, not when that is known to the server, which favours those that
//! say so late. Every run counts which tasks ran how often. Before the first round each peer does a
//! twentieth of the work, which is not noted, and each round begins with another peer.

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
mod progress;
mod redis_bench;
#[expect(dead_code, reason = "tests stop theirs and start it again")]
#[path = "../../tests/support/redis_server.rs"]
mod redis_server;
mod report;
mod run;
mod server;
#[expect(dead_code, reason = "reports of another form")]
#[path = "../speed/report.rs"]
mod speed_report;
mod spent;
mod tables;

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use install::Ready;
use measure::Course;
use measure::Length;
use peers::Peer;
use progress::Progress;
use report::Report;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;

const MEASURES: [&str; 8] =
    ["control", "drain", "one", "lag", "half-load", "cpu", "alone", "mysql"];

/// Who takes longer for a round of a measure has fewer of them.
const LONG: Duration = Duration::from_secs(25);
const ROUNDS_IF_LONG: usize = 3;

fn main() {
    let words: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if words.first().is_some_and(|word| word == "peer") {
        return ours::run(&words[1..]);
    }
    let has = |name: &str| words.iter().any(|word| word == name);
    let measures: Vec<_> = MEASURES.into_iter().filter(|name| has(name)).collect();
    let measures = if measures.is_empty() { MEASURES.to_vec() } else { measures };
    let rounds = words.iter().find_map(|word| word.strip_prefix("rounds="));
    let rounds = rounds.map_or(if has("short") { 1 } else { 5 }, |count| count.parse().unwrap());

    let scratch = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/compare");
    let wanted = |peer: &Peer| {
        let named = peers::ALL.iter().any(|peer| has(peer.name));
        (!named || has(peer.name)) && measures.iter().any(|measure| peer.takes(measure))
    };
    let peers = install::all(peers::ALL.iter().filter(|peer| wanted(peer)), &scratch);

    let plan: Vec<_> = measures.iter().map(|name| Plan::new(name, rounds, &peers)).collect();
    let steps = plan.iter().map(|plan| (plan.measure, plan.rounds * plan.entrants.len()));
    let mut progress = Progress::new(steps);
    let mut report = Report::new(&scratch);
    let length = if has("short") { Length::Short } else { Length::Full };
    for plan in &plan {
        plan.warm_up(length, &scratch);
        plan.take(&Course { length, scratch: scratch.clone() }, &mut report, &mut progress);
    }
    println!("\n{}", tables::all(&report));
    if has("plots") {
        plot::draw(&report);
        tables::fill(&report);
    }
}

/// A measure, and who takes it; what stands beside the peers is none of them.
struct Plan<'a> {
    measure: &'static str,
    rounds: usize,
    entrants: Vec<Option<&'a Ready>>,
}

impl<'a> Plan<'a> {
    fn new(measure: &'static str, rounds: usize, peers: &'a [Ready]) -> Self {
        let takes = peers.iter().filter(|ready| ready.peer.takes(measure)).map(Some);
        let beside = measure::has_beside(measure).then_some(None);
        // It ends the benchmark if counts cannot be trusted, which one round tells.
        let rounds = if measure == "control" { 1 } else { rounds };
        Self { measure, rounds, entrants: takes.chain(beside).collect() }
    }

    /// A little of it with each peer, which is not noted.
    fn warm_up(&self, length: Length, scratch: &Path) {
        if self.measure == "control" || matches!(length, Length::Short) {
            return;
        }
        let course = Course { length: Length::WarmUp, scratch: scratch.to_owned() };
        for ready in self.entrants.iter().flatten() {
            for run in measure::take(self.measure, ready, &course, None) {
                let why = run.error.map(|why| format!(", but {why}")).unwrap_or_default();
                println!("{}, {}: warmed up{why}", run.name, ready.peer.title);
            }
        }
    }

    /// All rounds, each beginning with another one.
    fn take(&self, course: &Course, report: &mut Report, progress: &mut Progress) {
        let mut slow = vec![false; self.entrants.len()];
        for round in 1..=self.rounds {
            for turn in 0..self.entrants.len() {
                let at = (turn + round - 1) % self.entrants.len();
                if slow[at] && round > ROUNDS_IF_LONG {
                    progress.skip(self.measure);
                    continue;
                }
                let began = SystemClock.steady();
                let ready = self.entrants[at];
                let runs = match ready {
                    Some(ready) => {
                        measure::take(self.measure, ready, course, report.drained(ready))
                    }
                    None => measure::beside(self.measure, course),
                };
                for run in runs {
                    report.note(round, ready, run);
                }
                slow[at] |= SystemClock.steady().saturating_sub(began) > LONG;
                progress.step(self.measure);
            }
        }
    }
}
