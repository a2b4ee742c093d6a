//! Handlers that write down what they do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use taskshed::clock::Clock;
use taskshed::domain::id::TaskId;
use taskshed::domain::json::Json;
use taskshed::domain::time::Timestamp;
use taskshed::handlers::Context;
use taskshed::handlers::Handler;
use taskshed::handlers::HandlerResult;
use taskshed::handlers::Running;
use taskshed::handlers::TaskError;

use crate::checker::history::End;
use crate::process::Process;
use crate::witness::Noted;

/// How often a run shows that it goes on.
const BEAT_EVERY: Duration = Duration::from_millis(250);

/// What a task's handler does: the task's arguments.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Role {
    /// How long a run takes.
    pub(crate) ms: u64,
    /// So many attempts do not go well.
    pub(crate) fails: u32,
    /// What happens instead.
    pub(crate) how: Mishap,
    /// Whether it goes on when it is told to stop.
    pub(crate) deaf: bool,
    /// Whether it kills its node.
    pub(crate) kills: bool,
}

/// How a run does not go well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mishap {
    #[default]
    Retry,
    Dead,
    Snooze,
    Panic,
}

/// The one handler of a node.
pub(crate) struct Actor {
    pub(crate) process: Arc<Process>,
}

impl Handler for Actor {
    fn run(&self, context: Context) -> Running {
        let process = Arc::clone(&self.process);
        Box::pin(async move { act(&process, &context).await })
    }
}

/// What handlers keep in a place of their own: how often they saw a planned time of a task.
#[derive(Clone, Default)]
pub(crate) struct Outside(Arc<Mutex<BTreeMap<(TaskId, Timestamp), u32>>>);

impl Outside {
    fn count(&self, context: &Context) -> u32 {
        let task = context.task();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = seen.entry((task.id.clone(), task.planned_at)).or_default();
        *count += 1;
        *count
    }
}

async fn act(process: &Process, context: &Context) -> HandlerResult {
    let role: Role = context.task().spec.kwargs.read()?;
    let run = Noted::start(&process.witness, context, true);
    let clock = &process.clock;
    let until = clock.steady() + Duration::from_millis(role.ms);
    loop {
        let left = until.saturating_sub(clock.steady());
        if left.is_zero() {
            break;
        }
        tokio::select! {
            biased;
            _ = context.stopped(), if !role.deaf => {
                run.end(End::Stopped);
                return Err(TaskError::retry("told to stop"));
            }
            () = clock.sleep(left.min(BEAT_EVERY)) => run.beat(),
        }
    }
    if role.kills {
        process.kill();
        return std::future::pending().await;
    }
    let is_well = match role.how {
        // A snooze charges no attempt.
        Mishap::Snooze => process.outside.count(context) > role.fails,
        _ => context.attempt() > role.fails,
    };
    if is_well {
        run.end(End::Completed);
        return Ok(Json::of(&context.fence().0).ok());
    }
    run.end(if role.how == Mishap::Snooze { End::Snoozed } else { End::Failed });
    match role.how {
        Mishap::Retry => Err(TaskError::retry("not yet")),
        Mishap::Dead => Err(TaskError::dead("never")),
        Mishap::Snooze => Err(TaskError::snooze(Duration::from_millis(role.ms + 100))),
        // A panic that nobody needs to read about.
        Mishap::Panic => std::panic::resume_unwind(Box::new("on purpose")),
    }
}
