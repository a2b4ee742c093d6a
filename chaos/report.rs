//! The report of a suite, as it is kept in the repository.

use std::fmt::Write;
use std::process::Command;
use std::time::Duration;

use taskshed::clock::Clock;
use taskshed::clock::SystemClock;

use crate::Failure;
use crate::checker::Figures;
use crate::checker::report::ms;
use crate::checker::report::recovered;
use crate::checker::report::spread;
use crate::faults::Fault;
use crate::fleet::Kind;
use crate::scenario::RANDOM;
use crate::suite::Row;
use crate::suite::Rows;
use crate::suite::verdict;

/// What a reader must know of the columns.
const COLUMNS: &str = "\
Three nodes are processes of their own, built on the library; users add tasks of all sorts (future, failing, \
exclusive, unique, recurring, in groups), and pause, cancel, remove, retry, reschedule and replace them, \
through the same bad network. *Scheduled* counts acknowledged adds. *Lost* (T1), *phantom* (T2) and *twice* \
(T6) are breaches; *other* counts those of all other invariants. What follows is allowed: *repeated* runs of \
one planned time and attempt, *stale* outcomes that were refused, *overlaps* of runs whose node was out of \
reach for longer than its lease, *leaders*: how long a process went on as leader after another had won. \
*Recovery* is from the kill of a node to the next start of each task that it held, over all seeds.
";

/// What nobody should take for tested.
const NOT_TESTED: &str = "\
* Machines: all processes share one kernel, one boot clock and one loopback. Clocks that drift apart, and \
disks that lie about a sync, are not here.
* Disks that are full or fail: `tests/sqlite` and `tests/mysql` do that on a single store.
* Redis Cluster: its suites are under `tests/`. Valkey and MySQL were not run at all.
* A failover that loses what was acknowledged: `durability = \"memory\"` allows that; here it is `replicated:1`.
* Time limits of hours: a run lasts some seconds, its leases 1 to 2 s. Terms of leaders last 10 s as ever.
* Handlers are Rust functions; commands are killed in `tests/e2e`.
";

/// Proof that breaches would be found.
const CONTROLS: &str = include_str!("simulation/controls.md");

/// The whole page.
pub(crate) fn written(rows: &Rows, took: Duration, commit: &str) -> Result<String, Failure> {
    let mut page = String::new();
    let (kinds, runs) = (kinds(rows), rows.values().map(|row| row.runs.len()).sum::<usize>());
    let all: Vec<_> = rows.values().flat_map(|row| row.runs.values()).collect();
    let is_well = all.iter().all(|run| run.broken.is_empty());
    let sum = |of: fn(&Figures) -> u64| all.iter().map(|run| of(&run.figures)).sum::<u64>();
    writeln!(page, "# What a broken cluster kept of its promises\n")?;
    writeln!(page, "Written by `cargo chaos -- --all`; see [its page](../chaos/README.md).\n")?;
    writeln!(page, "| | |\n|---|---|")?;
    writeln!(page, "| verdict | **{}** |", verdict(is_well))?;
    writeln!(page, "| when | {}, within {} min |", SystemClock.wall(), took.as_secs() / 60)?;
    writeln!(page, "| taskshed | {} at {commit} |", env!("CARGO_PKG_VERSION"))?;
    writeln!(page, "| servers | {} |", servers(&kinds))?;
    let cores = std::thread::available_parallelism()?;
    writeln!(page, "| machine | {cores} cores, Linux {} |", said("uname", &["-r"]))?;
    let words: Vec<_> = std::env::args().skip(1).collect();
    writeln!(page, "| command | `cargo chaos -- {}` |", words.join(" "))?;
    writeln!(
        page,
        "| runs | {runs}, with {} adds and {} runs of handlers |",
        sum(|figures| figures.scheduled),
        sum(|figures| figures.runs)
    )?;
    writeln!(page, "\n{COLUMNS}")?;
    for kind in kinds {
        writeln!(page, "## {kind}\n")?;
        table(&mut page, rows, kind)?;
    }
    breaches(&mut page, rows)?;
    times(&mut page, rows)?;
    writeln!(page, "{CONTROLS}\n## Not tested here\n\n{NOT_TESTED}")?;
    Ok(page.trim_end().to_owned() + "\n")
}

/// The commit that is checked out.
pub(crate) fn commit() -> String {
    said("git", &["rev-parse", "--short", "HEAD"])
}

fn kinds(rows: &Rows) -> Vec<Kind> {
    let mut kinds: Vec<_> = rows.keys().map(|(kind, _)| *kind).collect();
    kinds.dedup();
    kinds
}

