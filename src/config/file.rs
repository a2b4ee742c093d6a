//! The file `taskshed.toml`.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::Error;
use super::QueueWeight;
use super::handlers::HandlerSection;
use super::text::show_queues;
use crate::domain::id::QueueName;

/// Where the file is looked for unless it is named.
const DEFAULT_PATH: &str = "taskshed.toml";

/// What a file says, or that there is none.
#[derive(Clone, Debug, Default)]
pub struct File {
    pub(super) path: PathBuf,
    /// Values of plain settings, by key.
    pub(super) values: BTreeMap<&'static str, String>,
    pub(super) handlers: BTreeMap<String, HandlerSection>,
    pub(super) tokens: Vec<TokenSection>,
    /// The section of schedules, if there is one.
    pub(super) schedules: Option<toml::Table>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    store: Option<String>,
    namespace: Option<String>,
    durability: Option<String>,
    keep_cancelled: Option<String>,
    keep_expired: Option<String>,
    keep_dead: Option<String>,
    max_kwargs_bytes: Option<u64>,
    server: Option<String>,
    token: Option<String>,
    log: Option<String>,
    log_format: Option<String>,
    #[serde(default)]
    node: NodeSection,
    #[serde(default)]
    handlers: BTreeMap<String, HandlerSection>,
    schedules: Option<toml::Table>,
    #[serde(default)]
    auth: AuthSection,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthSection {
    #[serde(default)]
    tokens: Vec<TokenSection>,
}

/// One token as the file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenSection {
    pub(super) name: String,
    pub(super) role: String,
    pub(super) sha256: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeSection {
    name: Option<String>,
    listen: Option<String>,
    insecure: Option<bool>,
    tls_cert: Option<String>,
    tls_key: Option<String>,
    concurrency: Option<u64>,
    queues: Option<BTreeMap<String, Spanned<u32>>>,
    strict_queues: Option<bool>,
    lease: Option<String>,
    drain_timeout: Option<String>,
    shutdown_delay: Option<String>,
    default_timeout: Option<String>,
    wake: Option<String>,
    leader: Option<bool>,
    run: Option<bool>,
}

impl File {
    /// Reads the file at `path`, or `taskshed.toml` in the working directory if it is there.
    ///
    /// # Errors
    ///
    /// If a named file is not there, or a file cannot be read, or has a key that is unknown.
    pub fn read(path: Option<&Path>) -> Result<Self, Error> {
        let place = path.unwrap_or(Path::new(DEFAULT_PATH));
        match fs::read_to_string(place) {
            Ok(text) => Self::parse(place, &text),
            Err(error) if path.is_none() && error.kind() == ErrorKind::NotFound => {
                Ok(Self::default())
            }
            Err(source) => Err(Error::Unreadable { path: place.into(), source }),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let malformed = |line, message| Error::Malformed { path: path.into(), line, message };
        let document: Document = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
            malformed(line, error.message().trim().replace('\n', "; "))
        })?;

        let (handlers, tokens) = (document.handlers.clone(), document.auth.tokens.clone());
        let schedules = document.schedules.clone();
        let values = document.values().map_err(|message| malformed(None, message))?;
        Ok(Self { path: path.into(), values, handlers, tokens, schedules })
    }
}

impl Document {
    fn values(self) -> Result<BTreeMap<&'static str, String>, String> {
        let node = self.node;
        let queues = node.queues.map(in_order).transpose()?;
        let given = [
            ("store", self.store),
            ("namespace", self.namespace),
            ("durability", self.durability),
            ("keep_cancelled", self.keep_cancelled),
            ("keep_expired", self.keep_expired),
            ("keep_dead", self.keep_dead),
            ("max_kwargs_bytes", self.max_kwargs_bytes.map(|count| count.to_string())),
            ("server", self.server),
            ("token", self.token),
            ("log", self.log),
            ("log_format", self.log_format),
            ("node.name", node.name),
            ("node.listen", node.listen),
            ("node.insecure", node.insecure.map(|flag| flag.to_string())),
            ("node.tls_cert", node.tls_cert),
            ("node.tls_key", node.tls_key),
            ("node.concurrency", node.concurrency.map(|count| count.to_string())),
            ("node.queues", queues),
            ("node.strict_queues", node.strict_queues.map(|flag| flag.to_string())),
            ("node.lease", node.lease),
            ("node.drain_timeout", node.drain_timeout),
            ("node.shutdown_delay", node.shutdown_delay),
            ("node.default_timeout", node.default_timeout),
            ("node.wake", node.wake),
            ("node.leader", node.leader.map(|flag| flag.to_string())),
            ("node.run", node.run.map(|flag| flag.to_string())),
        ];
        Ok(given.into_iter().filter_map(|(key, value)| Some((key, value?))).collect())
    }
}

/// The queues as text, in the order of the file, which counts if it is strict.
fn in_order(queues: BTreeMap<String, Spanned<u32>>) -> Result<String, String> {
    let mut queues: Vec<_> = queues.into_iter().collect();
    queues.sort_by_key(|(_, weight)| weight.span().start);
    let queue = |(name, weight): (String, Spanned<u32>)| {
        let queue =
            QueueName::parse(&name).map_err(|error| format!("node.queues: {name:?} {error}"))?;
        Ok(QueueWeight { queue, weight: weight.into_inner() })
    };
    let queues: Result<Vec<_>, String> = queues.into_iter().map(queue).collect();
    Ok(show_queues(&queues?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        File::parse(Path::new("t.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let message = refused("store = \"memory:\"\n[node]\nleese = \"10s\"\n");
        assert!(message.starts_with("t.toml:3: unknown field `leese`"), "{message}");

        let message = refused("[handlers.a]\nexec = [\"true\"]\nshell = true\n");
        assert!(message.starts_with("t.toml:3: unknown field `shell`"), "{message}");
        assert!(refused("colour = 1").contains("`colour`"));
    }

    #[test]
    fn queues_keep_the_order_of_the_file() {
        let text = "[node]\nqueues = { mail = 1, default = 5, a = 2 }";
        let file = File::parse(Path::new("t.toml"), text).unwrap();

        assert_eq!(file.values["node.queues"], "mail=1,default=5,a=2");
    }

    #[test]
    fn a_wrong_kind_of_value_is_told_without_the_line_itself() {
        let message = refused("store = \"redis://:hunter2@host\" x\n");
        assert!(message.starts_with("t.toml:1:") && !message.contains("hunter2"), "{message}");

        let message = refused("[node]\nconcurrency = -1\n");
        assert!(message.starts_with("t.toml:2: invalid value: integer `-1`"), "{message}");
    }
}
