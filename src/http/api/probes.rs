//! Whether the node is alive, and whether it may be sent work.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::http::Api;
use crate::http::Readiness;
use crate::http::problem::Answer;
use crate::http::problem::Kind;
use crate::http::problem::Problem;

#[derive(Serialize)]
pub(in crate::http) struct Status {
    status: &'static str,
}

pub(in crate::http) async fn healthz() -> Json<Status> {
    Json(Status { status: "alive" })
}

pub(in crate::http) async fn readyz(State(api): State<Api>) -> Answer<Json<Status>> {
    match (api.readiness)() {
        Readiness::Ready => Ok(Json(Status { status: "ready" })),
        Readiness::StoreAway => Err(Problem::new(Kind::NotReady, "the store is out of reach")),
        Readiness::Draining => Err(Problem::new(Kind::NotReady, "the node drains")),
    }
}
