//! Problem documents (RFC 9457): what went wrong, for programs and for people.

use axum::Json;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use serde::Serialize;
use tracing::error;
use tracing::warn;

use crate::scheduler;
use crate::scheduler::IndexedFault;
use crate::store;

/// Seconds after which a request that met an absent store may be repeated.
const RETRY_AFTER_SECONDS: u64 = 1;

/// What went wrong, by the name that programs may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    NotJson,
    BadQuery,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    BodyTooSlow,
    Conflict,
    Gone,
    TooLarge,
    UnknownEncoding,
    Invalid,
    TooManyFailures,
    Internal,
    StoreAway,
    StoreFull,
    StoreUnusable,
    NotReady,
}

impl Kind {
    /// Status, stable name and title.
    fn facts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotJson => {
                (StatusCode::BAD_REQUEST, "/problems/not-json", "the body is not JSON")
            }
            Self::BadQuery => {
                (StatusCode::BAD_REQUEST, "/problems/bad-query", "the query cannot be used")
            }
            Self::Unauthorized => {
                (StatusCode::UNAUTHORIZED, "/problems/unauthorized", "a token is needed")
            }
            Self::Forbidden => {
                (StatusCode::FORBIDDEN, "/problems/forbidden", "the request is refused")
            }
            Self::NotFound => {
                (StatusCode::NOT_FOUND, "/problems/not-found", "there is nothing here")
            }
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "/problems/method-not-allowed",
                "the path has no such method",
            ),
            Self::BodyTooSlow => {
                (StatusCode::REQUEST_TIMEOUT, "/problems/body-too-slow", "the body came too slowly")
            }
            Self::Conflict => {
                (StatusCode::CONFLICT, "/problems/conflict", "the state does not allow it")
            }
            Self::Gone => (StatusCode::GONE, "/problems/gone", "the claim is gone"),
            Self::TooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "/problems/too-large", "the body is too large")
            }
            Self::UnknownEncoding => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "/problems/unknown-encoding",
                "the body is encoded in an unknown way",
            ),
            Self::Invalid => {
                (StatusCode::UNPROCESSABLE_ENTITY, "/problems/invalid", "the request is invalid")
            }
            Self::TooManyFailures => (
                StatusCode::TOO_MANY_REQUESTS,
                "/problems/too-many-failures",
                "too many wrong tokens",
            ),
            Self::Internal
            | Self::StoreAway
            | Self::StoreFull
            | Self::StoreUnusable
            | Self::NotReady => self.faults_of_ours(),
        }
    }

    /// The same for what no request can mend.
    fn faults_of_ours(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::StoreAway => (
                StatusCode::SERVICE_UNAVAILABLE,
                "/problems/store-away",
                "the store is out of reach",
            ),
            Self::StoreFull => {
                (StatusCode::SERVICE_UNAVAILABLE, "/problems/store-full", "the store is full")
            }
            Self::StoreUnusable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "/problems/store-unusable",
                "the store cannot be used",
            ),
            Self::NotReady => {
                (StatusCode::SERVICE_UNAVAILABLE, "/problems/not-ready", "the node takes no work")
            }
            _ => {
                (StatusCode::INTERNAL_SERVER_ERROR, "/problems/internal", "the server is at fault")
            }
        }
    }
}

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    kind: Kind,
    detail: String,
    errors: Vec<IndexedFault>,
    retry_after: Option<u64>,
}

/// An answer, or the problem that stands in its place.
pub(super) type Answer<T> = Result<T, Problem>;

impl Problem {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let is_passing = matches!(kind, Kind::StoreAway | Kind::StoreFull);
        let retry_after = is_passing.then_some(RETRY_AFTER_SECONDS);
        Self { kind, detail: detail.into(), errors: Vec::new(), retry_after }
    }

    pub(super) fn invalid(errors: Vec<IndexedFault>) -> Self {
        let detail = match errors.as_slice() {
            [fault] => fault.to_string(),
            faults => format!("{} faults", faults.len()),
        };
        Self { errors, ..Self::new(Kind::Invalid, detail) }
    }

    /// Says after how many seconds it may be asked again.
    pub(super) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// Whether what was asked may have had its effect all the same.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.kind == Kind::StoreAway
    }
}

impl From<scheduler::Error> for Problem {
    fn from(error: scheduler::Error) -> Self {
        match error {
            scheduler::Error::Invalid { errors } => Self::invalid(errors),
            scheduler::Error::Store(error) => error.into(),
        }
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        let kind = match &error {
            store::Error::Unavailable { .. } => Kind::StoreAway,
            store::Error::Full { .. } => Kind::StoreFull,
            store::Error::Unusable { .. }
            | store::Error::Schema { .. }
            | store::Error::Foreign { .. } => Kind::StoreUnusable,
            store::Error::Corrupt { .. } => Kind::Internal,
            store::Error::Cursor => return Self::new(Kind::BadQuery, format!("cursor: {error}")),
        };
        let shown = &error as &dyn std::error::Error;
        if kind == Kind::Internal {
            error!(error = shown, "a record cannot be read");
        } else {
            warn!(error = shown, "the store gave no answer");
        }
        Self::new(kind, error.to_string())
    }
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FaultView<'a>>,
}

#[derive(Serialize)]
struct FaultView<'a> {
    index: Option<usize>,
    field: &'a str,
    message: &'a str,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, name, title) = self.kind.facts();
        let errors = self.errors.iter().map(|error| FaultView {
            index: error.index,
            field: &error.fault.field,
            message: &error.fault.message,
        });
        let document = Document {
            r#type: name,
            title,
            status: status.as_u16(),
            detail: &self.detail,
            errors: errors.collect(),
        };

        let mut response = (status, Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.kind == Kind::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
