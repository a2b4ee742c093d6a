//! Who asks, and whether they may.
//!
//! A token is compared by its SHA-256 with all that are known, in a time that does not tell which one
//! it was like. Who gives wrong ones again and again is not listened to for a while.

mod failures;

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header;
use axum::http::request::Parts;
use sha2::Digest;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use tracing::warn;

use crate::config::Role;
use crate::config::Token;

use super::Api;
use super::problem::Answer;
use super::problem::Kind;
use super::problem::Problem;

use self::failures::Failures;

/// Name of a caller where no tokens are configured.
const ANYBODY: &str = "anybody";

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) name: Arc<str>,
    pub(super) role: Role,
    pub(super) peer: Option<IpAddr>,
    /// Name of the request.
    pub(super) request: Arc<str>,
}

/// Tokens, and who failed to give one. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Auth {
    tokens: Arc<[Known]>,
    failures: Arc<Failures>,
}

#[derive(Debug)]
struct Known {
    name: Arc<str>,
    role: Role,
    sha256: [u8; 32],
}

impl Auth {
    pub(super) fn new(tokens: &[Token]) -> Self {
        let known = |token: &Token| Known {
            name: Arc::from(token.name.as_str()),
            role: token.role,
            sha256: token.sha256,
        };
        Self { tokens: tokens.iter().map(known).collect(), failures: Arc::default() }
    }

    /// Whether anybody may do anything.
    pub(super) fn is_open(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Lets a caller in who has what is `needed`.
    pub(super) fn admit(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
        needed: Role,
        steady: Duration,
    ) -> Answer<Caller> {
        if self.is_open() {
            return Ok(Caller {
                name: ANYBODY.into(),
                role: Role::Admin,
                peer,
                request: "".into(),
            });
        }
        let Some(given) = bearer(headers) else {
            let detail = "give a token: Authorization: Bearer TOKEN";
            return Err(Problem::new(Kind::Unauthorized, detail));
        };
        let found = self.find(given);
        if let Some(wait) = self.failures.limit(peer, found, steady) {
            let seconds = wait.as_secs().saturating_add(1);
            let detail = format!("too many wrong tokens came from your address; wait {seconds} s");
            return Err(Problem::new(Kind::TooManyFailures, detail).retry_after(seconds));
        }
        let Some(known) = found.and_then(|index| self.tokens.get(index)) else {
            warn!(target: "audit", from = %Shown(peer), "a wrong token was refused");
            return Err(Problem::new(Kind::Unauthorized, "the token is not known here"));
        };
        if known.role < needed {
            let (name, role) = (&known.name, known.role);
            warn!(target: "audit", who = %name, from = %Shown(peer), %role, %needed, "refused");
            let detail = format!("this needs the role {needed}; the token has {role}");
            return Err(Problem::new(Kind::Forbidden, detail));
        }
        let name = Arc::clone(&known.name);
        Ok(Caller { name, role: known.role, peer, request: "".into() })
    }

    /// The position of the token, looked for among all, whichever it is.
    fn find(&self, given: &str) -> Option<usize> {
        let digest: [u8; 32] = Sha256::digest(given.as_bytes()).into();
        let mut found = None;
        for (index, known) in self.tokens.iter().enumerate() {
            if bool::from(known.sha256.ct_eq(&digest)) {
                found = Some(index);
            }
        }
        found
    }
}

/// The token of an `Authorization` header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// An address that may not be known.
pub(super) struct Shown(pub(super) Option<IpAddr>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("?"),
        }
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Infallible;

    /// Whom the guard let in.
    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Infallible> {
        let request = || Arc::from("");
        let nobody = || Self { name: "?".into(), role: Role::Read, peer: None, request: request() };
        Ok(parts.extensions.get().cloned().unwrap_or_else(nobody))
    }
}
