//! Why settings cannot be used.

use std::io;
use std::path::PathBuf;

use super::InvalidConfig;

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is not there or not readable.
    #[error("{}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },

    /// The file is not TOML, or has a key or a value that it must not have.
    #[error("{}{}: {message}", .path.display(), .line.map(|line| format!(":{line}")).unwrap_or_default())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1, if it is known.
        line: Option<usize>,
        /// What is wrong, with the key that it is about.
        message: String,
    },

    /// A value cannot be used.
    #[error("{setting}: {message}")]
    Invalid {
        /// The flag, the variable or the key of the file that gave it.
        setting: String,
        /// What is wrong, and what would be right.
        message: String,
    },

    /// Values do not go together, or are outside their range.
    #[error(transparent)]
    Refused(#[from] InvalidConfig),
}
