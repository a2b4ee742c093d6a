//! T9, N3: runs of one task do not overlap, and a run whose lease is lost is stopped.

use std::collections::HashMap;

use crate::checker::history::Call;
use crate::checker::history::Reply;
use crate::checker::story::NEVER;
use crate::checker::story::Run;
use crate::checker::story::Story;
use crate::checker::story::Taken;
use crate::checker::story::Task;

use super::Findings;
use super::seconds;

/// From the store's word that a lease is lost to the stop of its runs, µs.
const STOP_US: u64 = 1_000_000;

/// A process that stands still for no longer than this is covered by the trust window, µs.
const PAUSE_US: u64 = 200_000;

/// What a process that stood still longer may take to notice, µs.
const BLINK_US: u64 = 250_000;

/// T9: exclusive runs never overlap; others only when their node could not renew for a lease.
pub(super) fn runs_do_not_overlap(story: &Story<'_>, findings: &mut Findings) {
    for (id, task) in &story.tasks {
        for (at, later) in task.runs.iter().enumerate() {
            for earlier in &task.runs[..at] {
                let last = last_awake_sign(story, earlier, later.at);
                if last <= later.at {
                    continue;
                }
                let is_exclusive = task.spec_at(earlier.at).is_some_and(|spec| spec.exclusive);
                let over_us = last - later.at;
                if is_exclusive {
                    findings.task(
                        id,
                        format!(
                            "is exclusive and ran on {} and {} for {over_us} µs",
                            earlier.by, later.by
                        ),
                    );
                } else if let Some(why) = why_wrong(story, task, earlier, later) {
                    findings
                        .task(id, format!("ran on {} and {} at once {why}", earlier.by, later.by));
                } else {
                    findings.figures.overlaps.push(over_us);
                }
            }
        }
    }
}

/// The last moment at which a run was seen to go on, without what its process did in the blink after
/// it had stood still since before `other_at`.
fn last_awake_sign(story: &Story<'_>, run: &Run<'_>, other_at: u64) -> u64 {
    if run.last_sign() <= other_at {
        return run.last_sign();
    }
    let pauses = story.processes.get(run.by).map_or(&[][..], |process| &process.pauses);
    let long = |(from, to): &&(u64, u64)| to - from > PAUSE_US;
    let is_blink = |at: u64| {
        pauses
            .iter()
            .filter(long)
            .any(|(from, to)| *from <= other_at + BLINK_US && *from <= at && at <= to + BLINK_US)
    };
    let end = run.end.map(|(at, _)| at);
    let signs = run.beats.iter().copied().chain(end);
    signs.filter(|at| !is_blink(*at)).max().unwrap_or(run.at)
}

/// Why the overlap of two runs of a task that is not exclusive should not be, if it should not.
fn why_wrong(
    story: &Story<'_>,
    task: &Task<'_>,
    earlier: &Run<'_>,
    later: &Run<'_>,
) -> Option<&'static str> {
    let (a, b) = (task.taken_with(earlier.start.fence)?, task.taken_with(later.start.fence)?);
    if a.claim == b.claim {
        return Some("under one claim");
    }
    let is_reclaimed = task
        .reclaims
        .iter()
        .any(|reclaim| reclaim.claim == a.claim && reclaim.when.from < b.when.to);
    if !is_reclaimed {
        return Some("though the first was not reclaimed");
    }
    let renewed = last_renewal(story, a, b.when.to);
    let is_over = b.when.to.saturating_sub(renewed) >= story.setting.lease_us;
    (!is_over).then_some("though the lease of the first had been renewed")
}

/// When the last renewal of a claim that was answered well had been sent, before some moment.
fn last_renewal(story: &Story<'_>, taken: &Taken<'_>, until: u64) -> u64 {
    let renews = |claims: &[String], lost: &[String]| {
        claims.iter().any(|claim| claim == taken.claim)
            && !lost.iter().any(|claim| claim == taken.claim)
    };
    let sent = story.calls.iter().filter(|span| span.answered < until).filter_map(|span| {
        match (span.what, span.reply) {
            (Call::Keep { claims }, Some(Reply::Kept { lost, .. })) if renews(claims, lost) => {
                Some(span.sent)
            }
            _ => None,
        }
    });
    sent.max().unwrap_or(taken.when.from)
}

/// N3: from the answer that names a claim as lost to the stop of its runs it takes at most a second.
pub(super) fn lost_runs_are_stopped(story: &Story<'_>, findings: &mut Findings) {
    let mut by_claim: HashMap<&str, Vec<(&str, &Run<'_>)>> = HashMap::new();
    for (id, task) in &story.tasks {
        for run in task.runs.iter().filter(|run| run.start.stoppable) {
            if let Some(taken) = task.taken.iter().find(|t| t.task.fence == run.start.fence) {
                by_claim.entry(taken.claim).or_default().push((id, run));
            }
        }
    }
    for span in &story.calls {
        let Some(Reply::Kept { lost, .. }) = span.reply else { continue };
        for claim in lost {
            for (id, run) in by_claim.get(claim.as_str()).into_iter().flatten() {
                let limit = span.answered + STOP_US + stood_still(story, run.by, span.answered);
                if run.by == span.by && run.at < span.answered && run.last_sign() > limit {
                    let (told, last) = (seconds(span.answered), seconds(run.last_sign()));
                    findings.task(id, format!("lost its lease at {told} and ran until {last}"));
                }
            }
        }
    }
}

/// How long a process, or what its handlers run on, stood still in the time that it has to stop a
/// run, µs.
fn stood_still(story: &Story<'_>, process: &str, from: u64) -> u64 {
    let Some(process) = story.processes.get(process) else { return 0 };
    let near = |(start, end): &&(u64, u64)| *start < from.saturating_add(STOP_US) && *end > from;
    let stops = process.pauses.iter().chain(&process.blocks);
    let still = stops.filter(near).map(|(start, end)| end - from.max(*start));
    still.fold(0, |sum: u64, us| sum.saturating_add(us)).min(NEVER / 4)
}
