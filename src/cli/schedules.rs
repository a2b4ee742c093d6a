//! The schedules of the file, checked like any other task.

use std::collections::BTreeMap;
use std::fmt::Write;

use sha2::Digest;
use sha2::Sha256;

use crate::config;
use crate::config::ScheduleSettings;
use crate::config::Settings;
use crate::domain::declared::Declared;
use crate::domain::declared::SCHEDULES_MAX;
use crate::domain::declared::task_id;
use crate::domain::draft::Draft;
use crate::domain::draft::Fault;
use crate::domain::id::TaskId;
use crate::http;
use crate::scheduler::BATCH_BYTES_MAX;

use super::failure::Failure;

/// Most bytes of all schedules together: they are written by one call, with some room for the rest.
const BYTES_MAX: usize = BATCH_BYTES_MAX / 2;

/// What the file declares; nothing if it has no say in schedules.
pub(super) fn declared(settings: &Settings) -> Result<Option<Declared>, Failure> {
    let Some(section) = &settings.schedules else { return Ok(None) };
    let refuse = |message: String| {
        Failure::from(config::Error::Malformed { path: section.path.clone(), line: None, message })
    };
    let tasks =
        tasks(section, settings.max_kwargs_bytes).map_err(|fault| refuse(fault.to_string()))?;
    if tasks.len() > SCHEDULES_MAX {
        let count = tasks.len();
        return Err(refuse(format!("schedules: there are {count}, at most {SCHEDULES_MAX} fit")));
    }
    let texts = tasks.iter().map(|(id, draft)| text(id, draft)).collect::<Result<Vec<_>, _>>()?;
    let bytes: usize = texts.iter().map(String::len).sum();
    if bytes > BYTES_MAX {
        return Err(refuse(format!("schedules: have {bytes} bytes, at most {BYTES_MAX} fit")));
    }
    Ok(Some(Declared { revision: section.revision, edition: digest(&texts), tasks }))
}

fn tasks(
    section: &ScheduleSettings,
    kwargs_bytes_max: usize,
) -> Result<BTreeMap<TaskId, Draft>, Fault> {
    let mut tasks = BTreeMap::new();
    for (name, fields) in &section.schedules {
        let task = http::read_task(fields).id(&task_id(name));
        let draft = task.check(kwargs_bytes_max).map_err(|faults| {
            let first = faults.into_iter().next().expect("a task is refused for a fault");
            Fault::new(format!("schedules.{name}.{}", first.field), first.message)
        })?;
        let id = TaskId::parse(&task_id(name))
            .map_err(|error| Fault::new(format!("schedules.{name}"), error))?;
        tasks.insert(id, draft);
    }
    Ok(tasks)
}

/// All that makes one set differ from another.
fn text(id: &TaskId, draft: &Draft) -> Result<String, Failure> {
    serde_json::to_string(&(id, draft.spec(), draft.is_paused()))
        .map_err(|error| Failure::Refused(format!("{id}: {error}")))
}

fn digest(texts: &[String]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.as_bytes());
        hash.update(b"\n");
    }
    let bytes = &hash.finalize()[..16];
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _infallible = write!(hex, "{byte:02x}");
        hex
    })
}
