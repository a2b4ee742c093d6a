//! Queues: how deep they are, and whether they are open.

use axum::Json;
use axum::extract::Path;
use axum::extract::State;
use axum::extract::rejection::PathRejection;

use crate::domain::id::QueueName;
use crate::http::Api;
use crate::http::audit;
use crate::http::audit::Which;
use crate::http::auth::Caller;
use crate::http::problem::Answer;
use crate::http::problem::Kind;
use crate::http::problem::Problem;
use crate::http::wire::queue::Depths;
use crate::http::wire::queue::GateView;
use crate::http::wire::queue::NextWakeup;
use crate::scheduler::IndexedFault;
use crate::store::Gate;

use super::query::Queried;

pub(in crate::http) async fn list(
    State(api): State<Api>,
    mut query: Queried,
) -> Answer<Json<Depths>> {
    let named = query.all("queue")?;
    query.end()?;
    Ok(Json(Depths::of(api.scheduler.queues(&named).await?)))
}

pub(in crate::http) async fn next_wakeup(State(api): State<Api>) -> Answer<Json<NextWakeup>> {
    Ok(Json(NextWakeup { run_at: api.scheduler.next_wakeup().await? }))
}

pub(in crate::http) async fn pause(
    State(api): State<Api>,
    caller: Caller,
    queue: Result<Path<String>, PathRejection>,
) -> Answer<Json<GateView>> {
    set(&api, &caller, queue, Gate::Paused).await
}

pub(in crate::http) async fn resume(
    State(api): State<Api>,
    caller: Caller,
    queue: Result<Path<String>, PathRejection>,
) -> Answer<Json<GateView>> {
    set(&api, &caller, queue, Gate::Open).await
}

async fn set(
    api: &Api,
    caller: &Caller,
    queue: Result<Path<String>, PathRejection>,
    gate: Gate,
) -> Answer<Json<GateView>> {
    let Path(text) = queue.map_err(|_| Problem::new(Kind::NotFound, "no such queue"))?;
    let queue = QueueName::parse(&text)
        .map_err(|error| Problem::invalid(vec![IndexedFault::whole("queue", error)]))?;
    let what = if gate == Gate::Open { "queues.resume" } else { "queues.pause" };
    let answer = api.scheduler.set_queue(&queue, gate).await.map_err(Problem::from);
    audit::tell(caller, what, &Which::ids(&[&queue]), answer, |()| 1)?;
    Ok(Json(GateView { queue, paused: gate == Gate::Paused }))
}
