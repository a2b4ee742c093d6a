//! Handlers that are named in the file: commands and endpoints.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::domain::id::Callback;
use crate::domain::time::format_duration;

use super::Environment;
use super::Secret;
use super::StoreUrl;
use super::text;

/// Variables that hold a secret start with this, like all of this program.
const PREFIX: &str = "TASKSHED_";

/// Most requests at once that may be asked for.
const CONCURRENCY_MAX: usize = 100_000;

/// One handler of the file.
#[derive(Clone, Debug)]
pub struct HandlerSettings {
    /// Name under which it is registered.
    pub callback: Callback,
    /// What runs its tasks.
    pub means: Means,
    /// A run is stopped after this, unless its task says otherwise.
    pub timeout: Option<Duration>,
}

/// What runs the tasks of a handler.
#[derive(Clone, Debug)]
pub enum Means {
    /// A command: program and arguments.
    Exec(Vec<String>),
    /// An endpoint.
    Http(Endpoint),
}

/// An endpoint that runs tasks.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where it is.
    pub url: Secret<String>,
    /// Most requests at once from one node; as many as the node runs tasks unless set.
    pub concurrency: Option<usize>,
    /// Headers that are sent along.
    pub headers: BTreeMap<String, SecretSource>,
    /// Signs requests.
    pub secret: Option<SecretSource>,
}

/// Where a secret is.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// In the configuration file.
    Text(Secret<String>),
    /// In this variable, with its value if it is set.
    Variable(String, Option<Secret<String>>),
    /// In this file, without the white space at its end.
    File(PathBuf),
}

/// One handler as the file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HandlerSection {
    exec: Option<Vec<String>>,
    http: Option<String>,
    timeout: Option<String>,
    concurrency: Option<usize>,
    #[serde(default)]
    headers: BTreeMap<String, SecretSection>,
    secret: Option<SecretSection>,
}

/// A secret as the file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "must be text, { env = \"NAME\" } or { file = \"PATH\" }")]
enum SecretSection {
    Text(Secret<String>),
    Variable(VariableSection),
    File(FileSection),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VariableSection {
    env: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSection {
    file: PathBuf,
}

/// Which key of a handler is wrong, and how.
type Wrong = (String, String);

impl SecretSource {
    /// The secret, read now.
    ///
    /// # Errors
    ///
    /// If the variable is not set, the file cannot be read, or there is nothing in it.
    pub fn read(&self) -> Result<Secret<String>, String> {
        let secret = match self {
            Self::Text(secret) => secret.clone(),
            Self::Variable(name, value) => {
                value.clone().ok_or_else(|| format!("the variable {name} is not set"))?
            }
            Self::File(path) => {
                let read = fs::read_to_string(path);
                let text = read.map_err(|error| format!("{}: {error}", path.display()))?;
                Secret::new(text.trim_end().to_owned())
            }
        };
        if secret.reveal().is_empty() { Err("is empty".into()) } else { Ok(secret) }
    }
}

impl fmt::Display for SecretSource {
    /// Where it is, without what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(secret) => secret.fmt(f),
            Self::Variable(name, _) => write!(f, "{{ env = {name:?} }}"),
            Self::File(path) => write!(f, "{{ file = {:?} }}", path.display().to_string()),
        }
    }
}

impl HandlerSettings {
    /// The handler called `name`.
    pub(super) fn of(
        name: &str,
        section: &HandlerSection,
        variables: &Environment,
    ) -> Result<Self, Wrong> {
        let wrong = |key: &str, message: String| (key.to_owned(), message);
        let callback = Callback::parse(name).map_err(|error| wrong("", error.to_string()))?;
        let timeout = section.timeout.as_deref().map(text::length).transpose();
        let timeout = timeout.map_err(|message| wrong(".timeout", message))?;
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(wrong(".timeout", "must be longer than zero".into()));
        }
        let means = match (&section.exec, &section.http) {
            (Some(exec), None) => {
                let is_given = [
                    (".concurrency", section.concurrency.is_some()),
                    (".headers", !section.headers.is_empty()),
                    (".secret", section.secret.is_some()),
                ];
                if let Some((key, _)) = is_given.iter().find(|(_, is_given)| *is_given) {
                    return Err(wrong(key, "is for handlers with http alone".into()));
                }
                Means::Exec(exec.clone())
            }
            (None, Some(url)) => Means::Http(Endpoint::of(url, section, variables)?),
            (Some(_), Some(_)) => return Err(wrong("", "has exec and http; which one?".into())),
            (None, None) => {
                let message = "needs exec = [\"program\", …] or http = \"https://…\"";
                return Err(wrong("", message.into()));
            }
        };
        Ok(Self { callback, means, timeout })
    }

    /// Its keys and values as text, without secrets.
    pub(super) fn shown(&self) -> Vec<(String, String)> {
        let mut shown = Vec::new();
        match &self.means {
            Means::Exec(exec) => {
                shown.push(("exec".into(), serde_json::to_string(exec).unwrap_or_default()));
            }
            Means::Http(endpoint) => {
                let url = StoreUrl::new(endpoint.url.reveal());
                shown.push(("http".into(), url.to_string()));
                let count = endpoint.concurrency.map(|count| count.to_string());
                shown.extend(count.map(|count| ("concurrency".into(), count)));
                let headers = endpoint.headers.iter();
                shown.extend(
                    headers.map(|(name, value)| (format!("headers.{name}"), value.to_string())),
                );
                let secret = endpoint.secret.as_ref();
                shown.extend(secret.map(|secret| ("secret".into(), secret.to_string())));
            }
        }
        let timeout = self.timeout.map(format_duration);
        shown.extend(timeout.map(|timeout| ("timeout".into(), timeout)));
        shown
    }
}

