//! All tasks of a store, moved into another one.

use std::collections::BTreeMap;

use taskshed::domain::arrival::Arrival;
use taskshed::domain::id::RequestId;
use taskshed::domain::id::TaskId;
use taskshed::domain::task::TaskRecord;
use taskshed::store::Filter;
use taskshed::store::Gate;
use taskshed::store::List;
use taskshed::store::Restore;
use taskshed::store::RestoreOutcome;
use taskshed::store::Restored;
use taskshed::store::Store;

use crate::call::Picture;
use crate::history::Judgement;
use crate::history::demand;

/// So few that there are several pages.
const PAGE: usize = 3;

/// Moves the tasks and paused queues of `from` into `to`, which is empty.
pub(crate) async fn move_all(from: &dyn Store, to: &dyn Store) -> Judgement {
    let leaving = leaving(from).await?;
    for queue in stats_of(from).await?.queues {
        let gate = if queue.paused { Gate::Paused } else { Gate::Open };
        to.set_queue(&queue.queue, gate).await.map_err(|error| error.to_string())?;
    }

    if leaving.is_empty() {
        return Ok(());
    }
    let expected: BTreeMap<TaskId, TaskRecord> =
        leaving.iter().map(|(id, arrival)| (id.clone(), arrival.task.clone())).collect();
    let first = restore("first", leaving.values(), to).await?;
    let all = vec![RestoreOutcome::Created; leaving.len()];
    demand(first.outcomes == all, || format!("T1: {:?} arrived", first.outcomes))?;
    let arrived = picture(to).await?;
    for (id, mut task) in expected {
        if task.state.is_ended() {
            task.finished_at = task.finished_at.or(Some(first.now));
        }
        let is = arrived.tasks.get(&id);
        demand(is == Some(&task), || format!("T1: {task:#?} arrived as {is:#?}"))?;
    }

    let repeated = restore("first", leaving.values(), to).await?;
    let second = restore("second", leaving.values(), to).await?;
    demand(repeated.outcomes == all, || format!("a repeat answers {:?}", repeated.outcomes))?;
    demand(second.outcomes.iter().all(|outcome| *outcome == RestoreOutcome::Kept), || {
        format!("a second move answers {:?}", second.outcomes)
    })?;
    let after = picture(to).await?;
    demand(after == arrived, || format!("a repeat changed {arrived:#?} to {after:#?}"))
}

async fn leaving(from: &dyn Store) -> Result<BTreeMap<TaskId, Arrival>, String> {
    let mut list = List { filter: Filter::default(), limit: PAGE, cursor: None };
    let mut found = BTreeMap::new();
    loop {
        let page = from.list(&list).await.map_err(|error| error.to_string())?;
        for (task, unseen) in page.tasks.into_iter().zip(page.unseen) {
            found.insert(task.id.clone(), Arrival::of(task, unseen));
        }
        list.cursor = page.next;
        if list.cursor.is_none() {
            return Ok(found);
        }
    }
}

async fn restore(
    request: &str,
    tasks: impl Iterator<Item = &Arrival>,
    to: &dyn Store,
) -> Result<Restored, String> {
    let request = RequestId::parse(request).map_err(|error| error.to_string())?;
    let restore = Restore { request, tasks: tasks.cloned().collect() };
    to.restore(&restore).await.map_err(|error| format!("{error:?}"))
}

async fn picture(store: &dyn Store) -> Result<Picture, String> {
    Picture::of(store).await.map_err(|error| format!("{error:?}"))
}

async fn stats_of(store: &dyn Store) -> Result<taskshed::store::Stats, String> {
    store.stats().await.map_err(|error| error.to_string())
}
