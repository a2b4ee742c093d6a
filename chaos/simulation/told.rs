//! How calls of clients are told in the history. Those of nodes are told by `witness::Observed`.

use taskshed::domain::schedule::Schedule;
use taskshed::domain::task::NewTask;
use taskshed::domain::time::Moment;
use taskshed::domain::time::as_us;
use taskshed::store::Action;
use taskshed::store::AddOutcome;
use taskshed::store::Existing;
use taskshed::store::Target;

use crate::call::Call;
use crate::call::Reply;
use crate::checker::history;

/// What a client asks, as it is told; `None` if it is not.
pub(crate) fn call(call: &Call) -> Option<history::Call> {
    match call {
        Call::Add(add) => Some(history::Call::Add {
            tasks: add.tasks.iter().map(added).collect(),
            replaces: add.existing == Existing::Replace,
        }),
        Call::Change(change) => {
            let (tasks, group) = match &change.target {
                Target::Ids(ids) => (ids.iter().map(ToString::to_string).collect(), None),
                Target::Group(group) => (Vec::new(), Some(group.to_string())),
            };
            Some(history::Call::Change { action: action(&change.action), tasks, group })
        }
        _ => None,
    }
}

fn added(task: &NewTask) -> history::Added {
    let spec = &task.spec;
    let kwargs: serde_json::Value = spec.kwargs.read().unwrap_or_default();
    history::Added {
        task: task.id.to_string(),
        run_at: match task.run_at {
            Moment::At(at) => Some(at.as_us()),
            Moment::In(_) => None,
        },
        interval_us: match spec.schedule {
            Schedule::Interval(interval) => u64::try_from(as_us(interval.every())).ok(),
            _ => None,
        },
        catches_up: !spec.coalesce,
        max_attempts: spec.max_attempts,
        exclusive: spec.exclusive,
        unique_key: spec.unique_key.as_ref().map(ToString::to_string),
        group: spec.group_id.as_ref().map(ToString::to_string),
        retention_us: u64::try_from(as_us(spec.retention)).unwrap_or(0),
        paused: task.paused.is_some(),
        kills: kwargs["kills"].as_bool() == Some(true),
    }
}

fn action(action: &Action) -> history::Action {
    match action {
        Action::Pause => history::Action::Pause,
        Action::Resume => history::Action::Resume,
        Action::Cancel => history::Action::Cancel,
        Action::Retry => history::Action::Retry,
        Action::Reschedule(_) | Action::RescheduleEach(_) => history::Action::Reschedule,
        Action::Remove => history::Action::Remove,
    }
}

/// What a client is answered, as it is told.
pub(crate) fn reply(reply: &Reply) -> history::Reply {
    match reply {
        Reply::Added(added) => {
            history::Reply::Added { outcomes: added.outcomes.iter().map(outcome).collect() }
        }
        Reply::Changed(changed) => history::Reply::Changed {
            affected: changed.affected,
            missing: changed.missing.iter().map(ToString::to_string).collect(),
            skipped: changed.skipped.iter().map(|(id, _)| id.to_string()).collect(),
        },
        _ => history::Reply::Done,
    }
}

fn outcome(outcome: &AddOutcome) -> history::Outcome {
    match outcome {
        AddOutcome::Created => history::Outcome::Created,
        AddOutcome::Replaced => history::Outcome::Replaced,
        AddOutcome::Kept => history::Outcome::Kept,
        AddOutcome::Duplicate(_) => history::Outcome::Duplicate,
    }
}
