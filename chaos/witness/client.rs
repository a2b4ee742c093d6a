//! What a user does, written down.

use std::sync::Arc;

use taskshed::Scheduler;
use taskshed::Task;
use taskshed::domain::id::GroupId;
use taskshed::domain::id::TaskId;
use taskshed::domain::time::Moment;
use taskshed::scheduler;
use taskshed::scheduler::Outcome as AddOutcome;
use taskshed::store::Changed;
use taskshed::store::Existing;
use taskshed::store::Target;

use crate::checker::history::Action;
use crate::checker::history::Added;
use crate::checker::history::Call;
use crate::checker::history::Outcome;
use crate::checker::history::Reply;

use super::Witness;
use super::store_fault;

/// A user of a scheduler, whose calls are written down.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    scheduler: Arc<Scheduler>,
    witness: Witness,
}

impl Client {
    pub(crate) fn new(scheduler: Scheduler, witness: Witness) -> Self {
        Self { scheduler: Arc::new(scheduler), witness }
    }

    /// Adds tasks, each with a chosen id and beside what the history says of it; answers whether that
    /// was acknowledged.
    pub(crate) async fn add(&self, tasks: Vec<(Task, Added)>, existing: Existing) -> bool {
        let (tasks, specs): (Vec<_>, Vec<_>) = tasks.into_iter().unzip();
        let replaces = existing == Existing::Replace;
        let call = self.witness.ask(Call::Add { tasks: specs, replaces });
        let answer = self.scheduler.add_all(tasks, existing).await;
        let is_known = answer.is_ok();
        self.witness.answer(
            call,
            match answer {
                Ok(added) => {
                    let outcomes = added.iter().map(|one| outcome(one.outcome)).collect();
                    Reply::Added { outcomes }
                }
                Err(error) => fault(&error),
            },
        );
        is_known
    }

    /// Changes tasks by their ids, or all of a group if no id is given.
    pub(crate) async fn change(&self, action: Action, ids: &[String], group: Option<&str>) {
        let (tasks, group) = (ids.to_vec(), group.map(str::to_owned));
        let call = self.witness.ask(Call::Change { action, tasks, group: group.clone() });
        let parsed: Vec<TaskId> = ids.iter().filter_map(|id| TaskId::parse(id).ok()).collect();
        let target = match group.as_deref().map(GroupId::parse) {
            Some(Ok(group)) => Target::Group(group),
            _ => Target::Ids(parsed),
        };
        let answer = self.send(action, target).await;
        let names = |ids: &mut dyn Iterator<Item = &TaskId>| -> Vec<String> {
            ids.map(|id| id.as_str().to_owned()).collect()
        };
        self.witness.answer(
            call,
            match answer {
                Ok(Changed { affected, missing, skipped }) => {
                    let missing = names(&mut missing.iter());
                    let skipped = names(&mut skipped.iter().map(|(id, _)| id));
                    Reply::Changed { affected, missing, skipped }
                }
                Err(error) => fault(&error),
            },
        );
    }

    async fn send(&self, action: Action, target: Target) -> scheduler::Result<Changed> {
        let scheduler = &self.scheduler;
        match action {
            Action::Pause => scheduler.pause(target).await,
            Action::Resume => scheduler.resume(target).await,
            Action::Cancel => scheduler.cancel(target).await,
            Action::Retry => scheduler.retry(target).await,
            Action::Remove => scheduler.remove(target).await,
            Action::Reschedule => {
                let soon = std::time::Duration::from_millis(500);
                scheduler.reschedule(target, Moment::In(soon)).await
            }
        }
    }
}

fn outcome(outcome: AddOutcome) -> Outcome {
    match outcome {
        AddOutcome::Created => Outcome::Created,
        AddOutcome::Replaced => Outcome::Replaced,
        AddOutcome::Kept => Outcome::Kept,
        AddOutcome::Duplicate => Outcome::Duplicate,
    }
}

/// A refusal is known to have done nothing, but only the last try of an add is: an earlier one may
/// have got no answer.
fn fault(error: &scheduler::Error) -> Reply {
    match error {
        scheduler::Error::Invalid { .. } => Reply::Failed { error: error.to_string() },
        scheduler::Error::Store(source) => store_fault(source),
        _ => Reply::Unknown { error: error.to_string() },
    }
}
