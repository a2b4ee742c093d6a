//! Due tasks are leased.

use std::collections::BTreeMap;

use crate::domain::id::Callback;
use crate::domain::id::TaskId;
use crate::domain::lease::Fence;
use crate::domain::state::TaskState;
use crate::domain::task::Priority;
use crate::domain::time::Timestamp;
use crate::store::Claim;
use crate::store::Claimed;
use crate::store::RESERVED_AGAIN_AFTER;
use crate::store::RESERVED_FOR;
use crate::store::SuspectRoom;
use crate::store::TaskRecord;
use crate::store::entry::Entry;
use crate::store::entry::Lane;
use crate::store::entry::Rank;

use super::hints::Wish;
use super::state::Held;
use super::state::Run;
use super::state::State;

/// What became of the search for a suspect that runs alone.
enum Alone {
    /// None is due, or none for this claimer.
    Absent,
    /// The claimer is idle and gets it.
    Taken(Lane),
    /// The claimer is to become idle.
    Reserved,
}

/// A claim while tasks are taken for it.
struct Taking<'a> {
    claim: &'a Claim,
    now: Timestamp,
    horizon: Timestamp,
    room: SuspectRoom,
    /// How many more tasks may be met.
    left: usize,
    taken: Vec<Entry>,
}

impl Taking<'_> {
    /// How many more tasks may be taken from a lane. Those that run alone are not among others.
    fn most(&self, rank: Rank) -> usize {
        match rank {
            Rank::Alone => 0,
            Rank::Three => self.left.min(self.room.three),
            Rank::Two => self.left.min(self.room.two),
            Rank::Parked | Rank::Ordinary => self.left,
        }
    }

    fn met(&mut self, rank: Rank) {
        self.left -= 1;
        match rank {
            Rank::Three => self.room.three -= 1,
            Rank::Two => self.room.two -= 1,
            Rank::Alone | Rank::Parked | Rank::Ordinary => {}
        }
    }

    /// Whether the claimer could come back for a task of such a lane.
    fn reaches(&self, rank: Rank) -> bool {
        match rank {
            Rank::Alone => self.claim.suspects.idle,
            Rank::Three => self.room.three > 0,
            Rank::Two => self.room.two > 0,
            Rank::Parked | Rank::Ordinary => true,
        }
    }
}

impl State {
    pub(super) fn claim(&mut self, claim: &Claim, now: Timestamp) -> Claimed {
        self.hinting.unwait(&claim.holder.process);
        let is_repeated = self.leases.contains_key(&claim.id);
        let mut claimed = Claimed::nothing(now);
        if !is_repeated && self.ended_claims.contains_key(&claim.id) {
            return claimed;
        }

        let horizon = now.plus(claim.ahead);
        let (room, left) = (claim.suspects, claim.limit);
        let mut taking = Taking { claim, now, horizon, room, left, taken: Vec::new() };
        if is_repeated {
            claimed.tasks = self.runs_of(claim);
        } else {
            claimed.isolate = self.take_due(&mut taking);
            claimed.tasks = self.lease(&mut taking);
        }
        self.look_ahead(&taking, &mut claimed);
        if claim.wait && claimed.tasks.len() < claim.limit {
            self.hinting.wait(claim, claimed.next_run_at);
        }
        claimed
    }

    /// Takes tasks from the lanes, in their order. Answers whether the claimer is to become idle.
    fn take_due(&mut self, taking: &mut Taking<'_>) -> bool {
        let lanes = self.lanes_for(taking.claim);
        match self.alone(taking, &lanes) {
            Alone::Reserved => return true,
            Alone::Taken(lane) => self.meet(taking, &lane, 1),
            Alone::Absent => {
                for lane in lanes {
                    self.meet(taking, &lane, taking.most(lane.rank));
                }
            }
        }
        false
    }

    /// The lanes that a claim may take from, in the order of claiming. Paused queues have none (T8).
    fn lanes_for(&self, claim: &Claim) -> Vec<Lane> {
        let mut found = Vec::new();
        for queue in &claim.queues {
            if self.queues.get(queue).is_none_or(|stats| stats.paused) {
                continue;
            }
            let from = Lane {
                queue: queue.clone(),
                priority: Priority::Critical,
                rank: Rank::Alone,
                callback: None,
            };
            let lanes = self.lanes.range(from..).map(|(lane, _)| lane);
            let lanes = lanes.take_while(|lane| lane.queue == *queue);
            found.extend(lanes.filter(|lane| wants(claim, lane.callback.as_ref())).cloned());
        }
        found
    }

