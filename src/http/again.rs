//! `Idempotency-Key`: a request that comes again gets the first reply.
//!
//! Replies are remembered by the node that gave them, for a day and within bounds. What tasks were added
//! is known to the store, too: a request with a key draws its ids from the key and its body, so that any
//! node finds the first one's work done, also after a restart.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use axum::body::Body;
use axum::body::Bytes;
use axum::extract::Request;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::StatusCode;
use axum::http::header;
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::response::Response;
use sha2::Digest;
use sha2::Sha256;

use crate::scheduler::IndexedFault;

use super::Api;
use super::auth::Caller;
use super::body;
use super::problem::Answer;
use super::problem::Kind;
use super::problem::Problem;

/// Name of the header, as it comes.
const KEY: &str = "idempotency-key";

/// Name of the header of a reply that was given before.
const REPLAYED: &str = "idempotency-replayed";

/// How long a reply is remembered.
const KEPT: Duration = Duration::from_secs(86_400);

/// Most replies that are remembered; the oldest go first.
const REPLIES_MAX: usize = 10_000;

/// Most bytes of all of them.
const BYTES_MAX: usize = 64 << 20;

/// Names a request that may come again: the same for the same caller, path, key and body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seed(pub(super) [u8; 32]);

/// Replies that were given. Cheap to clone; clones are one memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Replies(Arc<Mutex<Memory>>);

#[derive(Debug, Default)]
struct Memory {
    known: HashMap<[u8; 32], Known>,
    /// Those that are done, oldest first, with when and how large: a steady count and bytes.
    order: VecDeque<([u8; 32], Duration, usize)>,
    bytes: usize,
}

#[derive(Clone, Debug)]
enum Known {
    UnderWay,
    Done { seed: [u8; 32], status: StatusCode, kind: Option<HeaderValue>, body: Bytes },
}

/// What a request with a key is to do.
enum Turn {
    First(UnderWay),
    Again(Response),
}

/// A request that is being answered; if it is given up, another one may come.
struct UnderWay {
    replies: Replies,
    name: [u8; 32],
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut memory = self.replies.memory();
        if matches!(memory.known.get(&self.name), Some(Known::UnderWay)) {
            memory.known.remove(&self.name);
        }
    }
}

/// Gives the first reply to a request that comes again under its key.
pub(super) async fn once(
    State(api): State<Api>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Response {
    let Some(key) = request.headers().get(KEY).filter(|_| request.method() == Method::POST) else {
        return next.run(request).await;
    };
    let key = key.clone();
    match keyed(&api, &caller, key.as_bytes(), request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn keyed(
    api: &Api,
    caller: &Caller,
    key: &[u8],
    request: Request,
    next: Next,
) -> Answer<Response> {
    if key.is_empty() || key.len() > 255 || !key.iter().all(u8::is_ascii_graphic) {
        let message = "must be 1 to 255 printable ASCII characters without spaces";
        return Err(Problem::invalid(vec![IndexedFault::whole("Idempotency-Key", message)]));
    }
    let (parts, body) = request.into_parts();
    let bytes = body::read_in_time(body, &*api.clock).await?;
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let name = digest(&[caller.name.as_bytes(), path.as_bytes(), key]);
    let seed = digest(&[&name, &bytes]);
    let under_way = match api.replies.begin(name, seed, api.clock.steady())? {
        Turn::Again(response) => return Ok(response),
        Turn::First(under_way) => under_way,
    };

    let mut request = Request::from_parts(parts, Body::from(bytes));
    request.extensions_mut().insert(Seed(seed));
    let response = next.run(request).await;
    // What met a fault or an absent store may go better the next time.
    if response.status().is_server_error() {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await;
    let body = body.map_err(|error| Problem::new(Kind::Internal, error.to_string()))?;
    let kind = parts.headers.get(header::CONTENT_TYPE).cloned();
    let done = Known::Done { seed, status: parts.status, kind, body: body.clone() };
    api.replies.end(&under_way, done, body.len(), api.clock.steady());
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// One digest of several texts, none of which can pass for a part of another.
fn digest(texts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update(text.len().to_be_bytes());
        hasher.update(text);
    }
    hasher.finalize().into()
}

impl Replies {
    fn begin(&self, name: [u8; 32], seed: [u8; 32], steady: Duration) -> Answer<Turn> {
        let mut memory = self.memory();
        memory.forget(steady);
        match memory.known.get(&name) {
            None => {
                memory.known.insert(name, Known::UnderWay);
                Ok(Turn::First(UnderWay { replies: self.clone(), name }))
            }
            Some(Known::UnderWay) => {
                let detail = "the first request with this Idempotency-Key is still under way";
                Err(Problem::new(Kind::Conflict, detail).retry_after(1))
            }
            Some(Known::Done { seed: first, .. }) if *first != seed => {
                let message = "was given with another body before";
                Err(Problem::invalid(vec![IndexedFault::whole("Idempotency-Key", message)]))
            }
            Some(Known::Done { status, kind, body, .. }) => {
                let mut response = (*status, body.clone()).into_response();
                let headers = response.headers_mut();
                headers.remove(header::CONTENT_TYPE);
                headers.extend(kind.clone().map(|kind| (header::CONTENT_TYPE, kind)));
                headers.insert(REPLAYED, HeaderValue::from_static("true"));
                Ok(Turn::Again(response))
            }
        }
    }

    fn end(&self, under_way: &UnderWay, done: Known, bytes: usize, steady: Duration) {
        let mut memory = self.memory();
        memory.known.insert(under_way.name, done);
        memory.order.push_back((under_way.name, steady, bytes));
        memory.bytes += bytes;
        memory.forget(steady);
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn forget(&mut self, steady: Duration) {
        while let Some((name, at, bytes)) = self.order.front().copied() {
            let is_full = self.order.len() > REPLIES_MAX || self.bytes > BYTES_MAX;
            if !is_full && steady.saturating_sub(at) < KEPT {
                return;
            }
            self.order.pop_front();
            self.known.remove(&name);
            self.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(replies: &Replies, count: u16, bytes: usize) {
        let name = digest(&[&count.to_be_bytes()]);
        let Ok(Turn::First(under_way)) = replies.begin(name, name, Duration::ZERO) else {
            panic!("{count} is known")
        };
        let body = Bytes::from_static(b"{}");
        let done = Known::Done { seed: name, status: StatusCode::OK, kind: None, body };
        replies.end(&under_way, done, bytes, Duration::ZERO);
    }

    #[test]
    fn the_memory_is_bounded_in_number_bytes_and_time() {
        let replies = Replies::default();
        for count in 0..u16::MAX {
            answer(&replies, count, 1);
        }
        assert_eq!(replies.memory().known.len(), REPLIES_MAX);
        answer(&replies, u16::MAX, BYTES_MAX);
        assert_eq!(replies.memory().order.len(), 1);

        replies.memory().forget(KEPT);
        assert!(replies.memory().known.is_empty());
    }
}
