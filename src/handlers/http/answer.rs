//! From the answer of an endpoint to what its handler says.

use std::time::Duration;

use reqwest::RequestBuilder;
use reqwest::Response;
use reqwest::StatusCode;
use reqwest::Url;
use reqwest::header::DATE;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderName;
use reqwest::header::RETRY_AFTER;

use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::domain::json::Json;
use crate::domain::json::RESULT_BYTES_MAX;
use crate::domain::time::Timestamp;
use crate::handlers::HandlerResult;
use crate::handlers::TaskError;

/// Most bytes of a body that become the error message.
const MESSAGE_BYTES_MAX: usize = 4 << 10;

/// Most bytes of a body that are read; the connection of a longer one is closed.
const READ_BYTES_MAX: usize = RESULT_BYTES_MAX + 1024;

/// How long the body of an error may take.
const ERROR_WITHIN: Duration = Duration::from_secs(5);

/// Least wait that is taken from `Retry-After`, so that one of 0 is no loop.
const SNOOZE_MIN: Duration = Duration::from_secs(1);

/// Sends the request and reads the answer. Dropping the future closes the connection.
pub(super) async fn ask(request: RequestBuilder, url: &Url) -> HandlerResult {
    let place = url.origin().ascii_serialization();
    let broken = |error: reqwest::Error| {
        let why = TaskError::from(error.without_url());
        TaskError::retry(format!("no answer from {place}: {why}"))
    };
    let mut response = request.send().await.map_err(broken)?;
    let status = response.status();
    if status.is_success() {
        let body = read(&mut response).await.map_err(broken)?;
        return Ok(body.and_then(|body| result(&body)));
    }

    let body = tokio::select! {
        body = read(&mut response) => body.ok().flatten().unwrap_or_default(),
        () = SystemClock.sleep(ERROR_WITHIN) => Vec::new(),
    };
    match retry_after(status, response.headers(), SystemClock.wall()) {
        Some(wait) => Err(TaskError::snooze(wait)),
        None if is_final(status) => Err(TaskError::dead(message(status, &body))),
        None => Err(TaskError::retry(message(status, &body))),
    }
}

/// The body, to its end, so that the connection can be used again; `None` if it is too long.
async fn read(response: &mut Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > READ_BYTES_MAX {
            return Ok(None);
        }
    }
    Ok(Some(body))
}

/// The body as a result, if it is JSON that is kept.
fn result(body: &[u8]) -> Option<Json> {
    let json = Json::parse(std::str::from_utf8(body).ok()?).ok()?;
    (json.as_str().len() <= RESULT_BYTES_MAX && json.as_str() != "null").then_some(json)
}

/// Whether the same request would be refused again.
fn is_final(status: StatusCode) -> bool {
    status.is_client_error() && !matches!(status.as_u16(), 408 | 425 | 429)
}

fn message(status: StatusCode, body: &[u8]) -> String {
    let start = &body[..body.len().min(MESSAGE_BYTES_MAX)];
    let text = String::from_utf8_lossy(start);
    let text = text.trim_end_matches(char::REPLACEMENT_CHARACTER).trim();
    match text {
        _ if status.is_redirection() => format!("{status}: redirects are not followed"),
        "" => status.to_string(),
        text => format!("{status}: {text}"),
    }
}

/// How long an endpoint that has too much to do wants to be left alone.
///
/// A date is compared with that of the answer, if it has one, so that clocks need not agree.
fn retry_after(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    if !matches!(status.as_u16(), 429 | 503) {
        return None;
    }
    let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let asked = text(RETRY_AFTER)?;
    let is_seconds = !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit());
    let wait = if is_seconds {
        Duration::from_secs(asked.parse().unwrap_or(u64::MAX))
    } else {
        let until = Timestamp::parse_http_date(asked)?;
        until.since(text(DATE).and_then(Timestamp::parse_http_date).unwrap_or(now))
    };
    Some(wait.max(SNOOZE_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-24T05:00:00Z";

    fn waits(status: u16, headers: &[(HeaderName, &'static str)]) -> Option<Duration> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
        let status = StatusCode::from_u16(status).unwrap();
        retry_after(status, &headers.collect(), Timestamp::parse(NOW).unwrap())
    }

    #[test]
    fn retry_after_comes_in_seconds_or_as_a_date() {
        let seconds = |count| Some(Duration::from_secs(count));
        for (text, wanted) in [
            ("120", seconds(120)),
            (" 7 ", seconds(7)),
            ("0", seconds(1)),
            ("Tue, 24 Nov 2026 05:01:30 GMT", seconds(90)),
            ("Tuesday, 24-Nov-26 05:01:30 GMT", seconds(90)),
            ("Tue Nov 24 05:01:30 2026", seconds(90)),
            ("Tue, 24 Nov 2026 04:00:00 GMT", seconds(1)),
            ("99999999999999999999999", seconds(u64::MAX)),
            ("", None),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
            ("2026-11-24T05:01:30Z", None),
        ] {
            assert_eq!(waits(503, &[(RETRY_AFTER, text)]), wanted, "{text}");
            assert_eq!(waits(429, &[(RETRY_AFTER, text)]), wanted, "{text}");
        }
        assert_eq!(waits(500, &[(RETRY_AFTER, "5")]), None);
        assert_eq!(waits(503, &[]), None);
    }

    #[test]
    fn a_date_counts_from_that_of_the_answer() {
        let until = (RETRY_AFTER, "Tue, 24 Nov 2026 08:01:30 GMT");
        let date = (DATE, "Tue, 24 Nov 2026 08:01:00 GMT");

        assert_eq!(waits(503, &[until, date]), Some(Duration::from_secs(30)));
    }

    #[test]
    fn what_no_retry_can_help_is_final() {
        let is_final = |status| is_final(StatusCode::from_u16(status).unwrap());
        for status in [400, 401, 403, 404, 409, 410, 413, 418, 422, 451, 499] {
            assert!(is_final(status), "{status}");
        }
        for status in [301, 302, 308, 408, 425, 429, 500, 501, 502, 503, 504, 599] {
            assert!(!is_final(status), "{status}");
        }
    }

    #[test]
    fn a_result_is_json_of_bounded_length() {
        let text = |body: &str| result(body.as_bytes()).map(|json| json.as_str().to_owned());
        assert_eq!(text(" {\"a\": 1} \n").as_deref(), Some("{\"a\": 1}"));
        assert_eq!(text(&format!("\"{}\"", "x".repeat(RESULT_BYTES_MAX))), None);
        for body in ["", "null", "ok", "{\"a\":1} {}"] {
            assert_eq!(text(body), None, "{body}");
        }
        assert_eq!(result(b"\"\xff\""), None);
    }

    #[test]
    fn the_message_is_the_start_of_the_body_in_whole_letters() {
        let told =
            |status, body: &str| message(StatusCode::from_u16(status).unwrap(), body.as_bytes());
        assert_eq!(told(500, " no room\n"), "500 Internal Server Error: no room");
        assert_eq!(told(404, ""), "404 Not Found");
        assert_eq!(told(302, "<html>"), "302 Found: redirects are not followed");
        let long = told(500, &format!("x{}", "ß".repeat(4096)));
        assert!(long.ends_with("ßß") && long.len() < MESSAGE_BYTES_MAX + 32, "{}", long.len());
    }
}
