//! Every state that a task can be moved in.

use std::sync::Arc;

use super::*;
use crate::domain::id::Callback;
use crate::domain::id::ClaimId;
use crate::domain::id::NodeName;
use crate::domain::id::TaskId;
use crate::domain::json::Kwargs;
use crate::domain::lease::Lease;
use crate::domain::task::Spec;

const EARLY: Timestamp = Timestamp::EPOCH;

fn in_state(state: TaskState) -> TaskRecord {
    TaskRecord {
        id: TaskId::parse("t").unwrap(),
        spec: Arc::new(Spec::new(Callback::parse("resize").unwrap(), Kwargs::empty())),
        state,
        created_at: EARLY,
        run_at: EARLY,
        planned_at: EARLY,
        expires_at: Some(Timestamp::MAX),
        paused_at: None,
        parked: false,
        attempt: 3,
        crashes: 1,
        errors: Vec::new(),
        finished_at: None,
        result: None,
        lease: None,
    }
}

fn running() -> TaskRecord {
    let lease = Lease {
        node: NodeName::parse("n").unwrap(),
        claim_id: ClaimId::parse("c").unwrap(),
        fence: Fence(7),
        expires_at: Timestamp::MAX,
    };
    TaskRecord { lease: Some(lease), ..in_state(TaskState::Running) }
}

fn asked(asked: Asked) -> Unseen {
    Unseen { fence: Some(Fence(7)), may_expire: false, asked }
}

#[test]
fn a_running_task_arrives_as_scheduled_and_uncharged() {
    let arrival = Arrival::of(running(), asked(Asked::default()));

    let expected = TaskRecord { attempt: 2, ..in_state(TaskState::Scheduled) };
    assert_eq!(arrival.task, expected);
    assert_eq!(arrival.unseen, asked(Asked::default()));
}

/// Guards T8: what was acknowledged while it ran holds where it arrives.
#[test]
fn what_was_asked_of_a_running_task_is_done() {
    let cancel = Asked { cancel: true, paused_at: Some(EARLY), planned_at: Some(EARLY) };
    let pause = Asked { paused_at: Some(EARLY), ..Asked::default() };
    let reschedule = Asked { planned_at: Some(EARLY), ..Asked::default() };

    let cancelled = Arrival::of(running(), asked(cancel));
    let paused = Arrival::of(running(), asked(pause));
    let moved = Arrival::of(running(), asked(reschedule.clone()));

    assert_eq!(cancelled.task.state, TaskState::Cancelled);
    assert_eq!((cancelled.task.paused_at, cancelled.unseen.asked), (None, Asked::default()));
    assert_eq!((paused.task.paused_at, paused.unseen.asked), (Some(EARLY), Asked::default()));
    assert_eq!((moved.task.paused_at, moved.unseen.asked), (None, reschedule));
}

#[test]
fn any_other_task_arrives_as_it_is() {
    for state in TaskState::ALL.into_iter().filter(|state| *state != TaskState::Running) {
        let unseen = Unseen { may_expire: true, ..asked(Asked::default()) };
        let parked = TaskRecord { parked: true, ..in_state(state) };

        let arrival = Arrival::of(parked, unseen);

        assert_eq!(arrival.task, in_state(state), "no node there has met it");
        assert_eq!(arrival.unseen.may_expire, state == TaskState::Scheduled);
        assert_eq!(arrival.unseen.fence, Some(Fence(7)));
    }
}
