//! What the node counts, as Prometheus reads it.

use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;

use crate::http::Api;

/// The text format of Prometheus.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Asks no store, so that it answers while that is away.
pub(in crate::http) async fn show(
    State(api): State<Api>,
) -> ([(HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, TEXT)], api.metrics.text())
}
