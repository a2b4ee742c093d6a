//! Which path and method leads where.

use axum::Router;
use axum::middleware;
use axum::routing::get;
use axum::routing::post;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::NotForContentType;
use tower_http::compression::predicate::Predicate;
use tower_http::compression::predicate::SizeAbove;
use tower_http::decompression::RequestDecompressionLayer;

use super::Api;
use super::again;
use super::api::claims;
use super::api::cluster;
use super::api::events;
use super::api::metrics;
use super::api::probes;
use super::api::queues;
use super::api::tasks;
use super::guard;
use super::named;
use super::openapi;
use super::problem::Kind;
use super::problem::Problem;

/// Replies of fewer bytes are not worth compressing.
const COMPRESSED_FROM: u16 = 1024;

/// All routes of the API.
///
/// Changes share a path with single tasks, because a task may well be called `pause`.
pub fn router(api: Api) -> Router {
    // A stream of events would stay in the compressor until it is full.
    let worth = SizeAbove::new(COMPRESSED_FROM).and(NotForContentType::SSE);
    Router::new()
        .route("/v1/tasks", get(tasks::list).post(tasks::add))
        .route("/v1/tasks/{id}", get(tasks::find).post(tasks::change))
        .route("/v1/claims", post(claims::take))
        .route("/v1/claims/{claim_id}/renew", post(claims::renew))
        .route("/v1/claims/{claim_id}/ack", post(claims::ack))
        .route("/v1/next-wakeup", get(queues::next_wakeup))
        .route("/v1/queues", get(queues::list))
        .route("/v1/queues/{queue}/pause", post(queues::pause))
        .route("/v1/queues/{queue}/resume", post(queues::resume))
        .route("/v1/nodes", get(cluster::nodes))
        .route("/v1/nodes/{name}/drain", post(cluster::drain))
        .route("/v1/leader", get(cluster::leader))
        .route("/v1/leader/resign", post(cluster::resign))
        .route("/v1/events", get(events::follow))
        .route("/healthz", get(probes::healthz))
        .route("/readyz", get(probes::readyz))
        .route("/metrics", get(metrics::show))
        .route("/openapi.json", get(openapi::show))
        .fallback(|| async { Problem::new(Kind::NotFound, "no such path") })
        .method_not_allowed_fallback(|| async {
            Problem::new(Kind::MethodNotAllowed, "see the Allow header")
        })
        .layer(middleware::from_fn_with_state(api.clone(), guard::timed))
        .layer(middleware::from_fn_with_state(api.clone(), again::once))
        .layer(middleware::from_fn_with_state(api.clone(), guard::prepared))
        .layer(middleware::from_fn_with_state(api.clone(), guard::authenticated))
        .layer(middleware::from_fn_with_state(api.clone(), guard::admitted))
        .layer(middleware::from_fn(guard::caught))
        .layer(RequestDecompressionLayer::new())
        .layer(CompressionLayer::new().compress_when(worth))
        .layer(middleware::from_fn(guard::decodable))
        .layer(middleware::from_fn_with_state(api.clone(), named::named))
        .with_state(api)
}
