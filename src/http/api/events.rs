//! What happens on this node, as a stream.

use std::convert::Infallible;

use axum::body::Body;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use futures_util::stream;

use crate::http::Api;
use crate::http::problem::Answer;

use super::query::Queried;

pub(in crate::http) async fn follow(
    State(api): State<Api>,
    headers: HeaderMap,
    query: Queried,
) -> Answer<Response> {
    query.end()?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let spell = api.scheduler.fresh_request();
    let follower = api.log.follow(&api.events, last, spell.as_str(), api.clock.clone());

    let greeting = Some(follower.greeting());
    let events = stream::unfold((greeting, follower), |(greeting, mut follower)| async {
        let text = match greeting {
            Some(greeting) => greeting,
            None => follower.next().await?,
        };
        Some((Ok::<_, Infallible>(Bytes::from(text)), (None, follower)))
    });
    let kind = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((kind, Body::from_stream(events)).into_response())
}
