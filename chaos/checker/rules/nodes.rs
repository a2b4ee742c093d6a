//! N1, N2, N4: nodes that leave, nodes that die, and tasks that kill them.

use crate::checker::figures::Recovery;
use crate::checker::history::Action;
use crate::checker::history::Call;
use crate::checker::history::Reply;
use crate::checker::history::Verdict;
use crate::checker::story::Change;
use crate::checker::story::NEVER;
use crate::checker::story::Process;
use crate::checker::story::Reclaim;
use crate::checker::story::Run;
use crate::checker::story::Story;
use crate::checker::story::Taken;
use crate::checker::story::Task;

use super::Findings;
use super::seconds;

/// Deaths of its node in a row from which a task waits apart.
const SUSPECT_CRASHES: u32 = 2;

/// Deaths of its node in a row after which a task is dead.
const CRASHES_MAX: u32 = 5;

/// Codes with which a node may leave by itself: done, and something could not be sent.
const CODES: [i32; 2] = [0, 3];

/// What a recovery may take beside leases, terms and grace: two sweeps and half a second, µs.
const SWEEPS_US: u64 = 1_500_000;

/// A process that stands still for longer than this may make others late, µs.
const PAUSE_US: u64 = 200_000;

/// How long a leader may wait for answers, as the bound has it, µs. A store that is slower makes
/// recoveries late that are many.
const SLOW_US: u64 = 500_000;

/// Within what other nodes run what a leaving node hands back, µs.
const HANDOVER_US: u64 = 1_000_000;

/// N1: who leaves with code 0 has no open run and loses no lease afterwards.
pub(super) fn who_leaves_leaves_nothing(story: &Story<'_>, findings: &mut Findings) {
    for (name, process) in &story.processes {
        let Some((at, Some(code))) = process.exited else { continue };
        if !CODES.contains(&code) {
            findings.all(format!("{name} ended with code {code} at {}", seconds(at)));
        }
        if code != 0 {
            continue;
        }
        for (id, task) in &story.tasks {
            let is_open = |run: &&Run<'_>| run.by == *name && run.end.is_none();
            if task.runs.iter().any(|run| is_open(&run)) {
                findings.task(id, format!("still ran when {name} left with code 0"));
            }
            let is_late = |reclaim: &Reclaim<'_>| {
                reclaim.when.from > at
                    && reclaim.is_sure
                    && task.taken.iter().any(|t| t.claim == reclaim.claim && t.by == *name)
            };
            if task.reclaims.iter().any(is_late) {
                findings.task(id, format!("was reclaimed after {name} had left with code 0"));
            }
        }
        handed_back_runs_soon(story, name, process, findings);
    }
}

/// What a leaving node hands back runs elsewhere within a second.
fn handed_back_runs_soon(
    story: &Story<'_>,
    name: &str,
    process: &Process<'_>,
    findings: &mut Findings,
) {
    let Some(asked) = process.asked else { return };
    for (id, task) in &story.tasks {
        for ack in &task.acks {
            let is_own = |taken: &&Taken<'_>| taken.claim == ack.item.claim && taken.by == name;
            let Some(taken) = task.taken.iter().find(is_own) else { continue };
            let is_back = ack.done == Some(true) && ack.item.verdict == Verdict::Release;
            // A suspect has little room, and may have to wait.
            let is_suspect = taken.task.crashes >= SUSPECT_CRASHES;
            if !is_back || is_suspect || ack.when.from < asked {
                continue;
            }
            let at = ack.when.to;
            let until = at + HANDOVER_US;
            let next =
                task.runs.iter().find(|run| run.at >= ack.when.from).map_or(NEVER, |run| run.at);
            if is_disturbed(story, at, until) || is_touched(task, taken.when.from, until) {
                continue;
            }
            if next > until {
                let back = seconds(at);
                findings
                    .task(id, format!("was handed back at {back} and did not run for a second"));
            } else {
                findings.figures.handovers.push(next.saturating_sub(at));
            }
        }
    }
}

/// N2: what a process held when it was killed runs again within the bound.
pub(super) fn tasks_of_the_dead_run_again(story: &Story<'_>, findings: &mut Findings) {
    let terms = Terms::of(story);
    for (name, process) in &story.processes {
        let Some((died, None)) = process.exited else { continue };
        let (bound, leader_died) = terms.bound(story, died);
        for (id, task) in &story.tasks {
            let Some(held) = held_by(task, name, died) else { continue };
            let until = died + bound;
            let suspect = task.taken.iter().any(|t| t.task.crashes >= SUSPECT_CRASHES);
            if held.task.crashes + 1 >= SUSPECT_CRASHES || suspect || story.end < until {
                continue;
            }
            let is_slow = led_us(story, died, until) > SLOW_US;
            let is_disturbed = is_slow || is_disturbed(story, died, until);
            if is_disturbed || is_touched(task, held.when.from, until) {
                findings.figures.unjudged += 1;
                continue;
            }
            let fence = held.task.fence;
            let next = task.runs.iter().find(|run| run.at > died && run.start.fence > fence);
            let took = next.map_or(NEVER, |run| run.at - died);
            if took > bound {
                let (at, late) =
                    (seconds(died), next.map_or("never".to_owned(), |r| seconds(r.at)));
                findings.task(
                    id,
                    format!("{name} died with it at {at}; it ran again: {late}; bound {bound} µs"),
                );
            } else {
                findings.figures.recoveries.push(Recovery { took, bound, leader_died });
            }
        }
    }
}

