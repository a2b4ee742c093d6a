//! Talks to a node's API.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::Method;
use reqwest::RequestBuilder;
use reqwest::Response;
use reqwest::StatusCode;
use reqwest::Url;
use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::config::Secret;
use crate::domain::trace::TRACEPARENT;
use crate::domain::trace::TraceContext;

use super::failure::Failure;
use super::failure::chain;

/// How long a connection may take to be made.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How long an answer may take, apart from what it is asked to wait.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// How long a stream may say nothing: a server gives a sign of life three times as often.
const SILENT_FOR: Duration = Duration::from_secs(45);

/// The API of one node.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<Secret<String>>,
    trace: Option<TraceContext>,
}

/// An answer that is not an error.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) text: String,
}

/// An answer that goes on and on.
#[derive(Debug)]
pub(super) struct Stream {
    response: Response,
}

/// What the API answers when it refuses.
#[derive(Deserialize)]
struct Problem {
    detail: Option<String>,
    title: Option<String>,
    #[serde(default)]
    errors: Vec<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    index: Option<usize>,
    field: String,
    message: String,
}

impl Client {
    /// A client of the API at `server`, which `token` opens. Nothing is sent yet.
    /// What it sends belongs to `trace`.
    pub(super) fn new(
        server: &str,
        token: Option<&Secret<String>>,
        trace: Option<TraceContext>,
    ) -> Result<Self, Failure> {
        let refused = |why: &str| Failure::Usage(format!("server: {server:?} {why}"));
        let base = Url::parse(server).map_err(|_| refused("is not a URL"))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(refused("is not a URL such as http://127.0.0.1:8090"));
        }
        let _chosen_before = rustls::crypto::ring::default_provider().install_default();

        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .redirect(Policy::none())
            .user_agent(concat!("taskshed/", env!("CARGO_PKG_VERSION")));
        if is_this_machine(&base) {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| Failure::Refused(chain(&error)))?;
        Ok(Self { http, base, token: token.cloned(), trace })
    }

    /// Asks for what is at `path`.
    pub(super) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Option<Reply>, Failure> {
        self.wait(path, query, Duration::ZERO).await
    }

    /// Asks for what is at `path`, when the answer may take `wait` longer than others. `None` if
    /// there is nothing.
    pub(super) async fn wait(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        wait: Duration,
    ) -> Result<Option<Reply>, Failure> {
        let mut url = self.url(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.request(Method::GET, url).timeout(ANSWER_WITHIN + wait);
        self.send(request).await
    }

    /// Follows what is at `path`, from after `last` if it is given.
    pub(super) async fn stream(
        &self,
        path: &[&str],
        last: Option<&str>,
    ) -> Result<Stream, Failure> {
        let mut request = self.http.request(Method::GET, self.url(path)?);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = self.respond(request).await?;
        if !response.status().is_success() {
            self.read(response).await?;
            return Err(self.lacks(path));
        }
        let kind = response.headers().get("content-type").map(HeaderValue::as_bytes);
        if kind.is_some_and(|kind| kind.starts_with(b"text/event-stream")) {
            return Ok(Stream { response });
        }
        Err(self.stranger("sends no events"))
    }

    /// Sends `body` to `path`, which must be there.
    pub(super) async fn post(&self, path: &[&str], body: String) -> Result<Reply, Failure> {
        self.post_if_there(path, body).await?.ok_or_else(|| self.lacks(path))
    }

    /// Sends `body` to `path`. `None` if there is nothing.
    pub(super) async fn post_if_there(
        &self,
        path: &[&str],
        body: String,
    ) -> Result<Option<Reply>, Failure> {
        let request = self.http.request(Method::POST, self.url(path)?).timeout(ANSWER_WITHIN);
        self.send(request.header("content-type", "application/json").body(body)).await
    }

    fn lacks(&self, path: &[&str]) -> Failure {
        Failure::Refused(format!("{} has no /{}", self.base, path.join("/")))
    }

    /// What answers there does not look like a node.
    pub(super) fn stranger(&self, does: &str) -> Failure {
        let what = "is that the API of a taskshed node?";
        Failure::Refused(format!("{} {does}: {what}", self.base))
    }

    fn url(&self, path: &[&str]) -> Result<Url, Failure> {
        let mut url = self.base.clone();
        let refused = || Failure::Usage(format!("server: {} cannot have a path", self.base));
        url.path_segments_mut().map_err(|()| refused())?.pop_if_empty().extend(path);
        Ok(url)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Option<Reply>, Failure> {
        let response = self.respond(request).await?;
        self.read(response).await
    }

    fn away(&self, error: reqwest::Error) -> Failure {
        Failure::Unreachable(format!(
            "no answer from {}: {}\n  Start a node with `taskshed node`, or name another one with \
             --server or TASKSHED_SERVER",
            self.base,
            chain(&error.without_url())
        ))
    }

    async fn respond(&self, mut request: RequestBuilder) -> Result<Response, Failure> {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.reveal());
        }
        if let Some(trace) = &self.trace {
            request = request.header(TRACEPARENT, trace.as_str());
        }
        request.send().await.map_err(|error| self.away(error))
    }

    async fn read(&self, response: Response) -> Result<Option<Reply>, Failure> {
        let status = response.status();
        let text = response.text().await.map_err(|error| self.away(error))?;
        if status.is_success() {
            return Ok(Some(Reply { text }));
        }

        // An error is no loss here: what is no problem document did not come from a node, and
        // `stranger` says so.
        let problem: Option<Problem> = serde_json::from_str(&text).ok();
        match (status, problem) {
            (StatusCode::NOT_FOUND, Some(_)) => Ok(None),
            (StatusCode::SERVICE_UNAVAILABLE, Some(problem)) => {
                Err(Failure::Unreachable(problem.to_string()))
            }
            (StatusCode::UNAUTHORIZED, Some(problem)) => Err(Failure::Refused(format!(
                "{problem}\n  Give it with --token or TASKSHED_TOKEN"
            ))),
            (_, Some(problem)) => Err(Failure::Refused(problem.to_string())),
            (status, None) => Err(self.stranger(&format!("answers {status}"))),
        }
    }
}

impl Stream {
    /// What comes next; `None` once it is cut off, or nothing came for too long.
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        tokio::select! {
            chunk = self.response.chunk() => chunk.ok().flatten().map(Into::into),
            () = SystemClock.sleep(SILENT_FOR) => None,
        }
    }
}

impl Reply {
    /// Reads the answer into a type.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(&self.text)
            .map_err(|error| Failure::Refused(format!("the answer cannot be read: {error}")))
    }
}

impl std::fmt::Display for Problem {
    /// Each fault as `field: message` on a line of its own, else what the problem says.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.errors.is_empty() {
            let text = self.detail.as_deref().or(self.title.as_deref());
            return f.write_str(text.unwrap_or("the request was refused"));
        }
        for (position, fault) in self.errors.iter().enumerate() {
            let separator = if position > 0 { "\n       " } else { "" };
            match fault.index {
                Some(index) if index > 0 => {
                    write!(f, "{separator}[{index}] {}: {}", fault.field, fault.message)?;
                }
                _ => write!(f, "{separator}{}: {}", fault.field, fault.message)?,
            }
        }
        Ok(())
    }
}

/// Whether a URL leads to this machine, where a proxy could not help.
fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
