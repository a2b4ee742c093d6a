//! T3, T4, T5: one lease at a time, fences that grow, and acks that need their claim.

use std::collections::HashMap;

use crate::checker::history::Action;
use crate::checker::history::Call;
use crate::checker::history::Outcome;
use crate::checker::history::Reply;
use crate::checker::history::Verdict;
use crate::checker::story::Ack;
use crate::checker::story::Story;
use crate::checker::story::Taken;
use crate::checker::story::Task;

use super::Findings;

/// T3: between two claims of a task the first one was acknowledged or reclaimed.
pub(super) fn one_lease_at_a_time(story: &Story<'_>, findings: &mut Findings) {
    for (id, task) in &story.tasks {
        for pair in task.taken.windows(2) {
            let (a, b) = (&pair[0], &pair[1]);
            let is_other_way = !a.when.is_before(&b.when) && lets_go(task, b, a);
            if a.claim != b.claim && !lets_go(task, a, b) && !is_other_way {
                findings.task(
                    id,
                    format!(
                        "is claimed by {} while {} holds it (fence {})",
                        b.by, a.by, a.task.fence
                    ),
                );
            }
        }
    }
}

/// Whether `first` may have let the task go before `second` took it.
fn lets_go(task: &Task<'_>, first: &Taken<'_>, second: &Taken<'_>) -> bool {
    let until = second.when.to;
    let is_acked = |ack: &Ack<'_>| ack.item.claim == first.claim && ack.when.from < until;
    task.acks.iter().any(is_acked)
        || task
            .reclaims
            .iter()
            .any(|reclaim| reclaim.claim == first.claim && reclaim.when.from < until)
}

/// T4: a later claim of a task has a higher fence, unless the task had gone and the store's clock was
/// set back before it came again.
pub(super) fn fences_grow(story: &Story<'_>, findings: &mut Findings) {
    for (id, task) in &story.tasks {
        for (at, later) in task.taken.iter().enumerate() {
            let is_wrong = |earlier: &&Taken<'_>| {
                let is_same = earlier.task.fence == later.task.fence;
                let is_less = earlier.task.fence > later.task.fence;
                let is_later = earlier.when.is_before(&later.when);
                is_same || is_less && is_later && !came_again(task, earlier, later)
            };
            if let Some(earlier) = task.taken[..at].iter().find(is_wrong) {
                let (old, new) = (earlier.task.fence, later.task.fence);
                findings.task(id, format!("is claimed with fence {new} after {old}"));
            }
        }
    }
}

/// Whether the task may have gone and been added again between two claims, and the clock was set back.
fn came_again(task: &Task<'_>, earlier: &Taken<'_>, later: &Taken<'_>) -> bool {
    let (from, to) = (earlier.when.from, later.when.to);
    let is_back = u64::try_from(later.now).is_ok_and(|now| now < earlier.task.fence);
    let has_ended = task
        .acks
        .iter()
        .any(|ack| ack.item.verdict == Verdict::Completed && ack.when.may_be_in(from, to));
    let is_removed = task
        .changes
        .iter()
        .any(|change| change.action == Action::Remove && change.when.may_be_in(from, to));
    let is_added = task.adds.iter().any(|add| add.when.may_be_in(from, to));
    is_back && is_added && (has_ended || is_removed)
}

/// T5: an ack or a renewal under a claim that does not hold the task changes nothing.
pub(super) fn a_lost_claim_changes_nothing(story: &Story<'_>, findings: &mut Findings) {
    for (id, task) in &story.tasks {
        for (at, ack) in task.acks.iter().enumerate() {
            if ack.done != Some(true) {
                continue;
            }
            if let Some(why) = why_stale(task, ack, &task.acks[..at]) {
                let (verdict, fence) = (ack.item.verdict, ack.item.fence);
                findings.task(id, format!("{verdict:?} of fence {fence} was accepted after {why}"));
            }
        }
    }
    lost_claims_are_not_renewed(story, findings);
}

/// Why an ack should not have been accepted, if it should not.
fn why_stale(task: &Task<'_>, ack: &Ack<'_>, earlier: &[Ack<'_>]) -> Option<&'static str> {
    let claim = ack.item.claim.as_str();
    let is_reclaimed = task.reclaims.iter().any(|reclaim| {
        reclaim.claim == claim && reclaim.is_sure && reclaim.when.is_before(&ack.when)
    });
    if is_reclaimed {
        return Some("its claim was reclaimed");
    }
    let is_same = |other: &Ack<'_>| other.item.claim == claim && other.item.fence == ack.item.fence;
    if earlier.iter().any(|other| other.done == Some(true) && is_same(other)) {
        return Some("an outcome under the same claim");
    }
    let own = task.taken.iter().find(|taken| taken.claim == claim)?;
    if own.task.fence != ack.item.fence {
        return Some("the task was claimed with another fence");
    }
    let is_taken = task.taken.iter().any(|taken| {
        taken.claim != claim && own.when.is_before(&taken.when) && taken.when.is_before(&ack.when)
    });
    if is_taken {
        return Some("another claim had taken the task");
    }
    let is_removed = task.changes.iter().any(|change| {
        change.action == Action::Remove
            && change.is_sure
            && own.when.is_before(&change.when)
            && change.when.is_before(&ack.when)
    });
    if is_removed {
        return Some("the task was removed");
    }
    let is_replaced = task.adds.iter().any(|add| {
        matches!(add.outcome, Some(Outcome::Created | Outcome::Replaced))
            && own.when.is_before(&add.when)
            && add.when.is_before(&ack.when)
    });
    is_replaced.then_some("the task was replaced")
}

/// A claim whose tasks have all been taken from it, one of them by a reclaim, cannot be prolonged.
fn lost_claims_are_not_renewed(story: &Story<'_>, findings: &mut Findings) {
    let mut gone: HashMap<&str, u64> = HashMap::new();
    let mut open: HashMap<&str, usize> = HashMap::new();
    for task in story.tasks.values() {
        for taken in &task.taken {
            let reclaimed = task.reclaims.iter().find(|r| r.claim == taken.claim && r.is_sure);
            match reclaimed {
                Some(reclaim) => {
                    let at = gone.entry(taken.claim).or_default();
                    *at = reclaim.when.to.max(*at);
                }
                None => *open.entry(taken.claim).or_default() += 1,
            }
        }
    }
    for span in &story.calls {
        let (Call::Keep { claims }, Some(Reply::Kept { lost, .. })) = (span.what, span.reply)
        else {
            continue;
        };
        for claim in claims.iter().filter(|claim| !lost.contains(claim)) {
            let is_gone = gone.get(claim.as_str()).is_some_and(|at| *at < span.sent);
            if is_gone && !open.contains_key(claim.as_str()) {
                findings
                    .all(format!("claim {claim} of {} was prolonged after its reclaim", span.by));
            }
        }
    }
}
