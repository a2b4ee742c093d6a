//! What errors of the driver mean.

use redis::ErrorKind;
use redis::FromRedisValue;
use redis::RedisError;
use redis::Value;

use crate::store::Error;
use crate::store::Result;

/// Reads an answer as what the script promises.
pub(super) fn read<T: FromRedisValue>(method: &'static str, value: Value) -> Result<T> {
    T::from_redis_value(value).map_err(|error| Error::Unusable {
        problem: format!("the answer to {method} cannot be read: {error}"),
    })
}

/// What an error of the driver means for the caller.
pub(super) fn explain(method: &'static str, error: RedisError) -> Error {
    match error.code() {
        Some("OOM") if method == "add" => return Error::Full { method, source: Box::new(error) },
        Some("NOAUTH" | "WRONGPASS" | "NOPERM" | "WRONGTYPE" | "CROSSSLOT" | "EXECABORT") => {
            return Error::Unusable { problem: reason(&error) };
        }
        Some("ERR") if !reason(&error).contains("max number of clients") => {
            return Error::Unusable { problem: reason(&error) };
        }
        Some(_) => return Error::Unavailable { method, source: Box::new(error) },
        None => {}
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed
        | ErrorKind::InvalidClientConfig
        | ErrorKind::UnexpectedReturnType => Error::Unusable { problem: reason(&error) },
        _ => Error::Unavailable { method, source: Box::new(error) },
    }
}

/// Whether the connection is of no use after `error`. One to a server that became a replica is not:
/// the next one may reach the primary. Neither is one to a server that is just starting, or that
/// says that its cluster is down: another one may have taken its place. A slot that has moved is
/// somewhere else, too. One that is moving (ASK, TRYAGAIN) is not yet: there it is waited for.
pub(super) fn breaks_connection(error: &RedisError) -> bool {
    match error.code() {
        Some(code) => {
            matches!(
                code,
                "READONLY"
                    | "NOAUTH"
                    | "MASTERDOWN"
                    | "UNBLOCKED"
                    | "LOADING"
                    | "MOVED"
                    | "CLUSTERDOWN"
            )
        }
        None => true,
    }
}

/// Whether a server refused because another one serves the slot; nothing was done then.
pub(super) fn has_moved(error: &RedisError) -> bool {
    error.code() == Some("MOVED")
}

/// An error that stands for a server that may be fit later.
pub(super) fn unfit(why: &'static str, detail: String) -> RedisError {
    RedisError::from((ErrorKind::Client, why, detail))
}

/// An error that stands for a server that has to be set up otherwise.
pub(super) fn misconfigured(why: &'static str, detail: String) -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, why, detail))
}

pub(super) fn reason(error: &RedisError) -> String {
    error.to_string()
}
