//! Nodes and the leader.

use axum::Json;
use axum::extract::State;

use crate::http::Api;
use crate::http::problem::Answer;
use crate::http::problem::Kind;
use crate::http::problem::Problem;
use crate::http::wire::cluster::LeaderView;
use crate::http::wire::cluster::Leading;
use crate::http::wire::cluster::Nodes;
use crate::http::wire::cluster::Resigned;

pub(in crate::http) async fn nodes(State(api): State<Api>) -> Answer<Json<Nodes>> {
    Ok(Json(Nodes::of(api.scheduler.cluster().await?)))
}

pub(in crate::http) async fn leader(State(api): State<Api>) -> Answer<Json<Leading>> {
    let cluster = api.scheduler.cluster().await?;
    Ok(Json(Leading { now: cluster.now, leader: cluster.leader.map(LeaderView::of) }))
}

pub(in crate::http) async fn resign(State(api): State<Api>) -> Answer<Json<Resigned>> {
    match api.scheduler.resign_leader().await? {
        Some(leader) => Ok(Json(Resigned { resigned: LeaderView::of(leader) })),
        None => Err(Problem::new(Kind::Conflict, "no node leads")),
    }
}
