//! Judges what a store did by what it was asked and what it answered.
//!
//! It shares no code with any store, and keeps its own notes: who holds which task since when, which
//! outcomes were accepted, who leads.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use taskshed::domain::id::ClaimId;
use taskshed::domain::id::RequestId;
use taskshed::domain::id::TaskId;
use taskshed::domain::lease::Fence;
use taskshed::domain::lease::Term;
use taskshed::domain::state::Again;
use taskshed::domain::state::TaskState;
use taskshed::domain::state::Verdict;
use taskshed::domain::time::Timestamp;
use taskshed::store::AckItem;
use taskshed::store::Acked;
use taskshed::store::Action;
use taskshed::store::Add;
use taskshed::store::AddOutcome;
use taskshed::store::Added;
use taskshed::store::Change;
use taskshed::store::Changed;
use taskshed::store::Claim;
use taskshed::store::Claimed;
use taskshed::store::Keep;
use taskshed::store::Kept;
use taskshed::store::Leader;
use taskshed::store::Led;
use taskshed::store::Mandate;
use taskshed::store::Reclaim;
use taskshed::store::StopReason;
use taskshed::store::Target;
use taskshed::store::TaskRecord;

use crate::call::Call;
use crate::call::Picture;
use crate::call::Reply;
use crate::shown;

/// What is wrong, with the invariant that does not hold.
pub(crate) type Judgement = Result<(), String>;

/// One call, and what the store showed before and after it.
#[derive(Debug)]
pub(crate) struct Event<'a> {
    pub(crate) now: Timestamp,
    pub(crate) call: &'a Call,
    pub(crate) reply: &'a Reply,
    pub(crate) before: &'a Picture,
    pub(crate) after: &'a Picture,
}

/// A run that was given out and not taken back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hold {
    pub(crate) claim: ClaimId,
    pub(crate) fence: Fence,
    planned_at: Timestamp,
    /// Number of the life that it began in.
    life: u64,
}

/// The life of a task from its add to a retry, a reschedule or a replacement.
#[derive(Clone, Debug, Default)]
struct Life {
    number: u64,
    request: Option<RequestId>,
    was_claimed: bool,
    /// Whether a user asked for a planned time while it ran, which begins another life.
    was_rescheduled: bool,
}

/// Notes of one history.
#[derive(Debug, Default)]
pub(crate) struct History {
    lives: BTreeMap<TaskId, Life>,
    fences: BTreeMap<TaskId, Fence>,
    /// Runs of present tasks, and of tasks that were replaced or removed.
    pub(crate) held: BTreeMap<TaskId, Hold>,
    pub(crate) ghosts: BTreeMap<TaskId, Hold>,
    lease_ends: BTreeMap<ClaimId, Timestamp>,
    /// Outcomes that ended an occurrence: task, life, planned time.
    accepted: BTreeSet<(TaskId, u64, Timestamp)>,
    term: Term,
    leads: Option<Mandate>,
}

pub(crate) fn demand(holds: bool, what: impl FnOnce() -> String) -> Judgement {
    if holds { Ok(()) } else { Err(what()) }
}