impl Endpoint {
    fn of(url: &str, section: &HandlerSection, variables: &Environment) -> Result<Self, Wrong> {
        let concurrency = section.concurrency;
        if concurrency.is_some_and(|count| !(1..=CONCURRENCY_MAX).contains(&count)) {
            return Err((".concurrency".into(), format!("must be from 1 to {CONCURRENCY_MAX}")));
        }
        let mut headers = BTreeMap::new();
        for (name, section) in &section.headers {
            let source = section.source(variables);
            let source = source.map_err(|message| (format!(".headers.{name}"), message))?;
            headers.insert(name.clone(), source);
        }
        let secret = section.secret.as_ref().map(|section| section.source(variables)).transpose();
        let secret = secret.map_err(|message| (".secret".to_owned(), message))?;
        Ok(Self { url: Secret::new(url.to_owned()), concurrency, headers, secret })
    }
}

impl SecretSection {
    fn source(&self, variables: &Environment) -> Result<SecretSource, String> {
        match self {
            Self::Text(secret) => Ok(SecretSource::Text(secret.clone())),
            Self::File(FileSection { file }) => Ok(SecretSource::File(file.clone())),
            Self::Variable(VariableSection { env }) if !env.starts_with(PREFIX) => {
                Err(format!("{env:?} must be a variable whose name starts with {PREFIX}"))
            }
            Self::Variable(VariableSection { env }) => {
                let value = variables.text(env).map(|text| Secret::new(text.to_owned()));
                Ok(SecretSource::Variable(env.clone(), value))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(section: &str) -> Result<HandlerSettings, Wrong> {
        let section: HandlerSection = toml::from_str(section).unwrap();
        let variables = Environment::of([("TASKSHED_KEY", "k3y")]);
        HandlerSettings::of("notify", &section, &variables)
    }

    #[test]
    fn an_endpoint_is_read_and_shown_without_secrets() {
        let handler = read(
            "http = \"https://a.example/x?token=s3cret\"\ntimeout = \"30s\"\nconcurrency = 8\n\
             secret = { env = \"TASKSHED_KEY\" }\n\
             headers = { A = \"s3cret\", B = { file = \"/run/b\" } }\n",
        )
        .unwrap();

        let shown: Vec<_> = handler.shown();
        let shown: Vec<_> =
            shown.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(
            shown,
            [
                ("http", "https://a.example/x?***"),
                ("concurrency", "8"),
                ("headers.A", "***"),
                ("headers.B", "{ file = \"/run/b\" }"),
                ("secret", "{ env = \"TASKSHED_KEY\" }"),
                ("timeout", "30s"),
            ]
        );
        assert!(!format!("{handler:?}").contains("s3cret"));
        assert!(!format!("{handler:?}").contains("k3y"));
        let Means::Http(endpoint) = handler.means else { panic!("an endpoint") };
        assert_eq!(endpoint.secret.unwrap().read().unwrap().reveal(), "k3y");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (section, key, why) in [
            ("", "", "needs exec"),
            ("exec = [\"x\"]\nhttp = \"http://a/\"", "", "which one"),
            ("exec = [\"x\"]\nconcurrency = 2", ".concurrency", "with http alone"),
            ("exec = [\"x\"]\nsecret = \"x\"", ".secret", "with http alone"),
            ("exec = [\"x\"]\nheaders = { A = \"x\" }", ".headers", "with http alone"),
            ("http = \"http://a/\"\nconcurrency = 0", ".concurrency", "must be from 1"),
            ("http = \"http://a/\"\ntimeout = \"0s\"", ".timeout", "longer than zero"),
            (
                "http = \"http://a/\"\nsecret = { env = \"KEY\" }",
                ".secret",
                "starts with TASKSHED_",
            ),
        ] {
            let (wrong, message) = read(section).unwrap_err();
            assert_eq!(wrong, key, "{message}");
            assert!(message.contains(why), "{message}");
        }
        for section in ["secret = 5", "secret = { env = \"A\", file = \"b\" }", "secret = {}"] {
            let refused = toml::from_str::<HandlerSection>(section).unwrap_err().to_string();
            assert!(refused.contains("must be text, { env ="), "{refused}");
        }
    }

    #[test]
    fn a_secret_that_is_not_there_is_named_when_it_is_read() {
        let variable = SecretSource::Variable("TASKSHED_X".into(), None);
        assert_eq!(variable.read().unwrap_err(), "the variable TASKSHED_X is not set");
        let missing = SecretSource::File("/no/such".into()).read().unwrap_err();
        assert!(missing.starts_with("/no/such: No such file"), "{missing}");
        assert_eq!(SecretSource::Text(Secret::new(String::new())).read().unwrap_err(), "is empty");
    }
}
