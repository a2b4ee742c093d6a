//! Every setting: meaning, unit, default, range, and where its value comes from.
//!
//! A flag beats the environment (`TASKSHED_…`), which beats the file `taskshed.toml`, which beats the
//! default. [`Settings`] is what is in force; it remembers where each value came from. Nothing else
//! in the crate reads the environment.

mod auth;
mod environment;
mod error;
#[cfg(feature = "cli")]
mod file;
#[cfg(feature = "cli")]
mod handlers;
mod node;
#[cfg(feature = "cli")]
mod schedules;
mod secret;
#[cfg(feature = "cli")]
mod settings;
pub mod text;

pub use auth::Role;
pub use auth::TlsFiles;
pub use auth::Token;
pub use environment::Environment;
pub use error::Error;
#[cfg(feature = "cli")]
pub use file::File;
#[cfg(feature = "cli")]
pub use handlers::Endpoint;
#[cfg(feature = "cli")]
pub use handlers::HandlerSettings;
#[cfg(feature = "cli")]
pub use handlers::Means;
#[cfg(feature = "cli")]
pub use handlers::SecretSource;
pub use node::InvalidConfig;
pub use node::NodeConfig;
pub use node::QueueWeight;
pub use node::Wake;
#[cfg(feature = "cli")]
pub use schedules::ScheduleSettings;
pub use secret::Secret;
pub use secret::StoreUrl;
#[cfg(feature = "cli")]
pub use settings::Flags;
#[cfg(feature = "cli")]
pub use settings::Keep;
#[cfg(feature = "cli")]
pub use settings::Settings;
#[cfg(feature = "cli")]
pub use settings::Shown;
#[cfg(feature = "cli")]
pub use settings::Source;
