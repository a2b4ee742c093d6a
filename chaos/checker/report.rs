//! A judgement as people read it.

use std::fmt::Write;

use super::Judgement;
use super::figures::Figures;
use super::figures::Recovery;
use super::figures::at;
use super::history::Line;
use super::rules::Violation;
use super::rules::ids;
use super::shown::story_of;

/// Faults that are explained; of more only the number is told.
const EXPLAINED_MAX: usize = 3;

/// Lines of an explanation, from its end backwards.
const LINES_MAX: usize = 60;

/// A table of all invariants and figures, and the explanation of what does not hold.
pub(crate) fn told(judgement: &Judgement, lines: &[Line]) -> String {
    let mut text = String::new();
    for id in ids() {
        let verdict = match judgement.count(id) {
            0 => "holds".to_owned(),
            count => format!("VIOLATED {count} times"),
        };
        put(&mut text, &format!("{id:<4} {verdict}"));
    }
    put(&mut text, "");
    for (name, value) in figures(&judgement.figures) {
        put(&mut text, &format!("{name:<34} {value}"));
    }
    let mut told: Vec<&str> = Vec::new();
    for violation in judgement.violations.iter().take(EXPLAINED_MAX) {
        put(&mut text, "");
        match violation.task.as_deref() {
            Some(task) if told.contains(&task) => put(&mut text, &sentence(violation)),
            task => {
                told.extend(task);
                put(&mut text, &explained(violation, lines));
            }
        }
    }
    text
}

/// What does not hold, and the events of the one task concerned.
pub(crate) fn explained(violation: &Violation, lines: &[Line]) -> String {
    let mut text = sentence(violation);
    let Some(task) = &violation.task else { return text };
    let story = story_of(lines, task);
    let skipped = story.len().saturating_sub(LINES_MAX);
    if skipped > 0 {
        put(&mut text, &format!("\n  … {skipped} earlier events"));
    }
    for line in &story[skipped..] {
        text.push_str("\n  ");
        text.push_str(line);
    }
    text
}

/// What does not hold, in a sentence.
pub(crate) fn sentence(Violation { id, task, what }: &Violation) -> String {
    match task {
        Some(task) => format!("{id}: task {task} {what}"),
        None => format!("{id}: {what}"),
    }
}

/// The figures by name.
fn figures(figures: &Figures) -> Vec<(&'static str, String)> {
    let longest = figures.overlaps.iter().max().copied().unwrap_or(0);
    vec![
        ("adds acknowledged", figures.scheduled.to_string()),
        ("calls without a known answer", figures.unknown.to_string()),
        ("runs", figures.runs.to_string()),
        ("repeated runs", figures.repeated.to_string()),
        ("outcomes accepted", figures.accepted.to_string()),
        ("stale outcomes refused", figures.stale.to_string()),
        (
            "overlaps while out of reach",
            format!("{}, longest {}", figures.overlaps.len(), ms(longest)),
        ),
        ("two leaders at once", ms(figures.leader_overlap_us)),
        ("recovery after a killed node", recovered(figures, false)),
        ("recovery after node and leader", recovered(figures, true)),
        ("recoveries without a bound", figures.unjudged.to_string()),
        ("handed back and run elsewhere", spread(&figures.handovers)),
    ]
}

/// Times of recovery against the longest bound.
pub(crate) fn recovered(figures: &Figures, leader_died: bool) -> String {
    let chosen = |recovery: &&Recovery| recovery.leader_died == leader_died;
    let found: Vec<_> = figures.recoveries.iter().filter(chosen).collect();
    let took: Vec<_> = found.iter().map(|recovery| recovery.took).collect();
    let bound = found.iter().map(|recovery| recovery.bound).max();
    match bound {
        Some(bound) => format!("{}, bound {}", spread(&took), ms(bound)),
        None => "none".to_owned(),
    }
}

/// p50, p99 and the longest of some times.
pub(crate) fn spread(took: &[u64]) -> String {
    if took.is_empty() {
        return "none".to_owned();
    }
    let [middle, most, max] = [50, 99, 100].map(|percent| ms(at(took, percent)));
    format!("{} times, p50 {middle}, p99 {most}, max {max}", took.len())
}

/// A length in ms.
pub(crate) fn ms(us: u64) -> String {
    format!("{}.{} ms", us / 1000, us % 1000 / 100)
}

fn put(text: &mut String, line: &str) {
    let _a_string_takes_all = writeln!(text, "{line}");
}
