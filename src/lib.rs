//! A task scheduler and job runner, for people who have a Redis or a MySQL and a cluster.
//!
//! Tasks are kept in a store and run when they are due, once or again and again, on any number of
//! nodes. If a node dies, its tasks run elsewhere; each outcome is accepted once.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use serde::Deserialize;
//! use serde::Serialize;
//! use taskshed::{Context, Node, Scheduler, Task, TaskError};
//!
//! #[derive(Serialize, Deserialize)]
//! struct SendEmail {
//!     to: String,
//! }
//!
//! #[derive(Serialize)]
//! struct Receipt {
//!     accepted: bool,
//! }
//!
//! async fn send_email(ctx: Context, args: SendEmail) -> Result<Receipt, TaskError> {
//!     println!("{} in attempt {}", args.to, ctx.attempt());
//!     Ok(Receipt { accepted: true })
//! }
//!
//! # async fn shutdown_signal() {}
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let args = SendEmail { to: "ada@example.org".into() };
//! let store = taskshed::connect("redis://127.0.0.1/").await?;
//! let scheduler = Scheduler::new(store.clone());
//! let task = Task::new("send_email", &args)?.run_in(Duration::from_secs(5)).group("tenant-1");
//! scheduler.add(task).await?;
//!
//! let node = Node::builder(store).handler("send_email", send_email).concurrency(64).build()?;
//! node.run_until(shutdown_signal()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Read the [`guide`] next; it is short, and its examples run.
//!
//! # The map
//!
//! | module | what it is |
//! |---|---|
//! | [`scheduler`] | the front door: add, find, change, wait |
//! | [`node`] | claims tasks and runs them |
//! | [`remote`] | claims tasks for workers that are no nodes |
//! | [`handlers`] | what runs a task: Rust functions, commands, endpoints |
//! | [`testing`] | a manual clock, and tasks that run inside a test |
//! | [`domain`] | the vocabulary, and every decision |
//! | [`store`] | the contract of stores, and the stores |
//! | [`config`], [`events`], [`metrics`], [`traces`], [`clock`] | the knobs of a node, what it tells and counts, and its time |
//! | `http` | the API of a node, with the feature `server` |
//!
//! # Features
//!
//! `redis`, `sqlite` and `mysql` (stores), `server` (the HTTP API), `http-handlers` (endpoints that run tasks),
//! `cli` (the program `taskshed`), `otlp` (that program sends traces); all are on unless `default-features = false`. The memory store is always there.

#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod events;
pub mod guide;
pub mod handlers;
#[cfg(feature = "server")]
pub mod http;
pub mod leader;
pub mod metrics;
pub mod node;
pub mod remote;
pub mod scheduler;
pub mod store;
pub mod testing;
pub mod traces;

pub use domain::draft::Task;
pub use handlers::Context;
pub use handlers::TaskError;
pub use node::Node;
pub use scheduler::Scheduler;
pub use store::connect::connect;

/// The README's program, so that it is compiled and run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
