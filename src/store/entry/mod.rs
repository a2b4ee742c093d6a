//! What a store that is written in Rust keeps of a task, and how it changes.
//!
//! Pure: an entry and the store's now go in, the entry as it then is comes out, or `None` if nothing
//! of it is kept. The memory store and the SQL stores apply these same steps, each with its own way
//! to keep entries; Redis does the same in Lua. So what a step means is written once for all of
//! them, and only where an entry stands differs.

mod arrival;
mod change;
mod lane;

use crate::domain::arrival::Asked;
use crate::domain::id::ClaimId;
use crate::domain::id::RequestId;
use crate::domain::id::UniqueKey;
use crate::domain::lease::Fence;
use crate::domain::lease::Lease;
use crate::domain::state::Again;
use crate::domain::state::TaskState;
use crate::domain::state::Verdict;
use crate::domain::task::NewTask;
use crate::domain::time::Timestamp;
use crate::domain::time::as_us;
use crate::store::AddOutcome;
use crate::store::Options;
use crate::store::TaskRecord;
use crate::store::WATCH_KEPT;

pub(super) use arrival::kept_for;
pub(super) use change::Step;
pub(super) use change::steps;
pub(super) use lane::Lane;
pub(super) use lane::Rank;

/// A task and what nobody is shown of it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its `lease` is empty and its `attempt` leaves out a present run: see [`Entry::view`].
    pub(super) task: TaskRecord,
    /// The add that wrote it, and what that answered.
    pub(super) request: RequestId,
    pub(super) outcome: AddOutcome,
    /// The last fence of its id.
    pub(super) fence: Option<Fence>,
    /// The claim under which it runs.
    pub(super) claim: Option<ClaimId>,
    /// Whether it was never claimed, so that it still can expire.
    pub(super) may_expire: bool,
    pub(super) watched_until: Option<Timestamp>,
    pub(super) asked: Asked,
    pub(super) prune_at: Option<Timestamp>,
}

/// Where a task stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Lane(Lane),
    /// Paused, or waiting for a run to let go: in no lane (T8, T3).
    Aside,
    Running,
    /// Until it is pruned.
    Ended(Timestamp),
}

impl Entry {
    /// A new task; it goes on from the last fence of its id (T4).
    pub(super) fn new(
        task: &NewTask,
        request: &RequestId,
        outcome: AddOutcome,
        fence: Option<Fence>,
        now: Timestamp,
    ) -> Self {
        let run_at = task.run_at.resolve(now);
        Self {
            task: TaskRecord {
                id: task.id.clone(),
                spec: task.spec.clone(),
                state: TaskState::Scheduled,
                created_at: now,
                run_at,
                planned_at: run_at,
                expires_at: task.expires.map(|expires| expires.resolve(now)),
                paused_at: task.paused.map(|paused| paused.resolve(now)),
                parked: false,
                attempt: 0,
                crashes: 0,
                errors: Vec::new(),
                finished_at: None,
                result: None,
                lease: None,
            },
            request: request.clone(),
            outcome,
            fence,
            claim: None,
            may_expire: true,
            watched_until: None,
            asked: Asked::default(),
            prune_at: None,
        }
    }

    /// The task as it is shown, under the lease of its run if it has one.
    pub(super) fn view(&self, lease: Option<Lease>) -> TaskRecord {
        let mut task = self.task.clone();
        task.attempt += u32::from(lease.is_some());
        task.lease = lease;
        task
    }

    /// Where it stands; `is_held` while a run that it replaces has not let go (T3).
    pub(super) fn place(&self, is_held: bool) -> Place {
        let task = &self.task;
        match task.state {
            TaskState::Running => Place::Running,
            TaskState::Scheduled if task.paused_at.is_some() || is_held => Place::Aside,
            TaskState::Scheduled => Place::Lane(Lane::of(task)),
            _ => Place::Ended(self.prune_at.unwrap_or(Timestamp::MAX)),
        }
    }

    /// The unique key that it holds, while it lives (S2).
    pub(super) fn live_key(&self) -> Option<&UniqueKey> {
        if self.task.state.is_ended() { None } else { self.task.spec.unique_key.as_ref() }
    }

    /// When it ends by itself, unless it is claimed before.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        if self.may_expire { self.task.expires_at } else { None }
    }

    /// Runs from now on under a claim.
    pub(super) fn start(&mut self, claim: &ClaimId, fence: Fence) {
        self.fence = Some(fence);
        self.claim = Some(claim.clone());
        self.may_expire = false;
        (self.task.state, self.task.parked) = (TaskState::Running, false);
    }

    /// Ends, and stays as long as its state says.
    pub(super) fn end(
        mut self,
        state: TaskState,
        now: Timestamp,
        options: &Options,
    ) -> Option<Self> {
        let mut keep = kept_for(state, &self.task.spec, options);
        if state == TaskState::Completed && self.watched_until.is_some_and(|until| until >= now) {
            keep = keep.max(WATCH_KEPT);
        }
        if as_us(keep) == 0 {
            return None;
        }

        self.claim = None;
        self.may_expire = false;
        self.watched_until = None;
        self.asked = Asked::default();
        self.prune_at = Some(now.plus(keep));
        let task = &mut self.task;
        (task.state, task.finished_at) = (state, Some(now));
        (task.paused_at, task.parked) = (None, false);
        Some(self)
    }

    /// Takes the verdict on its run, and yields to what was asked meanwhile.
    pub(super) fn apply(
        mut self,
        verdict: &Verdict,
        now: Timestamp,
        options: &Options,
    ) -> Option<Self> {
        let asked = std::mem::take(&mut self.asked);
        self.claim = None;
        let task = &mut self.task;
        task.state = TaskState::Scheduled;
        let (Verdict::End { attempt, crashes, errors, result, .. }
        | Verdict::Again { attempt, crashes, errors, result, .. }) = verdict;
        (task.attempt, task.crashes, task.errors) = (*attempt, *crashes, errors.clone());
        task.result = result.clone().or(task.result.take());

        match verdict {
            Verdict::End { state, .. } => {
                let has_won = *state == TaskState::Completed && !task.spec.schedule.is_recurring();
                let is_cancelled = asked.cancel && !has_won;
                self.end(if is_cancelled { TaskState::Cancelled } else { *state }, now, options)
            }
            Verdict::Again { .. } if asked.cancel => self.end(TaskState::Cancelled, now, options),
            Verdict::Again { why, run_at, planned_at, .. } => {
                (task.run_at, task.planned_at) = match asked {
                    Asked { planned_at: Some(at), .. } if *why == Again::Next => (at, at),
                    _ => (run_at.resolve(now), *planned_at),
                };
                task.paused_at = asked.paused_at;
                if *why != Again::Next {
                    self.asked.planned_at = asked.planned_at;
                }
                Some(self)
            }
        }
    }
}
