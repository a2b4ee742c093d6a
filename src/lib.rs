//! A task scheduler and job runner.

#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod events;
pub mod handlers;
#[cfg(feature = "server")]
pub mod http;
pub mod leader;
pub mod node;
pub mod scheduler;
pub mod store;

pub use handlers::TaskError;
pub use node::Node;
pub use scheduler::Scheduler;
