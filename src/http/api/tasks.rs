//! Tasks: add, find, list, change.

use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::extract::Path;
use axum::extract::State;
use axum::extract::rejection::PathRejection;
use axum::http::HeaderMap;
use axum::http::StatusCode;

use crate::config::Role;
use crate::domain::id::TaskId;
use crate::domain::state::TaskState;
use crate::domain::task::TaskRecord;
use crate::domain::time::parse_duration;
use crate::events::Event;
use crate::http::Api;
use crate::http::WAIT_MAX;
use crate::http::again::Seed;
use crate::http::audit;
use crate::http::audit::Which;
use crate::http::auth::Caller;
use crate::http::body::BodyText;
use crate::http::problem::Answer;
use crate::http::problem::Kind;
use crate::http::problem::Problem;
use crate::http::traced;
use crate::http::wire::added::AddedTasks;
use crate::http::wire::batch;
use crate::http::wire::change;
use crate::http::wire::change::ChangedView;
use crate::http::wire::change::Wanted;
use crate::http::wire::change::When;
use crate::http::wire::task::Listed;
use crate::http::wire::task::TaskView;
use crate::scheduler;
use crate::scheduler::Outcome;
use crate::store::Changed;
use crate::store::Filter;
use crate::store::List;

use super::query::Queried;

/// Tasks of a page unless asked otherwise.
const LIMIT: usize = 100;

pub(in crate::http) async fn add(
    State(api): State<Api>,
    caller: Caller,
    seed: Option<Extension<Seed>>,
    headers: HeaderMap,
    BodyText(text): BodyText,
) -> Answer<(StatusCode, Json<AddedTasks>)> {
    let batch = batch::read(&text)?;
    let span = traced::begin(api.traces.as_deref(), &headers, batch.tasks.len());
    let tasks = span.own(batch.tasks);
    let answer = match seed {
        Some(Extension(Seed(seed))) => api.scheduler.add_again(seed, tasks, batch.existing).await,
        None => api.scheduler.add_all(tasks, batch.existing).await,
    };
    span.end(&answer);
    let answer = answer.map_err(Problem::from);
    let which = match &answer {
        Ok(added) => {
            let ids: Vec<_> = added.iter().map(|added| &added.task_id).collect();
            Which::ids(&ids)
        }
        Err(_) => Which::named("unknown"),
    };
    let added = audit::tell(&caller, "tasks.add", &which, answer, Vec::len)?;
    for one in &added {
        if matches!(one.outcome, Outcome::Created | Outcome::Replaced) {
            api.events.tell(Event::Added { task: one.task_id.clone() });
        }
    }
    Ok((StatusCode::CREATED, Json(AddedTasks::of(added))))
}

pub(in crate::http) async fn find(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    mut query: Queried,
) -> Answer<Json<TaskView>> {
    let wait = query.read("wait", wait_length)?;
    query.end()?;
    let unknown = || Problem::new(Kind::NotFound, "no such task");
    let id = id.ok().and_then(|Path(text)| TaskId::parse(&text).ok()).ok_or_else(unknown)?;

    let found = match wait {
        Some(length) => tokio::select! {
            ended = api.scheduler.wait(&id, length) => ended?,
            () = api.leaving.cancelled() => api.scheduler.find(&id).await?,
        },
        None => api.scheduler.find(&id).await?,
    };
    found.map(|task| Json(TaskView::of(task))).ok_or_else(unknown)
}

pub(in crate::http) async fn list(
    State(api): State<Api>,
    mut query: Queried,
) -> Answer<Json<Listed>> {
    let ids: Vec<TaskId> = query.all("task_id")?;
    let filter = Filter {
        group: query.one("group_id")?,
        queue: query.one("queue")?,
        state: query.read("state", state)?,
        callback: query.one("callback")?,
    };
    let limit = query.read("limit", limit)?.unwrap_or(LIMIT);
    let cursor = query.one("cursor")?;
    query.end()?;

    if ids.is_empty() {
        let page = api.scheduler.list(&List { filter, limit, cursor }).await?;
        return Ok(Json(Listed::of(page)));
    }
    let found = api.scheduler.fetch(&ids).await?;
    let matching = found.into_iter().flatten().filter(|task| matches(&filter, task));
    Ok(Json(Listed::all(matching)))
}

