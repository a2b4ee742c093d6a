//! Tasks from another store, as arguments of a script.

use redis::Cmd;

use crate::domain::arrival::Arrival;
use crate::domain::time::Timestamp;
use crate::domain::time::as_us;
use crate::store::Options;
use crate::store::RestoreOutcome;
use crate::store::Result;
use crate::store::entry::kept_for;

use super::add::Kept;
use super::add::Places;
use super::tasks;
use super::verdict::errors_text;
use super::verdict::json_text;

/// Writes a task as the twenty-two arguments that the script lists.
pub(super) fn push(call: &mut Cmd, arrival: &Arrival, options: &Options) {
    let Arrival { task, unseen, .. } = arrival;
    let ended = if task.state.is_ended() { task.state.as_str() } else { "" };
    call.arg(task.id.as_str());
    Places::of(&task.spec).push(call);
    call.arg(task.created_at.as_us())
        .arg(optional_us(task.expires_at))
        .arg(if unseen.may_expire { "x" } else { "" })
        .arg(optional_us(task.paused_at))
        .arg(task.run_at.as_us())
        .arg(task.planned_at.as_us())
        .arg(task.attempt)
        .arg(task.crashes)
        .arg(errors_text(&task.errors))
        .arg(unseen.fence.map_or_else(String::new, |fence| fence.0.to_string()))
        .arg(optional_us(unseen.asked.planned_at))
        .arg(format!("{ended}\t{}", optional_us(task.finished_at)))
        .arg(as_us(kept_for(task.state, &task.spec, options)))
        .arg(json_text(task.result.as_ref()))
        .arg(Kept(&task.spec));
}

/// Reads the script's word for a task.
pub(super) fn outcome(word: &str) -> Result<RestoreOutcome> {
    match word {
        "C" => Ok(RestoreOutcome::Created),
        "K" => Ok(RestoreOutcome::Kept),
        _ => {
            let holder =
                word.strip_prefix('D').ok_or_else(|| tasks::unreadable("restore", word))?;
            Ok(RestoreOutcome::Duplicate(tasks::task_id("restore", holder)?))
        }
    }
}

fn optional_us(at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, |at| at.as_us().to_string())
}
