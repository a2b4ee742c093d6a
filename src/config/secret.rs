//! Values that must not be shown.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Deserializer;

/// What stands in place of a secret.
const MASK: &str = "***";

/// A value that is never shown: its `Debug` and `Display` print `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides `value`.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for those who must have it.
    pub fn reveal(&self) -> &T {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Where a store is. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl(Secret<String>);

impl StoreUrl {
    /// Takes any text; whether a store can be reached there shows when it is opened.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self(Secret::new(url.into()))
    }

    /// The whole URL.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }
}

impl FromStr for StoreUrl {
    type Err = Infallible;

    fn from_str(url: &str) -> Result<Self, Infallible> {
        Ok(Self::new(url))
    }
}

impl fmt::Display for StoreUrl {
    /// The URL without what might be a secret: the password up to the *last* `@`, because people
    /// forget to encode theirs; a login without a colon; and a query that speaks of secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.reveal();
        let Some((scheme, rest)) = url.split_once("://") else {
            return f.write_str(url);
        };
        write!(f, "{scheme}://")?;
        let rest = match rest.rsplit_once('@') {
            Some((login, rest)) => {
                let user = login.split_once(':').map(|(user, _)| user);
                match user {
                    Some(user) => write!(f, "{user}:{MASK}@")?,
                    None => write!(f, "{MASK}@")?,
                }
                rest
            }
            None => rest,
        };
        match rest.split_once('?') {
            Some((place, query)) if speaks_of_secrets(query) => write!(f, "{place}?{MASK}"),
            _ => f.write_str(rest),
        }
    }
}

fn speaks_of_secrets(query: &str) -> bool {
    let query = query.to_ascii_lowercase();
    ["pass", "secret", "token", "key"].iter().any(|word| query.contains(word))
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::new("hunter2");

        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(*secret.reveal(), "hunter2");
    }

    #[test]
    fn a_store_url_is_shown_without_its_password() {
        for (url, shown) in [
            ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
            ("redis://:hunter2@host/1", "redis://:***@host/1"),
            ("redis://me:hunter2@host/1", "redis://me:***@host/1"),
            ("redis://hunter2@host", "redis://***@host"),
            ("redis://me:hun/ter@2@host:1/0", "redis://me:***@host:1/0"),
            ("mysql://host/db?password=hunter2", "mysql://host/db?***"),
            ("redis://host/0?protocol=resp3", "redis://host/0?protocol=resp3"),
            ("memory:", "memory:"),
        ] {
            let url = StoreUrl::new(url);
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), shown);
        }
    }
}