impl History {
    /// Takes note of an event, or says what it breaks.
    pub(crate) fn judge(&mut self, event: &Event<'_>) -> Judgement {
        match (event.call, event.reply) {
            (Call::Add(add), Reply::Added(added)) => self.added(event, add, added)?,
            (Call::Claim(claim), Reply::Claimed(claimed)) => self.claimed(event, claim, claimed)?,
            (Call::Keep(keep), Reply::Kept(kept)) => self.kept(event, keep, kept)?,
            (Call::Ack(items), Reply::Acked(acked)) => self.acked(event, items, acked)?,
            (Call::Change(change), Reply::Changed(changed)) => {
                self.changed(event, change, changed)?;
            }
            (Call::Reclaim(reclaim), Reply::Reclaimed(led)) => {
                judge_mandate(event, &reclaim.mandate, matches!(led, Led::Done(_)))?;
                if let Led::Done(taken) = led {
                    self.reclaimed(reclaim, *taken)?;
                }
            }
            (Call::Look(look), Reply::Seen(led)) => {
                judge_mandate(event, &look.mandate, matches!(led, Led::Done(_)))?;
            }
            (Call::Maintain(maintain), Reply::Maintained(led)) => {
                judge_mandate(event, &maintain.mandate, matches!(led, Led::Done(_)))?;
            }
            (Call::Campaign(_), Reply::Leading(leading)) => {
                self.elected(leading.leader.as_ref())?;
            }
            _ => {}
        }
        // An id that is gone may come again with a fence of the same microsecond.
        self.fences.retain(|id, _| event.after.tasks.contains_key(id));
        shown::judge(event, self)
    }

    /// What was running is lost to the stores in which the tasks are now, and nobody leads there.
    pub(crate) fn move_on(&mut self) {
        for life in self.lives.values_mut() {
            life.request = None;
            // A planned time that was asked for while a task runs moves with it, still asked for.
            life.number += u64::from(life.was_rescheduled);
        }
        self.held.clear();
        self.ghosts.clear();
        self.lease_ends.clear();
        (self.term, self.leads) = (Term::default(), None);
    }

    fn added(&mut self, event: &Event<'_>, add: &Add, added: &Added) -> Judgement {
        for (task, outcome) in add.tasks.iter().zip(&added.outcomes) {
            if !matches!(outcome, AddOutcome::Created | AddOutcome::Replaced) {
                continue;
            }
            let life = self.lives.entry(task.id.clone()).or_default();
            let is_there = event.before.tasks.contains_key(&task.id);
            if is_there && life.request.as_ref() == Some(&add.request) {
                continue;
            }
            *life = Life {
                number: life.number + 1,
                request: Some(add.request.clone()),
                was_claimed: false,
                was_rescheduled: false,
            };
            self.supersede(&task.id);
            demand(event.after.tasks.contains_key(&task.id), || {
                format!("T1: {} was acknowledged and is not there", task.id)
            })?;
        }
        Ok(())
    }

    fn supersede(&mut self, id: &TaskId) {
        if let Some(hold) = self.held.remove(id) {
            self.ghosts.insert(id.clone(), hold);
        }
    }

    fn claimed(&mut self, event: &Event<'_>, claim: &Claim, claimed: &Claimed) -> Judgement {
        let mut is_new = false;
        for task in &claimed.tasks {
            let lease = task.lease.as_ref().ok_or("T3: a claimed task has no lease")?;
            let fence = lease.fence;
            let is_known = |hold: &Hold| hold.claim == claim.id && hold.fence == fence;
            if self.held.get(&task.id).is_some_and(is_known) {
                continue;
            }
            is_new = true;
            self.judge_claim(event, claim, task)?;
            let last = self.fences.insert(task.id.clone(), fence);
            demand(last.is_none_or(|last| fence > last), || {
                format!("T4: {} got {fence:?} after {last:?}", task.id)
            })?;
            let life = self.lives.entry(task.id.clone()).or_default();
            life.was_claimed = true;
            let (claim, planned_at, life) = (claim.id.clone(), task.planned_at, life.number);
            self.held.insert(task.id.clone(), Hold { claim, fence, planned_at, life });
        }
        if is_new {
            self.lease_ends.insert(claim.id.clone(), event.now.plus(claim.ttl));
        }
        let crashes = |count| claimed.tasks.iter().filter(|task| task.crashes == count).count();
        let fits = crashes(2) <= claim.suspects.two && crashes(3) <= claim.suspects.three;
        let is_alone = crashes(4) == 0 || (claim.suspects.idle && claimed.tasks.len() == 1);
        demand(!is_new || (fits && is_alone), || "N4: too many suspects at once".into())?;
        demand(claimed.tasks.len() <= claim.limit, || "a claim took more than its limit".into())
    }

