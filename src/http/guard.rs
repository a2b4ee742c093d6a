//! What every request passes: a span, a net for panics, a look at who asks, a limit in time.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::MatchedPath;
use axum::extract::Request;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::header;
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::response::Response;
use futures_util::FutureExt;
use tracing::error;

use crate::config::Role;

use super::Api;
use super::WAIT_MAX;
use super::auth::Peer;
use super::named::RequestName;
use super::problem::Kind;
use super::problem::Problem;
use super::routes;

/// How long a request may take, apart from what it asks to wait.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Refuses a body in an encoding that is not known here.
pub(super) async fn decodable(request: Request, next: Next) -> Response {
    let encodings = request.headers().get_all(header::CONTENT_ENCODING);
    let is_known = |value: &HeaderValue| {
        let text = value.as_bytes();
        text.eq_ignore_ascii_case(b"gzip") || text.eq_ignore_ascii_case(b"identity")
    };
    if encodings.iter().all(is_known) {
        return next.run(request).await;
    }
    let detail = "a body may be encoded with gzip, and with nothing else";
    Problem::new(Kind::UnknownEncoding, detail).into_response()
}

/// Turns a panic into an answer, so that it costs one request and not the connection.
pub(super) async fn caught(request: Request, next: Next) -> Response {
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    answered.unwrap_or_else(|_| {
        error!("a request panicked");
        Problem::new(Kind::Internal, "the request met a fault of this program").into_response()
    })
}

/// Refuses what a browser sends on behalf of another site: a page may send requests to this machine,
/// and may give its own host name this machine's address.
pub(super) async fn admitted(State(api): State<Api>, request: Request, next: Next) -> Response {
    match refusal(request.headers(), api.any_host || !api.auth.is_open()) {
        Some(detail) => Problem::new(Kind::Forbidden, detail).into_response(),
        None => next.run(request).await,
    }
}

/// Lets in who may do what is asked.
pub(super) async fn authenticated(
    State(api): State<Api>,
    path: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = path.as_ref().map_or("", MatchedPath::as_str);
    let needed =
        if path.is_empty() { Some(Role::Read) } else { routes::needed(request.method(), path) };
    let Some(needed) = needed else { return next.run(request).await };
    let peer = request.extensions().get().map(|Peer(address): &Peer| address.ip());
    match api.auth.admit(request.headers(), peer, needed, api.clock.steady()) {
        Ok(mut caller) => {
            if let Some(RequestName(name)) = request.extensions().get() {
                caller.request = Arc::clone(name);
            }
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Keeps requests from a store that was not looked at yet: it may be none of ours.
pub(super) async fn prepared(
    State(api): State<Api>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let asks_store = !api.prepared.is_cancelled()
        && path.is_some_and(|path| routes::asks_store(request.method(), path.as_str()));
    if asks_store {
        let detail = "the node has not reached its store since it started";
        return Problem::new(Kind::StoreAway, detail).into_response();
    }
    next.run(request).await
}

/// Answers for a request that takes too long.
pub(super) async fn timed(State(api): State<Api>, request: Request, next: Next) -> Response {
    let waits = request.uri().query().is_some_and(|query| query.contains("wait="))
        || request.uri().path() == "/v1/claims";
    let within = if waits { ANSWER_WITHIN + WAIT_MAX } else { ANSWER_WITHIN };
    tokio::select! {
        response = next.run(request) => response,
        () = api.clock.sleep(within) => {
            Problem::new(Kind::StoreAway, "there was no answer in time").into_response()
        }
    }
}

fn refusal(headers: &HeaderMap, any_host: bool) -> Option<&'static str> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    if !any_host && !is_this_machine(host) {
        return Some("the Host header must be an address or localhost");
    }
    let origin = headers.get(header::ORIGIN)?.to_str().unwrap_or_default();
    let same =
        ["http://", "https://"].iter().any(|scheme| origin.strip_prefix(scheme) == Some(host));
    (!same).then_some("the request comes from a page of another site")
}

/// Whether a `Host` header holds an address, or a name that always means this machine.
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;
    use axum::http::HeaderValue;

    use super::*;

    fn is_refused(given: &[(HeaderName, &'static str)]) -> bool {
        let pairs =
            given.iter().cloned().map(|(name, text)| (name, HeaderValue::from_static(text)));
        refusal(&pairs.collect(), false).is_some()
    }

    #[test]
    fn only_addresses_and_localhost_are_served() {
        for host in ["127.0.0.1:8090", "[::1]:8090", "localhost:8090", "localhost", "10.0.0.7"] {
            assert!(!is_refused(&[(header::HOST, host)]), "{host}");
        }
        for host in ["rebound.example:8090", "localhost.example", "", ":8090"] {
            assert!(is_refused(&[(header::HOST, host)]), "{host}");
        }
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let asked =
            |origin| is_refused(&[(header::HOST, "localhost:80"), (header::ORIGIN, origin)]);

        assert!(!asked("http://localhost:80"));
        for origin in ["http://evil.example", "null", "http://localhost:81", "localhost:80", ""] {
            assert!(asked(origin), "{origin}");
        }
    }
}
