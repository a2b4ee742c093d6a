//! Names and ids: parsed once, never checked again.
//!
//! Two alphabets exist. *Ids* (tasks, callbacks, groups, unique keys, nodes, claims) are 1 to 255
//! bytes of UTF-8 without control characters, because users bring ids such as `Task 0`. *Names*
//! (queues, namespaces) become part of store keys and flags, so they are 1 to 64 of
//! `[A-Za-z0-9._-]`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::LazyLock;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use uuid::Uuid;

/// Longest id in bytes.
pub const ID_BYTES_MAX: usize = 255;

/// Longest queue name or namespace in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Why a text is not an id or a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// Nothing was given.
    #[error("must not be empty")]
    Empty,
    /// More bytes than allowed.
    #[error("has {found} bytes, at most {max} are allowed")]
    TooLong {
        /// Bytes in the text.
        found: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// An id holds a control character, such as a line break.
    #[error("must not contain control characters")]
    Control,
    /// A queue name or namespace holds a character outside its alphabet.
    #[error("contains {found:?}; letters, digits, '.', '_' and '-' are allowed")]
    Alphabet {
        /// The first character that is not allowed.
        found: char,
    },
}

fn check_id(text: &str) -> Result<(), InvalidName> {
    check_length(text, ID_BYTES_MAX)?;
    if text.chars().any(char::is_control) { Err(InvalidName::Control) } else { Ok(()) }
}

fn check_name(text: &str) -> Result<(), InvalidName> {
    check_length(text, NAME_BYTES_MAX)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match text.chars().find(|c| !allowed(*c)) {
        Some(found) => Err(InvalidName::Alphabet { found }),
        None => Ok(()),
    }
}

fn check_length(text: &str, max: usize) -> Result<(), InvalidName> {
    match text.len() {
        0 => Err(InvalidName::Empty),
        found if found > max => Err(InvalidName::TooLong { found, max }),
        _ => Ok(()),
    }
}

/// One newtype per id, so that a group cannot be passed where a task is wanted.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses `text`.
            ///
            /// # Errors
            ///
            /// If the text is empty, too long, or holds a character that is not allowed.
            pub fn parse(text: &str) -> Result<Self, InvalidName> {
                $check(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The text as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_id! {
    /// Identity of a task. Chosen by the user, or a fresh [`TaskId::generate`].
    TaskId, check_id
}
text_id! {
    /// Name under which a handler is registered; a task refers to it.
    Callback, check_id
}
text_id! {
    /// Tasks that belong together (a tenant, a user), for bulk operations.
    GroupId, check_id
}
text_id! {
    /// At most one live task carries a given key (S2).
    UniqueKey, check_id
}
text_id! {
    /// Name of a node, or the `worker` of a claim made over HTTP.
    NodeName, check_id
}
text_id! {
    /// Identity of one process start. A node that restarts keeps its name and gets a new one.
    ProcessId, check_id
}
text_id! {
    /// Identity of a claim, made by the claimer; the same claim sent twice is one claim.
    ClaimId, check_id
}
text_id! {
    /// Identity of an add, kept in each record it wrote, so that its repeat finds its own work.
    RequestId, check_id
}
text_id! {
    /// A named line of tasks.
    QueueName, check_name
}
text_id! {
    /// Keeps several clusters apart in one store.
    Namespace, check_name
}

/// Ids that this crate makes: `UUIDv7`, 32 hex digits, so ids made later sort later.
macro_rules! generated {
    ($($name:ident),+) => {$(
        impl $name {
            /// A fresh id: a `UUIDv7` of 32 hex digits from its parts.
            ///
            /// `unix_ms` orders ids by the time of their making and decides nothing else; `entropy`
            /// must come from a good random generator.
            #[must_use]
            pub fn generate(unix_ms: u64, entropy: [u8; 10]) -> Self {
                let uuid = uuid::Builder::from_unix_timestamp_millis(unix_ms, &entropy).into_uuid();
                Self(hex(uuid))
            }
        }
    )+};
}

generated!(TaskId, ClaimId, ProcessId);

impl RequestId {
    /// A fresh id of eleven letters, six bits each.
    ///
    /// Every record keeps one, so it is short; it is compared only with what the same task holds, so
    /// 64 bits are enough. `entropy` must come from a good random generator.
    #[must_use]
    pub fn generate(entropy: u64) -> Self {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let letter = |at: u32| {
            let index = usize::try_from((entropy >> (6 * at)) & 63).unwrap_or_default();
            char::from(LETTERS[index])
        };
        let text: String = (0..11).map(letter).collect();
        Self(text.into())
    }
}

fn hex(uuid: Uuid) -> Arc<str> {
    let mut buffer = Uuid::encode_buffer();
    Arc::from(&*uuid.simple().encode_lower(&mut buffer))
}

impl Default for QueueName {
    /// The queue called `default`. Most tasks wait there, so all of them share its name.
    fn default() -> Self {
        static DEFAULT: LazyLock<QueueName> = LazyLock::new(|| QueueName(Arc::from("default")));
        DEFAULT.clone()
    }
}

impl Default for Namespace {
    /// The namespace called `default`.
    fn default() -> Self {
        Self(Arc::from("default"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_may_hold_spaces_and_any_letter_but_no_control_character() {
        assert!(TaskId::parse("Task 0 – größe").is_ok());
        assert_eq!(TaskId::parse("a\nb"), Err(InvalidName::Control));
        assert_eq!(TaskId::parse(""), Err(InvalidName::Empty));
        assert!(TaskId::parse(&"x".repeat(255)).is_ok());
        assert_eq!(
            TaskId::parse(&"x".repeat(256)),
            Err(InvalidName::TooLong { found: 256, max: 255 })
        );
    }

    #[test]
    fn a_queue_name_stays_inside_its_alphabet() {
        assert!(QueueName::parse("mail-2.high_x").is_ok());
        assert_eq!(QueueName::parse("a b"), Err(InvalidName::Alphabet { found: ' ' }));
        assert_eq!(QueueName::parse("{x}"), Err(InvalidName::Alphabet { found: '{' }));
        assert!(QueueName::parse(&"x".repeat(65)).is_err());
    }

    #[test]
    fn a_request_id_tells_all_of_its_bits() {
        let ids: std::collections::BTreeSet<_> =
            (0..64).map(|bit| RequestId::generate(1 << bit)).collect();

        assert_eq!(ids.len(), 64);
        assert!(ids.iter().all(|id| id.as_str().len() == 11));
        assert!(ids.iter().all(|id| RequestId::parse(id.as_str()).is_ok()));
    }

    #[test]
    fn generated_ids_are_version_seven_and_sort_by_time() {
        let first = TaskId::generate(1_700_000_000_000, [7; 10]);
        let second = TaskId::generate(1_700_000_000_001, [0; 10]);

        assert_eq!(first.as_str().len(), 32);
        assert_eq!(first.as_str().as_bytes()[12], b'7');
        assert!(first < second);
    }
}
