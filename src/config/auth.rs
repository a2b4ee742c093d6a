//! Who may use the API of a node.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// What a caller of the API may do. Each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Look at tasks, queues and nodes.
    Read,
    /// Add and change tasks; pause queues.
    Write,
    /// Claim tasks, and hand their outcomes back.
    Work,
    /// Everything: remove all tasks, let the leader resign.
    Admin,
}

impl Role {
    /// All, in their order.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Work, Self::Admin];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Work => "work",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is neither read, write, work nor admin"))
    }
}

/// A token that opens the API. The token itself is known to its holder alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// By whom it is used, for the audit.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
}

impl Token {
    /// A token by the texts of its fields.
    ///
    /// # Errors
    ///
    /// What is wrong, with the field that it is about.
    pub fn parse(name: &str, role: &str, sha256: &str) -> Result<Self, String> {
        if name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
            return Err("name: must be 1 to 64 bytes without control characters".into());
        }
        let role = role.parse().map_err(|error| format!("role: {error}"))?;
        let sha256 = digest(sha256)
            .ok_or("sha256: must be 64 hex digits, such as `printf %s TOKEN | sha256sum` prints")?;
        Ok(Self { name: name.into(), role, sha256 })
    }

    /// Tokens as one text: `name=role:sha256`, separated by commas.
    ///
    /// # Errors
    ///
    /// The position of the first one that is wrong, from 0, and what is wrong. A text that is no token
    /// is not repeated, because it may be meant to be secret.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, (usize, String)> {
        distinct(text.split(',').map(|part| {
            let fields = part.trim().split_once('=');
            let fields = fields.and_then(|(name, rest)| Some((name, rest.rsplit_once(':')?)));
            let (name, (role, sha256)) = fields.ok_or("must be name=role:sha256")?;
            Self::parse(name, role, sha256)
        }))
    }
}

/// The tokens, of which no two share a name or are the same; or the first one that cannot be used.
pub(super) fn distinct(
    parsed: impl Iterator<Item = Result<Token, String>>,
) -> Result<Vec<Token>, (usize, String)> {
    let mut tokens: Vec<Token> = Vec::new();
    for (index, token) in parsed.enumerate() {
        let token = token.map_err(|message| (index, message))?;
        if tokens.iter().any(|other| other.name == token.name) {
            return Err((index, format!("name: {:?} is given twice", token.name)));
        }
        if tokens.iter().any(|other| other.sha256 == token.sha256) {
            return Err((index, "sha256: is given twice".into()));
        }
        tokens.push(token);
    }
    Ok(tokens)
}

/// Certificate and key of the API, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those between it and its authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = [0; 32];
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_in_order() {
        assert!(Role::Read < Role::Write && Role::Write < Role::Work && Role::Work < Role::Admin);
    }

    #[test]
    fn a_token_is_read_or_refused_by_the_name_of_its_field() {
        let hex = "00ff".repeat(16);
        let token = Token::parse("ci", "write", &hex).unwrap();
        assert_eq!((token.role, token.sha256[0], token.sha256[31]), (Role::Write, 0, 255));

        for (name, role, sha256, field) in [
            ("", "read", hex.as_str(), "name"),
            ("a\nb", "read", hex.as_str(), "name"),
            ("ci", "root", hex.as_str(), "role"),
            ("ci", "read", "00ff", "sha256"),
            ("ci", "read", &"zz".repeat(32), "sha256"),
            ("ci", "read", &"é".repeat(32), "sha256"),
        ] {
            let refused = Token::parse(name, role, sha256).unwrap_err();
            assert!(refused.starts_with(field), "{refused}");
        }
    }

    #[test]
    fn tokens_are_read_from_one_text() {
        let (a, b) = ("0a".repeat(32), "0b".repeat(32));

        let tokens = Token::parse_all(&format!("ci=write:{a}, ops=admin:{b}")).unwrap();

        let seen: Vec<_> = tokens.iter().map(|token| (token.name.as_str(), token.role)).collect();
        assert_eq!(seen, [("ci", Role::Write), ("ops", Role::Admin)]);
        for (text, at, what) in [
            ("hunter2".to_owned(), 0, "must be name=role:sha256"),
            (format!("ci=write:{a},ci=read:{b}"), 1, "name: \"ci\" is given twice"),
            (format!("ci=write:{a},me=read:{a}"), 1, "sha256: is given twice"),
            (format!("ci=root:{a}"), 0, "role: \"root\" is neither read, write, work nor admin"),
            (format!("ci=read:{a},"), 1, "must be name=role:sha256"),
        ] {
            assert_eq!(Token::parse_all(&text).unwrap_err(), (at, what.to_owned()));
        }
    }
}
