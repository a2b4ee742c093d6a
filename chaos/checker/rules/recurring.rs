//! S1: a recurring task keeps its grid.

use crate::checker::history::Action;
use crate::checker::story::Story;
use crate::checker::story::Taken;
use crate::checker::story::Task;

use super::Findings;
use super::outcomes::is_terminal;

/// What a node's idea of the store's now may be ahead of it, µs.
const AHEAD_US: i64 = 1_000;

/// How far back a sight of the store's clock still says what a node may believe, µs.
const SIGHT_US: u64 = 15_000_000;

/// S1: planned times lie on the grid, each comes once, none is left out that time did not pass over.
pub(super) fn the_grid_is_kept(story: &Story<'_>, findings: &mut Findings) {
    for (id, task) in &story.tasks {
        let is_alone = task.adds.len() == 1
            && !task
                .changes
                .iter()
                .any(|change| matches!(change.action, Action::Reschedule | Action::Retry));
        let Some(interval_us) = task.adds.first().and_then(|add| add.spec.interval_us) else {
            continue;
        };
        let Ok(interval_us) = i64::try_from(interval_us) else { continue };
        if is_alone && interval_us > 0 {
            judge(story, id, task, interval_us, findings);
        }
    }
}

fn judge(story: &Story<'_>, id: &str, task: &Task<'_>, interval_us: i64, findings: &mut Findings) {
    let spec = task.adds[0].spec;
    let mut last: Option<&Taken<'_>> = None;
    // Answers may overtake each other; fences are given in the order of the claims (T4).
    let mut in_order: Vec<&Taken<'_>> = task.taken.iter().collect();
    in_order.sort_by_key(|taken| taken.task.fence);
    for taken in in_order {
        let planned = taken.task.planned;
        let base = spec.run_at.or(task.taken.first().map(|first| first.task.planned));
        if base.is_some_and(|base| (planned - base).rem_euclid(interval_us) != 0) {
            findings.task(id, format!("planned time {planned} is not on the grid"));
        }
        let Some(before) = last.replace(taken) else { continue };
        let (from, to) = (before.task.planned, planned);
        if to < from {
            findings.task(id, format!("planned time {to} comes after {from}"));
        } else if to > from {
            match latest_next(story, task, before, interval_us, spec.catches_up) {
                None => findings.task(id, format!("planned time {from} has no outcome")),
                Some(latest) if to > latest => findings.task(
                    id,
                    format!("planned time {to} follows {from}, and {latest} was due before"),
                ),
                Some(_) => {}
            }
        }
    }
}

/// The latest planned time that may follow an occurrence; `None` if no outcome of it was sent.
fn latest_next(
    story: &Story<'_>,
    task: &Task<'_>,
    before: &Taken<'_>,
    interval_us: i64,
    catches_up: bool,
) -> Option<i64> {
    let planned = before.task.planned;
    let ends = task.acks.iter().filter(|ack| {
        let taken = task.taken_with(ack.item.fence);
        ack.done != Some(false)
            && is_terminal(ack.item.verdict)
            && taken.is_some_and(|taken| taken.task.planned == planned)
    });
    let decided = ends.map(|ack| ack.when.from).max()?;
    if catches_up {
        return Some(planned + interval_us);
    }
    let from = decided.saturating_sub(SIGHT_US);
    let near = story.sights.iter().filter(|(sent, ..)| (from..=decided).contains(sent));
    let ahead = near.map(|(sent, _, now)| now - i64::try_from(*sent).unwrap_or(0)).max();
    let now = ahead.map_or(i64::MAX / 2, |ahead| {
        ahead + i64::try_from(decided).unwrap_or(i64::MAX / 4) + AHEAD_US
    });
    let passed = (now.max(planned) - planned) / interval_us;
    Some(planned.saturating_add((passed + 1).saturating_mul(interval_us)))
}
