//! Log lines, on standard error.

use std::io;
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::Settings;

use super::arguments::Arguments;
use super::arguments::Command;
use super::failure::Failure;

/// Starts logging for the rest of the process.
pub(super) fn start(settings: &Settings, arguments: &Arguments) -> Result<(), Failure> {
    let directives = settings.log.as_deref().unwrap_or(match arguments.verbose {
        0 if matches!(arguments.command, Command::Node(_)) => "warn,taskshed=info,audit=info",
        0 => "error",
        1 => "info,taskshed=debug",
        _ => "debug,taskshed=trace",
    });
    let filter = EnvFilter::try_new(directives)
        .map_err(|error| Failure::Usage(format!("TASKSHED_LOG: {error}")))?;

    let lines = fmt().with_env_filter(filter).with_writer(io::stderr);
    if settings.log_format == "json" {
        lines.json().init();
    } else {
        lines.with_ansi(io::stderr().is_terminal()).init();
    }
    Ok(())
}
