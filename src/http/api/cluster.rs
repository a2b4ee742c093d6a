//! Nodes and the leader.

use axum::Json;
use axum::extract::Path;
use axum::extract::State;
use axum::extract::rejection::PathRejection;

use crate::domain::id::NodeName;
use crate::http::Api;
use crate::http::audit;
use crate::http::audit::Which;
use crate::http::auth::Caller;
use crate::http::problem::Answer;
use crate::http::problem::Kind;
use crate::http::problem::Problem;
use crate::http::wire::cluster::Draining;
use crate::http::wire::cluster::LeaderView;
use crate::http::wire::cluster::Leading;
use crate::http::wire::cluster::Nodes;
use crate::http::wire::cluster::Resigned;

pub(in crate::http) async fn nodes(State(api): State<Api>) -> Answer<Json<Nodes>> {
    Ok(Json(Nodes::of(api.scheduler.cluster().await?)))
}

pub(in crate::http) async fn drain(
    State(api): State<Api>,
    caller: Caller,
    node: Result<Path<String>, PathRejection>,
) -> Answer<Json<Draining>> {
    let unknown = || Problem::new(Kind::NotFound, "no node of this name beats");
    let node = node.ok().and_then(|Path(text)| NodeName::parse(&text).ok()).ok_or_else(unknown)?;
    let answer = api.scheduler.drain_node(&node).await.map_err(Problem::from);
    let which = Which::ids(&[&node]);
    let count = |is_told: &bool| usize::from(*is_told);
    if audit::tell(&caller, "nodes.drain", &which, answer, count)? {
        Ok(Json(Draining { node }))
    } else {
        Err(unknown())
    }
}

pub(in crate::http) async fn leader(State(api): State<Api>) -> Answer<Json<Leading>> {
    let cluster = api.scheduler.cluster().await?;
    Ok(Json(Leading { now: cluster.now, leader: cluster.leader.map(LeaderView::of) }))
}

pub(in crate::http) async fn resign(
    State(api): State<Api>,
    caller: Caller,
) -> Answer<Json<Resigned>> {
    let answer = api.scheduler.resign_leader().await.map_err(Problem::from);
    let which = match &answer {
        Ok(Some(leader)) => Which::ids(&[&leader.node]),
        _ => Which::ids::<NodeName>(&[]),
    };
    let count = |leader: &Option<_>| usize::from(leader.is_some());
    match audit::tell(&caller, "leader.resign", &which, answer, count)? {
        Some(leader) => Ok(Json(Resigned { resigned: LeaderView::of(leader) })),
        None => Err(Problem::new(Kind::Conflict, "no node leads")),
    }
}
