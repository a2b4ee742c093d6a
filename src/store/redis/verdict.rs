//! Verdicts and moments as arguments of scripts.

use redis::Cmd;

use crate::domain::json::Json;
use crate::domain::state::Again;
use crate::domain::state::Verdict;
use crate::domain::task::RunError;
use crate::domain::task::Spec;
use crate::domain::time::Moment;
use crate::domain::time::as_us;
use crate::store::Options;
use crate::store::entry::kept_for;

/// Writes a verdict as eight arguments: kind, word, how long to keep or the moment, planned time,
/// attempt, crashes, errors, result.
pub(super) fn push(call: &mut Cmd, verdict: &Verdict, spec: &Spec, options: &Options) {
    match verdict {
        Verdict::End { state, attempt, crashes, errors, result } => {
            call.arg("E").arg(state.as_str()).arg(as_us(kept_for(*state, spec, options))).arg("");
            call.arg(*attempt)
                .arg(*crashes)
                .arg(errors_text(errors))
                .arg(json_text(result.as_ref()));
        }
        Verdict::Again { why, run_at, planned_at, attempt, crashes, errors, result } => {
            call.arg("A").arg(word(*why)).arg(moment(*run_at)).arg(planned_at.as_us());
            call.arg(*attempt)
                .arg(*crashes)
                .arg(errors_text(errors))
                .arg(json_text(result.as_ref()));
        }
    }
}

/// A moment as scripts read it.
pub(super) fn moment(moment: Moment) -> String {
    match moment {
        Moment::At(at) => at.as_us().to_string(),
        Moment::In(length) => format!("+{}", as_us(length)),
    }
}

/// A moment that may be absent.
pub(super) fn optional_moment(asked: Option<Moment>) -> String {
    asked.map_or_else(String::new, moment)
}

/// A value that may be absent; no JSON value is an empty text.
pub(super) fn json_text(json: Option<&Json>) -> &str {
    json.map_or("", Json::as_str)
}

fn word(why: Again) -> &'static str {
    match why {
        Again::Retry => "retry",
        Again::Snooze => "snooze",
        Again::Release => "release",
        Again::Reclaim => "reclaim",
        Again::Next => "next",
    }
}

/// Errors as they are kept; an empty text for none.
pub(super) fn errors_text(errors: &[RunError]) -> String {
    if errors.is_empty() {
        return String::new();
    }
    serde_json::to_string(errors).expect("texts and numbers can be written as JSON")
}
