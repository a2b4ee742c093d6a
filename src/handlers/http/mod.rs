//! Endpoints as handlers.
//!
//! A run is one `POST`. Its body is the task's arguments, byte for byte; facts about the run are
//! headers. Connections are kept and used again.
//!
//! | answer | outcome |
//! |---|---|
//! | 2xx | completed; a body that is JSON of at most 64 KiB is the result |
//! | 429, 503 with `Retry-After` | snoozed until then, no attempt charged |
//! | other 4xx, except 408, 425 and 429 | dead, no retry |
//! | anything else, or no whole answer | retry by the task's backoff |
//! | told to stop before the answer came | as the node was told: cancelled, timed out or handed back |
//!
//! The status and the start of the body (4 KiB) are the error message. Redirects are not followed. A
//! run that is to stop closes its connection at once; what the endpoint makes of that is its own
//! affair, and so is an answer that was lost: the same run may be asked for twice.
//!
//! # Turns
//!
//! With a limit, a run waits for its turn in its slot of the node, for at most 5 s and half of its
//! timeout; then its task is snoozed for a second, so that the slot is free for others. No attempt is
//! charged for it.

mod answer;
mod request;
mod sign;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use reqwest::Url;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderName;
use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::config::Secret;

use super::Context;
use super::Handler;
use super::HandlerResult;
use super::Running;
use super::TaskError;

/// Carries the signature.
pub const SIGNATURE: &str = "taskshed-signature";

/// How long a connection may take to be made, TLS included.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// How long a connection without a request is kept. Longer than most servers do, which then close it.
const IDLE_FOR: Duration = Duration::from_secs(60);

/// How long a run waits for its turn at most.
const TURN_WITHIN: Duration = Duration::from_secs(5);

/// How long a task waits that did not get its turn.
const TURN_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What requests say of themselves, and nobody else may set.
const OWN_HEADERS: [&str; 7] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "te",
    "traceparent",
    "transfer-encoding",
];

/// A handler that asks an endpoint.
#[derive(Clone)]
pub struct Http {
    client: Client,
    url: Url,
    headers: HeaderMap,
    secret: Option<Secret<String>>,
    timeout: Option<Duration>,
    turns: Option<Arc<Semaphore>>,
}

/// Why something is no endpoint, or cannot be said to one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEndpoint {
    /// Not a URL of an endpoint.
    #[error("must be a URL such as https://mailer.internal/tasks, without a login or a fragment")]
    Url,
    /// Not a header that may be set.
    #[error("{name:?} is not a header, or one that taskshed sets by itself")]
    HeaderName {
        /// The name as given.
        name: String,
    },
    /// Not what a header can hold.
    #[error("the value of {name} must be of printable ASCII characters")]
    HeaderValue {
        /// Name of the header.
        name: String,
    },
    /// The system gave no client.
    #[error("there is no HTTP client")]
    Client(#[from] reqwest::Error),
}

impl Http {
    /// A handler that sends its runs to `url`.
    ///
    /// `https` trusts the authorities that the system trusts; the variable `SSL_CERT_FILE` names
    /// others. A proxy is taken from `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`.
    ///
    /// # Errors
    ///
    /// If `url` is not `http` or `https`, or holds a login, which belongs into a header; or if the
    /// system's authorities cannot be read.
    pub fn new(url: &str) -> Result<Self, InvalidEndpoint> {
        let url = Url::parse(url).map_err(|_| InvalidEndpoint::Url)?;
        let has_login = !url.username().is_empty() || url.password().is_some();
        let is_http = matches!(url.scheme(), "http" | "https") && url.host().is_some();
        if !is_http || has_login || url.fragment().is_some() {
            return Err(InvalidEndpoint::Url);
        }
        let _chosen_before = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .pool_idle_timeout(IDLE_FOR)
            .redirect(Policy::none())
            .user_agent(concat!("taskshed/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            client,
            url,
            headers: HeaderMap::new(),
            secret: None,
            timeout: None,
            turns: None,
        })
    }