pub(in crate::http) async fn change(
    State(api): State<Api>,
    caller: Caller,
    action: Result<Path<String>, PathRejection>,
    BodyText(text): BodyText,
) -> Answer<Json<ChangedView>> {
    let scheduler = &api.scheduler;
    let (what, which, answer) = match action.as_ref().map(|Path(action)| action.as_str()) {
        Ok("pause") => {
            let target = change::target(&text)?;
            ("tasks.pause", Which::target(&target), scheduler.pause(target).await)
        }
        Ok("resume") => {
            let target = change::target(&text)?;
            ("tasks.resume", Which::target(&target), scheduler.resume(target).await)
        }
        Ok("cancel") => {
            let selection = change::selection(&text)?;
            ("tasks.cancel", Which::selection(&selection), scheduler.cancel(selection).await)
        }
        Ok("retry") => {
            let selection = change::selection(&text)?;
            ("tasks.retry", Which::selection(&selection), scheduler.retry(selection).await)
        }
        Ok("remove") => remove(&api, &caller, &text).await?,
        Ok("reschedule") => reschedule(&api, &text).await?,
        _ => return Err(Problem::new(Kind::NotFound, "no such change of tasks")),
    };
    let answer = answer.map_err(Problem::from);
    let count = |changed: &Changed| usize::try_from(changed.affected).unwrap_or(usize::MAX);
    audit::tell(&caller, what, &which, answer, count).map(|changed| Json(ChangedView::of(changed)))
}

/// What was asked, of which tasks, and what the scheduler said.
type Asked = (&'static str, Which, scheduler::Result<Changed>);

async fn remove(api: &Api, caller: &Caller, text: &str) -> Answer<Asked> {
    let (which, answer) = match change::removal(text)? {
        Wanted::All if caller.role < Role::Admin => {
            let detail = "to remove all tasks needs the role admin";
            return Err(Problem::new(Kind::Forbidden, detail));
        }
        Wanted::All => (Which::all(), api.scheduler.remove_all().await),
        Wanted::Some(selection) => {
            (Which::selection(&selection), api.scheduler.remove(selection).await)
        }
    };
    Ok(("tasks.remove", which, answer))
}

async fn reschedule(api: &Api, text: &str) -> Answer<Asked> {
    let (which, answer) = match change::reschedule(text)? {
        When::Each(times) => {
            let ids: Vec<_> = times.iter().map(|(id, _)| id).collect();
            (Which::ids(&ids), api.scheduler.reschedule_each(times).await)
        }
        When::Together(target, moment) => {
            (Which::target(&target), api.scheduler.reschedule(target, moment).await)
        }
    };
    Ok(("tasks.reschedule", which, answer))
}

fn matches(filter: &Filter, task: &TaskRecord) -> bool {
    let spec = &task.spec;
    filter.group.as_ref().is_none_or(|group| spec.group_id.as_ref() == Some(group))
        && filter.queue.as_ref().is_none_or(|queue| spec.queue == *queue)
        && filter.state.is_none_or(|state| task.state == state)
        && filter.callback.as_ref().is_none_or(|callback| spec.callback == *callback)
}

fn state(text: &str) -> Result<TaskState, String> {
    TaskState::parse(text).ok_or_else(|| change::unknown_state(text))
}

fn limit(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|limit| (1..=1000).contains(limit))
        .ok_or("must be from 1 to 1000".into())
}

fn wait_length(text: &str) -> Result<Duration, String> {
    let length = parse_duration(text).map_err(|error| error.to_string())?;
    if length > WAIT_MAX { Err("at most 10m are taken".into()) } else { Ok(length) }
}