    fn judge_claim(&self, event: &Event<'_>, claim: &Claim, task: &TaskRecord) -> Judgement {
        let id = &task.id;
        demand(!self.held.contains_key(id), || format!("T3: {id} is held by {:?}", self.held[id]))?;
        demand(!self.ghosts.contains_key(id), || format!("T3: the old run of {id} goes on"))?;
        let was = event.before.tasks.get(id).ok_or_else(|| format!("T2: {id} was not there"))?;
        demand(was.state == TaskState::Scheduled && was.paused_at.is_none(), || {
            format!("T8: {id} was {:?}, paused {:?}", was.state, was.paused_at)
        })?;
        demand(was.run_at <= event.now.plus(claim.ahead), || format!("T8: {id} is not due"))?;
        let life = self.lives.get(id).cloned().unwrap_or_default();
        let is_late = was.expires_at.is_some_and(|at| at <= event.now) && !life.was_claimed;
        demand(!is_late, || format!("T8: {id} has expired"))?;
        let mut queues = event.before.stats.queues.iter();
        let is_paused = queues.any(|queue| queue.queue == was.spec.queue && queue.paused);
        demand(!is_paused, || format!("T8: the queue of {id} is paused"))?;
        demand(task.attempt <= task.spec.max_attempts, || format!("T7: {id} has no attempt left"))?;
        let accepted = self.accepted.range((id.clone(), life.number, Timestamp::EPOCH)..);
        let mut later =
            accepted.take_while(|(other, number, _)| other == id && *number == life.number);
        demand(later.all(|(_, _, at)| *at < task.planned_at), || {
            format!("S1: {id} runs again for {:?}", task.planned_at)
        })
    }

    fn kept(&mut self, event: &Event<'_>, keep: &Keep, kept: &Kept) -> Judgement {
        for claim in &keep.claims {
            let holds =
                |holds: &BTreeMap<TaskId, Hold>| holds.values().any(|hold| hold.claim == *claim);
            let is_alive = holds(&self.held) || holds(&self.ghosts);
            demand(is_alive != kept.lost.contains(claim), || {
                format!("T5: {claim} holds tasks: {is_alive}; lost: {:?}", kept.lost)
            })?;
            if is_alive {
                self.lease_ends.insert(claim.clone(), event.now.plus(keep.ttl));
            }
            for (id, _) in self.ghosts.iter().filter(|(_, hold)| hold.claim == *claim) {
                let told = kept
                    .stop
                    .iter()
                    .any(|stop| stop.task == *id && stop.reason == StopReason::Superseded);
                demand(told, || format!("the old run of {id} was not told to stop"))?;
            }
        }
        Ok(())
    }

    fn acked(&mut self, event: &Event<'_>, items: &[AckItem], acked: &[Acked]) -> Judgement {
        for (item, acked) in items.iter().zip(acked) {
            let fits = |hold: &Hold| hold.claim == item.claim && hold.fence == item.fence;
            let is_held = self.held.get(&item.task).is_some_and(fits);
            demand(is_held == (*acked == Acked::Done), || {
                format!("T5: an ack of {} was {acked:?}, held: {is_held}", item.task)
            })?;
            if is_held {
                self.accept(&item.task, &item.verdict)?;
            } else if self.ghosts.get(&item.task).is_some_and(fits) {
                self.ghosts.remove(&item.task);
            }
        }
        let is_stale = acked.iter().all(|acked| *acked == Acked::Stale);
        demand(!is_stale || event.before.tasks == event.after.tasks, || {
            "T5: a stale ack changed a task".into()
        })
    }

