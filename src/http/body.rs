//! Reading a body, within bounds of size and time.

use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequest;
use axum::extract::Request;
use futures_util::StreamExt;

use crate::clock::Clock;

use super::Api;
use super::problem::Answer;
use super::problem::Kind;
use super::problem::Problem;

/// Most bytes of a body: 8 MiB.
pub const BODY_BYTES_MAX: usize = crate::scheduler::BATCH_BYTES_MAX;

/// How long a body may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// Most bytes of a body that is too large which are read and dropped, because a client that is cut
/// off while it sends may not see the answer.
const DROPPED_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;

/// The body of a request, as text.
#[derive(Debug)]
pub(super) struct BodyText(pub(super) String);

impl FromRequest<Api> for BodyText {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Answer<Self> {
        let bytes = read_in_time(request.into_body(), &*api.clock).await?;
        let text = String::from_utf8(bytes).map_err(|error| {
            Problem::new(Kind::NotJson, format!("the body is not UTF-8: {error}"))
        })?;
        Ok(Self(text))
    }
}

/// The bytes of a body that came in time and is not too large.
pub(super) async fn read_in_time(body: Body, clock: &dyn Clock) -> Answer<Vec<u8>> {
    tokio::select! {
        read = read(body) => read,
        () = clock.sleep(BODY_WITHIN) => {
            Err(Problem::new(Kind::BodyTooSlow, "the body took longer than 30 s"))
        }
    }
}

async fn read(body: Body) -> Answer<Vec<u8>> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut seen = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk
            .map_err(|error| Problem::new(Kind::NotJson, format!("the body broke: {error}")))?;
        seen += chunk.len();
        if seen <= BODY_BYTES_MAX {
            bytes.extend_from_slice(&chunk);
        } else {
            bytes = Vec::new();
            if seen > DROPPED_BYTES_MAX {
                break;
            }
        }
    }
    if seen > BODY_BYTES_MAX {
        let detail = format!("at most {BODY_BYTES_MAX} bytes are taken; send several batches");
        return Err(Problem::new(Kind::TooLarge, detail));
    }
    Ok(bytes)
}