    /// A task with four crashes runs alone (N4).
    fn alone(&mut self, taking: &Taking<'_>, lanes: &[Lane]) -> Alone {
        let is_due = |lane: &&Lane| {
            let first = self.lanes.get(*lane).and_then(|line| line.first());
            lane.rank == Rank::Alone && first.is_some_and(|(at, _)| *at <= taking.horizon)
        };
        let Some(lane) = lanes.iter().find(is_due) else { return Alone::Absent };
        if taking.claim.suspects.idle {
            return Alone::Taken(lane.clone());
        }

        let (process, now) = (&taking.claim.holder.process, taking.now);
        match &self.reservation {
            Some((holder, since)) if (*since..since.plus(RESERVED_AGAIN_AFTER)).contains(&now) => {
                let is_own = holder == process && now < since.plus(RESERVED_FOR);
                if is_own { Alone::Reserved } else { Alone::Absent }
            }
            _ => {
                self.reservation = Some((process.clone(), now));
                Alone::Reserved
            }
        }
    }

    /// Meets up to `most` due tasks of a lane: each is taken, parked or found expired.
    fn meet(&mut self, taking: &mut Taking<'_>, lane: &Lane, most: usize) {
        let line = self.lanes.get(lane).into_iter().flatten();
        let due = line.take_while(|(run_at, _)| *run_at <= taking.horizon);
        let ids: Vec<TaskId> = due.take(most).map(|(_, id)| id.clone()).collect();
        for id in ids {
            let Some(mut entry) = self.take(&id) else { continue };
            taking.met(lane.rank);
            let is_late = entry.task.expires_at.is_some_and(|at| at <= taking.now);
            if entry.may_expire && is_late {
                self.end(entry, TaskState::Expired, taking.now);
            } else if wants(taking.claim, Some(&entry.task.spec.callback)) {
                taking.taken.push(entry);
            } else {
                entry.task.parked = true;
                self.put(entry);
            }
        }
    }

    /// Leases what was taken. One fence serves all, above every earlier one of each (T4).
    fn lease(&mut self, taking: &mut Taking<'_>) -> Vec<TaskRecord> {
        if taking.taken.is_empty() {
            return Vec::new();
        }
        let (claim, now) = (taking.claim, taking.now);
        let last = taking.taken.iter().filter_map(|entry| entry.fence).max();
        let floor = u64::try_from(now.as_us()).unwrap_or(0);
        let fence = Fence(last.map_or(floor, |last| floor.max(last.0 + 1)));

        let ids: Vec<TaskId> = taking.taken.iter().map(|entry| entry.task.id.clone()).collect();
        let mut runs = BTreeMap::new();
        for mut entry in taking.taken.drain(..) {
            runs.insert(entry.task.id.clone(), Run::Present);
            entry.start(&claim.id, fence);
            self.put(entry);
        }
        let held = Held {
            holder: claim.holder.clone(),
            ttl: claim.ttl,
            grace: claim.grace,
            expires_at: now.plus(claim.ttl),
            renewed_at: now,
            fence,
            runs,
        };
        self.leases.insert(claim.id.clone(), held);
        let entries = ids.iter().filter_map(|id| self.tasks.get(id));
        entries.map(|entry| self.view(entry)).collect()
    }

    /// What a claim still holds, most urgent first.
    fn runs_of(&self, claim: &Claim) -> Vec<TaskRecord> {
        let runs = self.leases.get(&claim.id).map(|held| &held.runs);
        let present = runs.into_iter().flatten().filter(|(_, run)| **run == Run::Present);
        let entries = present.filter_map(|(id, _)| self.tasks.get(id));
        let mut tasks: Vec<TaskRecord> = entries.map(|entry| self.view(entry)).collect();
        tasks.sort_by_key(|task| (task.spec.priority, task.run_at));
        tasks
    }

    /// Says what is left, and gives hints of what is due.
    ///
    /// A task in an ordinary lane counts whatever its callback, until a claim meets it.
    fn look_ahead(&mut self, taking: &Taking<'_>, claimed: &mut Claimed) {
        for lane in self.lanes_for(taking.claim) {
            let Some(line) = self.lanes.get(&lane).filter(|_| taking.reaches(lane.rank)) else {
                continue;
            };
            let Some((first, _)) = line.first() else { continue };
            claimed.next_run_at = Some(claimed.next_run_at.map_or(*first, |at| at.min(*first)));
            if *first <= taking.horizon {
                claimed.more = true;
                let due = line.iter().take_while(|(run_at, _)| *run_at <= taking.horizon);
                let count = due.take(self.hinting.waiting()).count();
                self.hinting.wish(Wish::of(&lane.queue, lane.callback.clone(), *first, count));
            }
        }
    }
}

/// Whether the claimer takes tasks of a callback; of an ordinary lane it cannot be told.
fn wants(claim: &Claim, callback: Option<&Callback>) -> bool {
    match (&claim.callbacks, callback) {
        (Some(callbacks), Some(callback)) => callbacks.contains(callback),
        _ => true,
    }
}
