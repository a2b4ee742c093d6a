//! From the end of a command to what its handler says.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use crate::handlers::HandlerResult;
use crate::handlers::TaskError;

use super::output::Head;
use super::output::Tail;

/// `EX_DATAERR` of sysexits: the input is wrong, and will be at the next attempt.
const DATA_ERROR: i32 = 65;

/// What a command says that ended with `status` and was not told to stop.
pub(super) fn outcome(status: ExitStatus, head: Head, tail: Tail) -> HandlerResult {
    let message = || tail.into_message().unwrap_or_else(|| describe(status));
    match status.code() {
        Some(0) => Ok(head.into_result()),
        Some(DATA_ERROR) => Err(TaskError::dead(message())),
        _ => Err(TaskError::retry(message())),
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("the command ended with exit code {code}"),
        (None, Some(signal)) => format!("the command was killed by signal {signal}"),
        (None, None) => "the command ended in an unknown way".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::TaskErrorKind;

    fn ended(raw: i32) -> TaskErrorKind {
        let result = outcome(ExitStatus::from_raw(raw), Head::default(), Tail::default());
        result.unwrap_err().into_kind()
    }

    #[test]
    fn exit_codes_decide_between_completed_dead_and_retry() {
        let completed = outcome(ExitStatus::from_raw(0), Head::default(), Tail::default());
        assert!(matches!(completed, Ok(None)));
        assert_eq!(
            ended(65 << 8),
            TaskErrorKind::Dead("the command ended with exit code 65".into())
        );
        for code in [1, 2, 64, 66, 75, 127, 255] {
            let message = format!("the command ended with exit code {code}");
            assert_eq!(ended(code << 8), TaskErrorKind::Retry(message));
        }
        assert_eq!(ended(9), TaskErrorKind::Retry("the command was killed by signal 9".into()));
    }
}
