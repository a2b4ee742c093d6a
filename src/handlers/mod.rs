//! The code that runs tasks, whatever it is made of.
//!
//! A [`Handler`] takes a [`Context`] and gives a [`HandlerResult`]. Rust functions with typed
//! arguments become one by [`typed`]; commands become one by [`exec::Exec`], and endpoints by `http::Http`
//! with the feature `http-handlers`.

mod completion;
mod context;
mod error;
pub mod exec;
mod facts;
#[cfg(feature = "http-handlers")]
pub mod http;
mod registry;
mod typed;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::domain::json::Json;

pub use completion::CompleteError;
pub use context::Context;
pub use context::StopCause;
pub use context::Stopper;
pub(crate) use error::Kind as TaskErrorKind;
pub use error::TaskError;
pub use registry::Handlers;
pub use typed::typed;

/// How a run ended, as its handler says.
pub type HandlerResult = Result<Option<Json>, TaskError>;

/// A run under way.
pub type Running = Pin<Box<dyn Future<Output = HandlerResult> + Send>>;

/// Runs the tasks of one callback.
pub trait Handler: Send + Sync + 'static {
    /// Starts a run. Dropping the future aborts it, and must leave nothing running that the handler
    /// can stop.
    fn run(&self, context: Context) -> Running;

    /// A run is stopped after this, unless its task says otherwise; `None`: the node's default.
    fn timeout(&self) -> Option<Duration> {
        None
    }
}
