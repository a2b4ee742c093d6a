//! What must have happened to a write before a store may acknowledge it.

use std::fmt;
use std::num::NonZeroU8;
use std::str::FromStr;

/// What must have happened to a write before it counts: nothing is told to be done before.
///
/// A claim counts like an add. A task that was claimed on a server which then forgets the claim is
/// claimed again elsewhere, while the first run goes on until its node hears of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The server has answered. How much a crash of it costs is up to its own settings.
    #[default]
    Memory,
    /// The server has written it to its disk, so that a crash of it costs nothing.
    Fsync,
    /// So many replicas have it in memory, too, so that a failover to one of them costs nothing.
    Replicated(NonZeroU8),
}

/// Why a text names no durability.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither memory nor fsync nor replicated:N with N from 1 to 255")]
pub struct InvalidDurability(String);

impl FromStr for Durability {
    type Err = InvalidDurability;

    fn from_str(text: &str) -> Result<Self, InvalidDurability> {
        let replicas = text.strip_prefix("replicated:").map(str::parse);
        match (text, replicas) {
            ("memory", _) => Ok(Self::Memory),
            ("fsync", _) => Ok(Self::Fsync),
            (_, Some(Ok(replicas))) => Ok(Self::Replicated(replicas)),
            _ => Err(InvalidDurability(text.into())),
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Fsync => f.write_str("fsync"),
            Self::Replicated(replicas) => write!(f, "replicated:{replicas}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_durability_is_written_as_it_is_read() {
        for text in ["memory", "fsync", "replicated:1", "replicated:255"] {
            assert_eq!(text.parse::<Durability>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_wrong_durability_is_named() {
        for text in ["", "Memory", "replicated", "replicated:", "replicated:0", "replicated:256"] {
            let message = text.parse::<Durability>().unwrap_err().to_string();
            assert!(message.starts_with(&format!("{text:?} is neither memory")), "{message}");
        }
    }
}
