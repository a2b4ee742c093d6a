//! How fast nodes and stores are, on private servers and a file on this machine.
//!
//! `cargo bench --bench speed [-- MEASURE… STORE… runs=5 json short future=N]` prints and asserts nothing:
//! figures are for people, who know what else the machine was doing. Without names it measures all.
//! Each figure is the median of its runs with the least and the most, and each share is of a figure of
//! the same run. `json` adds a line for each run, with the machine and the versions.
//!
//! Before the runs that count, each measure is taken once as `short`, and what that gave is dropped: the
//! first run would else be the one that starts threads and fills caches. With `short` few tasks are
//! all, which shows that all works. `growth` goes up to a million future tasks, or to `future`.
//!
//! Arguments of tasks have 14 bytes, and about 100 in `limit`, `add`, `http`, `drain`, `whole`, `cpu` and
//! `memory`.
//!
//! | measure | what it times |
//! |---|---|
//! | `limit` | scripts and statements of add, claim and ack alone, by batch, beside the least that any layout could do |
//! | `add` | adds of a scheduler, one at a time and in batches, as shares of the limit |
//! | `http` | adds and reads over HTTP, alone and on 64 connections while tasks run |
//! | `drain` | due tasks that do nothing, one node and two, as shares of the limit; 500 at once, and 64 |
//! | `whole` | end to end: tasks are added while a node runs them, until all have run |
//! | `kinds` | small tasks beside such with more arguments, groups, unique keys, retention, traces |
//! | `cpu` | seconds of CPU from the add to the end, scheduler, node and server |
//! | `lag` | how late tasks start, p50 and p99: 500 a second on two idle nodes, and half of the rate of draining |
//! | `growth` | claim and ack beside 1,000 other tasks, ten times as many and so on, as shares of the first |
//! | `memory` | bytes of a waiting task in Redis, of a node, and of a task that runs |
//! | `renew` | one beat with 1,000 to 50,000 running tasks, in claims of 100 |
//! | `idle` | calls of nodes that have nothing to do, and of fifty for one task |

#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and may stop"
)]

mod add;
mod drain;
mod growth;
mod http;
mod idle;
mod lag;
mod least;
mod limit;
#[expect(dead_code, reason = "tests stop theirs and start it again")]
#[path = "../../tests/support/mariadb_server.rs"]
mod mariadb_server;
mod place;
#[expect(dead_code, reason = "tests stop theirs and start it again")]
#[path = "../../tests/support/redis_server.rs"]
mod redis_server;
mod replay;
mod report;
mod work;

use place::KINDS;
use report::Figure;
use report::Report;

const MEASURES: [&str; 12] = [
    "limit", "add", "http", "drain", "whole", "kinds", "cpu", "lag", "growth", "memory", "renew",
    "idle",
];

/// What is measured where, and with how many tasks.
#[derive(Clone, Copy)]
pub(crate) struct Course {
    /// The kind of store.
    pub(crate) kind: &'static str,
    /// How many tasks a long measure takes.
    pub(crate) tasks: usize,
    /// How many future tasks wait at most beside what `growth` claims.
    pub(crate) future: usize,
    /// Whether it is a short one, which only shows that all works.
    pub(crate) short: bool,
}

impl Course {
    const SHORT: Self = Self { kind: KINDS[0], tasks: 4_000, future: 10_000, short: true };
}

fn main() {
    let wanted: Vec<_> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if let [first, url, count] = &wanted[..]
        && first == "hold"
    {
        println!("{}", runtime.block_on(idle::hold(url, count.parse().unwrap())));
        return;
    }
    let has = |name: &str| wanted.iter().any(|one| one == name);
    let names = |known: &[&'static str]| {
        let chosen: Vec<&'static str> = known.iter().copied().filter(|name| has(name)).collect();
        if chosen.is_empty() { known.to_vec() } else { chosen }
    };
    let number = |name: &str, usual: usize| {
        let given = wanted.iter().find_map(|one| one.strip_prefix(name)?.strip_prefix('='));
        given.map_or(usual, |count| count.parse().unwrap())
    };
    let runs = number("runs", 1);
    let warm_up = Course::SHORT;
    let usual =
        Course { tasks: 100_000, future: number("future", 1_000_000), short: false, ..warm_up };
    let course = if has("short") { warm_up } else { usual };
    println!("{}", report::machine());
    let beside = has("json").then(beside);
    for measure in names(&MEASURES) {
        for kind in names(&KINDS) {
            let take = |course: Course| runtime.block_on(take(measure, Course { kind, ..course }));
            if !course.short {
                take(warm_up);
            }
            let mut report = Report::new(measure, kind, beside.clone());
            for _ in 0..runs {
                report.note(take(course));
            }
            report.print();
        }
    }
}

/// What each line of JSON says beside the figures.
fn beside() -> serde_json::Value {
    let versions =
        report::versions().into_iter().chain([("sqlite", rusqlite::version().to_owned())]);
    let versions: std::collections::BTreeMap<_, _> = versions.collect();
    serde_json::json!({ "machine": report::hardware(), "versions": versions })
}

async fn take(measure: &str, course: Course) -> Vec<Figure> {
    match measure {
        "limit" => limit::measure(course).await,
        "add" => add::measure(course).await,
        "http" => http::measure(course).await,
        "drain" => drain::measure(course).await,
        "whole" => drain::whole(course).await,
        "kinds" => drain::kinds(course).await,
        "cpu" => drain::cpu(course).await,
        "lag" => lag::measure(course).await,
        "growth" => growth::measure(course).await,
        "memory" => idle::memory(course).await,
        "renew" => idle::renew(course).await,
        _ => idle::measure(course).await,
    }
}