fn table(page: &mut String, rows: &Rows, kind: Kind) -> Result<(), Failure> {
    writeln!(
        page,
        "| scenario | what is done | seeds | scheduled | lost | phantom | twice | other | repeated | stale \
         | overlaps | leaders | recovery p50 / p99 / max | verdict |"
    )?;
    writeln!(page, "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")?;
    let names = Fault::ALL.iter().filter(|fault| fault.kinds().contains(&kind));
    let names = names.map(|fault| (fault.name(), fault.about()));
    for (name, about) in names.chain([(RANDOM, "all of these but failover, mixed")]) {
        let Some(row) = rows.get(&(kind, name.to_owned())) else { continue };
        let figures = row.figures();
        let seeds = row.runs.len();
        let [lost, phantom, twice] = ["T1", "T2", "T6"].map(|id| row.broken(|other| other == id));
        let other = row.broken(|id| !["T1", "T2", "T6"].contains(&id));
        let word = if lost + phantom + twice + other == 0 { "held" } else { "**broken**" };
        let Figures { scheduled, repeated, stale, leader_overlap_us, .. } = &figures;
        let leaders =
            if *leader_overlap_us == 0 { "–".to_owned() } else { ms(*leader_overlap_us) };
        writeln!(
            page,
            "| `{name}` | {about} | {seeds} | {scheduled} | {lost} | {phantom} | {twice} | {other} \
             | {repeated} | {stale} | {} | {leaders} | {} | {word} |",
            figures.overlaps.len(),
            row.recovery()
        )?;
    }
    writeln!(page)?;
    Ok(())
}

impl Row {
    /// The figures of all seeds together.
    fn figures(&self) -> Figures {
        let mut all = Figures::default();
        for run in self.runs.values() {
            let one = &run.figures;
            all.scheduled += one.scheduled;
            all.repeated += one.repeated;
            all.stale += one.stale;
            all.overlaps.extend(&one.overlaps);
            all.leader_overlap_us = all.leader_overlap_us.max(one.leader_overlap_us);
            all.recoveries.extend(&one.recoveries);
            all.handovers.extend(&one.handovers);
        }
        all
    }

    /// How many breaches there were of invariants of a kind.
    fn broken(&self, is_meant: impl Fn(&str) -> bool) -> usize {
        let broken = self.runs.values().flat_map(|run| &run.broken);
        broken.filter(|(id, _)| is_meant(id)).count()
    }

    fn recovery(&self) -> String {
        let recoveries = self.figures().recoveries;
        if recoveries.is_empty() {
            return "–".to_owned();
        }
        let took: Vec<_> = recoveries.iter().map(|recovery| recovery.took).collect();
        let at = |percent| ms(crate::checker::figures::at(&took, percent));
        format!("{} / {} / {}", at(50), at(99), at(100))
    }
}

/// Every breach with its seed.
fn breaches(page: &mut String, rows: &Rows) -> Result<(), Failure> {
    let mut broken = Vec::new();
    for ((kind, name), row) in rows {
        for (seed, run) in &row.runs {
            broken.extend(run.broken.iter().map(|(_, what)| (kind, name, seed, what)));
        }
    }
    if !broken.is_empty() {
        writeln!(page, "## Breaches\n")?;
    }
    for (kind, name, seed, what) in &broken {
        writeln!(page, "* `{name}` on {kind}, seed {seed}: {what}")?;
    }
    if !broken.is_empty() {
        writeln!(page)?;
    }
    Ok(())
}

/// Times over all scenarios, against their bounds.
fn times(page: &mut String, rows: &Rows) -> Result<(), Failure> {
    writeln!(page, "## Times\n\n| store | what | all seeds |\n|---|---|---|")?;
    for kind in kinds(rows) {
        let mut all = Figures::default();
        for (_, row) in rows.iter().filter(|((other, _), _)| *other == kind) {
            let figures = row.figures();
            all.recoveries.extend(figures.recoveries);
            all.handovers.extend(figures.handovers);
        }
        writeln!(
            page,
            "| {kind} | a killed node's tasks run again | {} |",
            recovered(&all, false)
        )?;
        writeln!(
            page,
            "| {kind} | the same, the leader killed at about the same time | {} |",
            recovered(&all, true)
        )?;
        let handovers = spread(&all.handovers);
        writeln!(
            page,
            "| {kind} | what a leaving node hands back runs elsewhere | {handovers}, bound 1 s |"
        )?;
    }
    writeln!(
        page,
        "\nA bound is that of N2 for the lease of the run (1, 1.5 or 2 s); the largest is shown. A leader \
         killed after the node starts the bound anew. Recoveries beside another fault have none.\n"
    )?;
    Ok(())
}

fn servers(kinds: &[Kind]) -> String {
    let versions = kinds.iter().map(|kind| match kind {
        Kind::Redis => said("redis-server", &["--version"]),
        Kind::Mariadb => said("mariadbd", &["--version"]),
        Kind::Sqlite => format!("SQLite {}", rusqlite::version()),
    });
    versions.collect::<Vec<_>>().join("; ")
}

/// What a program says, in one line.
fn said(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().trim().to_owned()
}
