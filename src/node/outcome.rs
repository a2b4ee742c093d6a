//! From the end of a run to the outcome that counts.

use std::time::Duration;

use crate::domain::json::RESULT_BYTES_MAX;
use crate::domain::state::Outcome;
use crate::handlers::HandlerResult;
use crate::handlers::StopCause;
use crate::handlers::TaskError;
use crate::handlers::TaskErrorKind;

/// Why a run failed whose handler returned as if it had completed.
const ROLLED_BACK: &str = "the transaction in which the run completed was rolled back";

/// How a run ended.
#[derive(Debug)]
pub(super) enum RunEnd {
    /// Its handler said so.
    Returned(HandlerResult),
    /// Its handler panicked with this message.
    Panicked(String),
    /// It was aborted after it had been told to stop.
    Aborted,
}

/// What counts after a run with this `timeout` that ended so, and had been told to stop or not.
///
/// A handler that completed has completed, whatever it was told: the store knows whether that still
/// counts.
pub(super) fn outcome(end: RunEnd, told: Option<StopCause>, timeout: Duration) -> Outcome {
    match (end, told) {
        (RunEnd::Returned(Ok(result)), _) => match result {
            Some(json) if json.as_str().len() > RESULT_BYTES_MAX => Outcome::Dead(format!(
                "the result has {} bytes, at most {RESULT_BYTES_MAX} are kept",
                json.as_str().len()
            )),
            result => Outcome::Completed(result),
        },
        (_, Some(told)) => stopped(told, timeout),
        (RunEnd::Returned(Err(error)), None) => failed(error),
        (RunEnd::Panicked(message), None) => Outcome::Failed(format!("panicked: {message}")),
        (RunEnd::Aborted, None) => Outcome::Released,
    }
}

/// What counts if a run was told to stop and did not complete.
///
/// After a lost lease the task is handed back: the store refuses that if it gave the task away, and
/// otherwise the task runs again at once.
pub(super) fn stopped(told: StopCause, timeout: Duration) -> Outcome {
    match told {
        StopCause::Cancelled => Outcome::Cancelled,
        StopCause::TimedOut => Outcome::TimedOut(timeout),
        StopCause::Draining | StopCause::Superseded | StopCause::LeaseLost => Outcome::Released,
    }
}

/// What counts if a run had completed in a transaction of its handler's and its task is still leased
/// to it afterwards: then the transaction was rolled back, whatever the handler returned. If it was
/// committed, the store refuses this (T6).
pub(super) fn unless_committed(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Completed(_) => Outcome::Failed(ROLLED_BACK.into()),
        outcome => outcome,
    }
}

fn failed(error: TaskError) -> Outcome {
    match error.into_kind() {
        TaskErrorKind::Retry(message) => Outcome::Failed(message),
        TaskErrorKind::Dead(message) => Outcome::Dead(message),
        TaskErrorKind::Snooze(length) => Outcome::Snoozed(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::json::Json;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_handler_that_completed_has_completed_whatever_it_was_told() {
        for told in [
            None,
            Some(StopCause::Cancelled),
            Some(StopCause::TimedOut),
            Some(StopCause::Draining),
            Some(StopCause::Superseded),
            Some(StopCause::LeaseLost),
        ] {
            let end = RunEnd::Returned(Ok(None));
            assert_eq!(outcome(end, told, HOUR), Outcome::Completed(None), "{told:?}");
        }
    }

    #[test]
    fn a_run_that_was_told_to_stop_and_did_not_complete_ends_as_it_was_told() {
        for (told, wanted) in [
            (StopCause::Cancelled, Outcome::Cancelled),
            (StopCause::TimedOut, Outcome::TimedOut(HOUR)),
            (StopCause::Draining, Outcome::Released),
            (StopCause::Superseded, Outcome::Released),
            (StopCause::LeaseLost, Outcome::Released),
        ] {
            let ends = [
                RunEnd::Aborted,
                RunEnd::Panicked("x".into()),
                RunEnd::Returned(Err(TaskError::dead("x"))),
            ];
            for end in ends {
                assert_eq!(outcome(end, Some(told), HOUR), wanted, "{told:?}");
            }
        }
    }

    #[test]
    fn a_handler_that_was_left_alone_decides_itself() {
        let ends = [
            (RunEnd::Returned(Err(TaskError::retry("x"))), Outcome::Failed("x".into())),
            (RunEnd::Returned(Err(TaskError::dead("x"))), Outcome::Dead("x".into())),
            (RunEnd::Returned(Err(TaskError::snooze(HOUR))), Outcome::Snoozed(HOUR)),
            (RunEnd::Panicked("x".into()), Outcome::Failed("panicked: x".into())),
        ];
        for (end, wanted) in ends {
            assert_eq!(outcome(end, None, HOUR), wanted);
        }
    }

    #[test]
    fn a_result_that_is_too_long_makes_the_task_dead() {
        let json = Json::of(&"x".repeat(RESULT_BYTES_MAX)).unwrap();

        let outcome = outcome(RunEnd::Returned(Ok(Some(json))), None, HOUR);

        assert_eq!(
            outcome,
            Outcome::Dead("the result has 65538 bytes, at most 65536 are kept".into())
        );
    }
}
