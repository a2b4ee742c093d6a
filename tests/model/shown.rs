//! Judges what a store shows: of one moment, and from one to the next.

use std::collections::BTreeMap;

use taskshed::domain::state::TaskState;
use taskshed::store::Acked;
use taskshed::store::Action;
use taskshed::store::QueueStats;
use taskshed::store::TaskRecord;

use crate::call::Call;
use crate::call::Reply;
use crate::history::Event;
use crate::history::History;
use crate::history::Judgement;
use crate::history::demand;

/// Most node deaths in a row.
const CRASHES_MAX: u32 = 5;

pub(crate) fn judge(event: &Event<'_>, history: &History) -> Judgement {
    judge_holders(event, history)?;
    judge_keys(event)?;
    judge_counts(event)?;
    for (id, was) in &event.before.tasks {
        match event.after.tasks.get(id) {
            Some(is) => judge_end(event, was, is)?,
            None => demand(may_go(event, was), || format!("T1: {id} is gone after {was:?}"))?,
        }
    }
    Ok(())
}

/// Running tasks are those that were given out, under the lease that was told.
fn judge_holders(event: &Event<'_>, history: &History) -> Judgement {
    for task in event.after.tasks.values() {
        let told = history.held.get(&task.id).map(|hold| (&hold.claim, hold.fence));
        let shown = task.lease.as_ref().map(|lease| (&lease.claim_id, lease.fence));
        demand(told == shown, || format!("T3: {} is held by {told:?}, shown {shown:?}", task.id))?;
        demand(shown.is_some() == (task.state == TaskState::Running), || {
            format!("T10: {} is {:?} with {shown:?}", task.id, task.state)
        })?;
        let is_within = task.crashes <= CRASHES_MAX && task.attempt <= task.spec.max_attempts;
        demand(is_within, || format!("T7: {} has too many attempts or crashes", task.id))?;
    }
    let gone = history.held.keys().find(|id| !event.after.tasks.contains_key(id));
    demand(gone.is_none(), || format!("T1: {gone:?} runs and is not there"))
}

fn judge_keys(event: &Event<'_>) -> Judgement {
    let mut holders = BTreeMap::new();
    for task in event.after.tasks.values().filter(|task| !task.state.is_ended()) {
        if let Some(key) = &task.spec.unique_key {
            let other = holders.insert(key, &task.id);
            demand(other.is_none(), || format!("S2: {} and {other:?} have {key}", task.id))?;
        }
    }
    Ok(())
}

/// Each queue counts the tasks that are shown.
fn judge_counts(event: &Event<'_>) -> Judgement {
    for queue in &event.after.stats.queues {
        let tasks = event.after.tasks.values();
        let tasks: Vec<&TaskRecord> = tasks.filter(|task| task.spec.queue == queue.queue).collect();
        let count = |holds: &dyn Fn(&TaskRecord) -> bool| {
            tasks.iter().filter(|task| holds(task)).count() as u64
        };
        let in_state = |state| count(&|task: &TaskRecord| task.state == state);
        let waiting =
            queue.scheduled.iter().sum::<u64>() + queue.held + queue.parked + queue.suspects;
        let holds = waiting == in_state(TaskState::Scheduled)
            && queue.parked == count(&|task| task.parked)
            && queue.held >= count(&|task| task.paused_at.is_some())
            && queue.running == in_state(TaskState::Running)
            && ended_match(queue, &in_state);
        demand(holds, || format!("T10: {queue:?} counts {tasks:#?}"))?;
    }
    Ok(())
}

fn ended_match(queue: &QueueStats, in_state: &dyn Fn(TaskState) -> u64) -> bool {
    queue.completed == in_state(TaskState::Completed)
        && queue.dead == in_state(TaskState::Dead)
        && queue.cancelled == in_state(TaskState::Cancelled)
        && queue.expired == in_state(TaskState::Expired)
}

/// An end is final except by a retry or a replacement.
fn judge_end(event: &Event<'_>, was: &TaskRecord, is: &TaskRecord) -> Judgement {
    let by_hand = match event.call {
        Call::Add(_) => true,
        Call::Change(change) => matches!(change.action, Action::Retry),
        _ => false,
    };
    demand(!was.state.is_ended() || by_hand || was == is, || {
        format!("T7: {was:?} had ended and became {is:?}")
    })
}

/// Whether a task may be gone after such a call.
fn may_go(event: &Event<'_>, was: &TaskRecord) -> bool {
    match (event.call, event.reply) {
        (Call::Ack(items), Reply::Acked(acked)) => items.iter().zip(acked).any(|(item, acked)| {
            item.task == was.id && *acked == Acked::Done && was.spec.retention.is_zero()
        }),
        (Call::Change(change), _) => matches!(change.action, Action::Remove),
        (Call::Maintain(_), _) => was.state.is_ended(),
        _ => false,
    }
}
