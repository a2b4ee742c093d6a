//! A task scheduler and job runner.

pub mod clock;
pub mod config;
pub mod domain;
pub mod events;
pub mod handlers;
#[cfg(feature = "server")]
pub mod http;
pub mod scheduler;
pub mod store;

pub use handlers::TaskError;
pub use scheduler::Scheduler;
