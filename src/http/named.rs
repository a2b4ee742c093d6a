//! Every request has a name, so that its log lines, its audit and its reply can be found together.

use std::sync::Arc;

use axum::extract::Request;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;
use tracing::debug;
use tracing::debug_span;

use super::Api;

/// Name of the header.
const REQUEST_ID: &str = "x-request-id";

/// Longest name that is taken from outside.
const BYTES_MAX: usize = 128;

/// The name of a request.
#[derive(Clone, Debug)]
pub(super) struct RequestName(pub(super) Arc<str>);

/// Takes the name that came with a request, or gives it one; opens its span.
pub(super) async fn named(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let is_sound = |name: &&str| {
        (1..=BYTES_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let name: Arc<str> = match given.filter(is_sound) {
        Some(given) => Arc::from(given),
        None => Arc::from(api.scheduler.fresh_request().as_str()),
    };
    let (method, path) = (request.method(), request.uri().path());
    let span = debug_span!("http.request", %method, path, request = %name);
    request.extensions_mut().insert(RequestName(Arc::clone(&name)));
    async {
        let mut response = next.run(request).await;
        if let Ok(value) = HeaderValue::from_str(&name) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        debug!(status = response.status().as_u16(), "answered");
        response
    }
    .instrument(span)
    .await
}