    /// Sends a header along, such as `Authorization`. Its value is never shown.
    ///
    /// # Errors
    ///
    /// If it is not a header, or one that requests have anyway.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, InvalidEndpoint> {
        let refused = || InvalidEndpoint::HeaderName { name: name.into() };
        let header = HeaderName::try_from(name).map_err(|_| refused())?;
        let is_own = header.as_str().starts_with("taskshed-");
        if is_own || OWN_HEADERS.contains(&header.as_str()) {
            return Err(refused());
        }
        let unfit = |_| InvalidEndpoint::HeaderValue { name: name.into() };
        let mut value = HeaderValue::from_str(value).map_err(unfit)?;
        value.set_sensitive(true);
        self.headers.insert(header, value);
        Ok(self)
    }

    /// Signs requests: [`SIGNATURE`] holds `t=SECONDS,v1=HEX`, where `HEX` is the HMAC-SHA256 under
    /// `secret` of five lines: the seconds, the values of `Taskshed-Task-Id`, `Taskshed-Callback` and
    /// `Taskshed-Fence`, and the body.
    #[must_use]
    pub fn signed(mut self, secret: Secret<String>) -> Self {
        self.secret = Some(secret);
        self
    }

    /// Sends at most this many requests at once from this node; 0 counts as 1.
    #[must_use]
    pub fn concurrency(mut self, count: usize) -> Self {
        let count = count.clamp(1, Semaphore::MAX_PERMITS);
        self.turns = Some(Arc::new(Semaphore::new(count)));
        self
    }

    /// Stops a run after this, unless its task says otherwise.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    async fn run(self, context: Context) -> HandlerResult {
        let told = || TaskError::retry("told to stop");
        let _turn = match &self.turns {
            None => None,
            Some(turns) => tokio::select! {
                biased;
                _ = context.stopped() => return Err(told()),
                turn = in_turn(turns, context.timeout()) => Some(turn?),
            },
        };
        let request = self.request(&context);
        tokio::select! {
            biased;
            answered = answer::ask(request, &self.url) => answered,
            _ = context.stopped() => Err(told()),
        }
    }
}

/// Waits for a turn, within bounds.
async fn in_turn(
    turns: &Arc<Semaphore>,
    timeout: Duration,
) -> Result<OwnedSemaphorePermit, TaskError> {
    let later = || TaskError::snooze(TURN_AGAIN_AFTER);
    tokio::select! {
        biased;
        turn = Arc::clone(turns).acquire_owned() => turn.map_err(|_| later()),
        () = SystemClock.sleep(TURN_WITHIN.min(timeout / 2)) => Err(later()),
    }
}

impl Handler for Http {
    fn run(&self, context: Context) -> Running {
        Box::pin(self.clone().run(context))
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.host_str().unwrap_or_default();
        f.debug_struct("Http").field("host", &host).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_of_endpoints_are_taken() {
        for url in ["http://127.0.0.1:80/x?y=z", "https://a.example", "http://[::1]/"] {
            assert!(Http::new(url).is_ok(), "{url}");
        }
        for url in
            ["", "x", "/x", "ftp://a/", "http://", "http://me:pw@a/", "http://me@a/", "http://a/#x"]
        {
            assert!(matches!(Http::new(url), Err(InvalidEndpoint::Url)), "{url}");
        }
    }

    #[test]
    fn what_requests_say_of_themselves_nobody_else_sets() {
        let http = || Http::new("http://a/").unwrap();
        assert!(http().header("Authorization", "Bearer x").is_ok());
        for name in ["Host", "Content-Type", "Taskshed-Fence", "traceparent", "a b", ""] {
            let refused = http().header(name, "x").unwrap_err();
            assert!(matches!(refused, InvalidEndpoint::HeaderName { .. }), "{name}");
        }
        let refused = http().header("X-A", "a\nb").unwrap_err();
        assert!(matches!(refused, InvalidEndpoint::HeaderValue { .. }));
    }

    #[test]
    fn what_is_sent_along_is_not_shown() {
        let http = Http::new("http://a/?key=s3cret").unwrap().header("A", "s3cret").unwrap();

        let shown = format!("{:?}", http.signed(Secret::new("s3cret".into())));

        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