/// The claim under which a process held a task when it died, if it surely did.
fn held_by<'a>(task: &'a Task<'a>, process: &str, died: u64) -> Option<&'a Taken<'a>> {
    let taken = task.taken.iter().rfind(|t| t.by == process && t.when.to <= died)?;
    let is_acked = task.acks.iter().any(|ack| ack.item.claim == taken.claim);
    let is_lost = task.reclaims.iter().any(|r| r.claim == taken.claim && r.when.from < died);
    let ran = task.runs.iter().any(|run| run.start.fence == taken.task.fence);
    (ran && !is_acked && !is_lost).then_some(taken)
}

/// Whether a user did something to a task, or may have.
fn is_touched(task: &Task<'_>, from: u64, to: u64) -> bool {
    let is_changed = |change: &Change| {
        let stays = matches!(change.action, Action::Retry | Action::Resume);
        !stays && change.when.may_be_in(from, to)
    };
    let was_paused = |change: &Change| change.action == Action::Pause && change.when.from < to;
    task.adds.iter().any(|add| add.when.may_be_in(from, to))
        || task.changes.iter().any(|change| is_changed(change) || was_paused(change))
}

/// Whether a fault or a process that stood still may have made others late.
fn is_disturbed(story: &Story<'_>, from: u64, to: u64) -> bool {
    story.faults.iter().any(|fault| fault.from < to && fault.to > from)
        || story
            .processes
            .values()
            .flat_map(|process| &process.pauses)
            .any(|(start, end)| *start < to && *end > from && end - start > PAUSE_US)
}

/// How long leaders waited for answers to their duties between two moments, µs. Calls that were under
/// way at the same time count once.
fn led_us(story: &Story<'_>, from: u64, to: u64) -> u64 {
    let is_duty = |what: &Call| matches!(what, Call::Reclaim { .. } | Call::Duty { .. });
    let duties = story.calls.iter().filter(|span| is_duty(span.what));
    let near = duties.filter(|span| span.sent < to && span.answered > from && span.reply.is_some());
    let mut waits: Vec<(u64, u64)> = near.map(|span| (span.sent, span.answered)).collect();
    waits.sort_unstable();
    let (mut sum, mut until) = (0, 0);
    for (sent, answered) in waits {
        sum += answered.saturating_sub(sent.max(until));
        until = until.max(answered);
    }
    sum
}

/// Who led, in the order of the terms, and after them who may have.
struct Terms<'a> {
    spells: Vec<Spell<'a>>,
}

#[derive(Clone, Copy)]
struct Spell<'a> {
    holder: &'a str,
    /// From when, and when that was last known.
    first: u64,
    last: u64,
    /// Not after a bid that nobody saw answered.
    is_sure: bool,
}

impl<'a> Terms<'a> {
    fn of(story: &Story<'a>) -> Self {
        let (mut spells, mut terms, mut perhaps) =
            (Vec::<Spell<'a>>::new(), Vec::new(), Vec::new());
        for span in story.calls.iter().filter(|span| matches!(span.what, Call::Campaign)) {
            let spell = |at, is_sure| Spell { holder: span.by, first: at, last: at, is_sure };
            match span.reply {
                None => perhaps.push(spell(span.sent, false)),
                Some(Reply::Leads { term: Some(term), own: true, .. }) => {
                    if let Some(known) = terms.iter().position(|known| known == term) {
                        spells[known].last = span.answered.max(spells[known].last);
                    } else {
                        terms.push(*term);
                        spells.push(spell(span.answered, true));
                    }
                }
                Some(_) => {}
            }
        }
        spells.extend(perhaps);
        Self { spells }
    }

    /// How long what died at some moment may take to run again, and whether a leader died with it.
    fn bound(&self, story: &Story<'_>, died: u64) -> (u64, bool) {
        let setting = &story.setting;
        let grace = 2 * (setting.lease_us / 4).min(1_000_000);
        let mut until = died + setting.lease_us + grace + SWEEPS_US;
        let mut leader_died = false;
        for (at, spell) in self.spells.iter().enumerate() {
            let Some(process) = story.processes.get(spell.holder) else { continue };
            // It trusts the store's clock once it has seen it for a lease.
            let is_there = |joined: &u64| spell.is_sure && *joined <= until && spell.last >= died;
            if let Some(joined) = process.joined.filter(is_there) {
                until = until.max(joined + setting.lease_us + grace + SWEEPS_US);
            }
            let Some((mut ended, code)) = process.exited else { continue };
            let is_dead = code.is_none();
            if !is_dead {
                // One that leaves in good order resigns before it ends, and looks start anew.
                let next = self.spells.get(at + 1).filter(|next| spell.is_sure && next.is_sure);
                ended = next.map_or(ended, |next| ended.min(next.first));
            }
            let led = spell.last.saturating_add(setting.term_us) > ended;
            let matters = ended.saturating_add(setting.term_us) > died && ended <= until;
            if led && matters && (is_dead || spell.is_sure) {
                leader_died |= is_dead;
                let vacant = if is_dead { setting.lease_us.max(setting.term_us) } else { 0 };
                until = until.max(ended + vacant + grace + SWEEPS_US);
            }
        }
        (until - died, leader_died)
    }
}

/// N4: a task that kills no node does not die of the crash limit.
pub(super) fn killers_take_no_other(story: &Story<'_>, findings: &mut Findings) {
    for kept in story.dump.iter().flat_map(|dump| dump.tasks) {
        let task = story.tasks.get(kept.task.as_str());
        let kills = task.is_some_and(|task| task.adds.iter().any(|add| add.spec.kills));
        if kept.state == "dead" && kept.crashes >= CRASHES_MAX && !kills {
            findings.task(&kept.task, "kills no node and is dead because its nodes died");
        }
    }
}