    /// A run was handed back with an outcome that counts.
    fn accept(&mut self, id: &TaskId, verdict: &Verdict) -> Judgement {
        let Some(hold) = self.held.remove(id) else { return Ok(()) };
        if matches!(verdict, Verdict::End { .. } | Verdict::Again { why: Again::Next, .. }) {
            let is_first = self.accepted.insert((id.clone(), hold.life, hold.planned_at));
            demand(is_first, || format!("T6: {id} ended twice for {:?}", hold.planned_at))?;
            let life = self.lives.entry(id.clone()).or_default();
            // A planned time that was asked for while a task runs moves with it, still asked for.
            life.number += u64::from(life.was_rescheduled);
        }
        Ok(())
    }

    fn reclaimed(&mut self, reclaim: &Reclaim, taken: u64) -> Judgement {
        let claim = &reclaim.claim;
        let is_same = self.lease_ends.get(claim) == Some(&reclaim.expires_at);
        let mut expected = 0;
        for item in &reclaim.items {
            let holds = self.held.get(&item.task);
            if is_same && holds.is_some_and(|hold| hold.claim == *claim && hold.fence == item.fence)
            {
                expected += 1;
                self.accept(&item.task, &item.verdict)?;
            }
        }
        if is_same {
            self.ghosts.retain(|_, hold| hold.claim != *claim);
        }
        demand(taken == expected, || format!("T5: {taken} tasks reclaimed instead of {expected}"))
    }

    fn changed(&mut self, event: &Event<'_>, change: &Change, changed: &Changed) -> Judgement {
        let ids: BTreeSet<TaskId> = match &change.target {
            Target::Ids(ids) => ids.iter().cloned().collect(),
            Target::Group(group) => {
                let tasks = event.before.tasks.values();
                let grouped = tasks.filter(|task| task.spec.group_id.as_ref() == Some(group));
                grouped.map(|task| task.id.clone()).collect()
            }
        };
        let count = changed.affected + (changed.missing.len() + changed.skipped.len()) as u64;
        demand(count == ids.len() as u64, || format!("{} tasks became {changed:?}", ids.len()))?;
        for id in &ids {
            let (was, is) = (event.before.tasks.get(id), event.after.tasks.get(id));
            let was_scheduled = was.is_some_and(|task| task.state == TaskState::Scheduled);
            let holds = match &change.action {
                Action::Remove => is.is_none(),
                Action::Pause => !was_scheduled || is.is_some_and(|task| task.paused_at.is_some()),
                Action::Cancel => !was_scheduled || is.is_none_or(|task| task.state.is_ended()),
                _ => true,
            };
            demand(holds, || format!("T8: {:?} of {id} left {is:?}", change.action))?;
            match &change.action {
                Action::Remove => self.supersede(id),
                Action::Retry if was.is_some_and(|task| task.state.is_ended()) => {
                    self.lives.entry(id.clone()).or_default().number += 1;
                }
                Action::Reschedule(_) | Action::RescheduleEach(_) => {
                    let life = self.lives.entry(id.clone()).or_default();
                    life.was_rescheduled = was.is_some_and(|task| task.state == TaskState::Running);
                    life.number += 1;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn elected(&mut self, leader: Option<&Leader>) -> Judgement {
        let Some(leader) = leader else { return Ok(()) };
        let mandate = Mandate { process: leader.process.clone(), term: leader.term };
        if self.leads.as_ref() != Some(&mandate) {
            demand(leader.term > self.term, || {
                format!("L1: {:?} after {:?}", leader.term, self.term)
            })?;
            self.term = leader.term;
            self.leads = Some(mandate);
        }
        Ok(())
    }
}

/// Only the present leader is let act (L1).
fn judge_mandate(event: &Event<'_>, mandate: &Mandate, is_done: bool) -> Judgement {
    let leader = event.before.cluster.leader.as_ref();
    let leads = leader
        .is_some_and(|leader| leader.process == mandate.process && leader.term == mandate.term);
    demand(leads == is_done, || format!("L1: {mandate:?} was let act: {is_done}; {leader:?}"))
}
