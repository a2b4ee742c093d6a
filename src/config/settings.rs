//! What is in force, and where each value came from.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process;
use std::time::Duration;

use serde::Serialize;

use crate::domain::durability::Durability;
use crate::domain::id::Namespace;
use crate::domain::id::NodeName;
use crate::domain::json::KWARGS_BYTES_MAX;
use crate::domain::time::format_duration;

use super::Environment;
use super::Error;
use super::File;
use super::NodeConfig;
use super::ScheduleSettings;
use super::Secret;
use super::StoreUrl;
use super::TlsFiles;
use super::Token;
use super::auth;
use super::file::TokenSection;
use super::handlers::HandlerSettings;
use super::text;

/// Where tasks live unless set: they survive, and nothing needs to be installed.
const STORE: &str = if cfg!(feature = "sqlite") { "sqlite:taskshed.db" } else { "memory:" };

/// Who may use the API, where a file should not say it: `name=role:sha256`, separated by commas.
const TOKENS: &str = "TASKSHED_TOKENS";

const DAY: Duration = Duration::from_secs(86_400);

/// Values that were given as flags, by the key of their setting.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    values: BTreeMap<&'static str, String>,
}

impl Flags {
    /// Notes that a flag was given for the setting `key`.
    pub fn set(&mut self, key: &'static str, value: Option<String>) {
        self.values.extend(value.map(|value| (key, value)));
    }
}

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where tasks live; a file in the working directory unless set.
    pub store: StoreUrl,
    /// Keeps several clusters apart in one store; `default` unless set.
    pub namespace: Namespace,
    /// What must have happened to a write before it is acknowledged; `memory` unless set.
    pub durability: Durability,
    /// How long ended tasks are kept.
    pub keep: Keep,
    /// Most bytes of a task's arguments: up to 1 MiB, which is the default.
    pub max_kwargs_bytes: usize,
    /// Where the node's API listens; 127.0.0.1:8090 unless set.
    pub listen: SocketAddr,
    /// How long the API goes on when the node begins to leave, at least; not at all unless set.
    pub shutdown_delay: Duration,
    /// How the node works.
    pub node: NodeConfig,
    /// Who may use the API; anybody if there are none.
    pub tokens: Vec<Token>,
    /// Whether the API may listen without tokens where other machines reach it.
    pub insecure: bool,
    /// Certificate and key of the API; without them it speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Handlers that are commands or endpoints.
    pub handlers: Vec<HandlerSettings>,
    /// Schedules that the file declares; `None` if it has no section for them.
    pub schedules: Option<ScheduleSettings>,
    /// The API that commands talk to; `http://127.0.0.1:8090` unless set.
    pub server: String,
    /// What opens it.
    pub token: Option<Secret<String>>,
    /// Which log lines are written, as directives; the command line decides unless set.
    pub log: Option<String>,
    /// Whether log lines are JSON.
    pub log_format: String,
    /// All of it as text, for people.
    pub shown: Vec<Shown>,
}

/// How long ended tasks are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Cancelled ones; a day unless set.
    pub cancelled: Duration,
    /// Expired ones; a day unless set.
    pub expired: Duration,
    /// Dead ones; 90 days unless set, since somebody should look at them.
    pub dead: Duration,
}

/// One setting as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Its key, as in the file.
    pub setting: String,
    /// Its value, without secrets.
    pub value: String,
    /// Where the value came from.
    pub from: Source,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A flag.
    Flag(String),
    /// An environment variable.
    Variable(String),
    /// The file.
    File(PathBuf),
    /// Nobody set it.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::File(path) => path.display().fmt(f),
            Self::Default => f.write_str("default"),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Settings {
    /// What is in force by these layers.
    ///
    /// # Errors
    ///
    /// The first value that cannot be used, by the name of the flag, the variable or the key.
    pub fn resolve(flags: &Flags, variables: &Environment, file: &File) -> Result<Self, Error> {
        let mut layers = Layers { flags, variables, file, shown: Vec::new() };
        let day = format_duration(DAY);
        let store = layers.read("store", STORE, text::parsed, StoreUrl::to_string)?;
        let namespace = layers.read("namespace", "default", text::parsed, Namespace::to_string)?;
        let durability = layers.read("durability", "memory", text::parsed, show)?;
        let keep = Keep {
            cancelled: layers.length("keep_cancelled", &day)?,
            expired: layers.length("keep_expired", &day)?,
            dead: layers.length("keep_dead", &format_duration(90 * DAY))?,
        };
        let most = KWARGS_BYTES_MAX.to_string();
        let max_kwargs_bytes = layers.read("max_kwargs_bytes", &most, text::count, show)?;
        if max_kwargs_bytes > KWARGS_BYTES_MAX {
            let message = format!("must be at most {KWARGS_BYTES_MAX}");
            return Err(Error::Invalid { setting: "max_kwargs_bytes".into(), message });
        }
        let listen = layers.read("node.listen", "127.0.0.1:8090", text::address, show)?;
        let insecure = layers.read("node.insecure", "false", text::flag, show)?;
        let tls = tls(&mut layers)?;
        let shutdown_delay = layers.length("node.shutdown_delay", "0s")?;
        let tokens = tokens(&mut layers)?;
        if !listen.ip().is_loopback() && tokens.is_empty() && !insecure {
            let message = format!(
                "other machines can reach {listen}: name who may use the API under [auth], listen on \
                 127.0.0.1 or [::1], or let everybody in with --insecure"
            );
            return Err(Error::Invalid { setting: "node.listen".into(), message });
        }
        let node = node(&mut layers, &default_name(listen))?;
        let handlers = handlers(&mut layers)?;
        let schedules = file.schedules.as_ref();
        let schedules = schedules
            .map(|table| ScheduleSettings::read(&file.path, table, &mut layers.shown))
            .transpose()?;

        Ok(Self {
            store,
            namespace,
            durability,
            keep,
            max_kwargs_bytes,
            listen,
            shutdown_delay,
            node,
            tokens,
            insecure,
            tls,
            handlers,
            schedules,
            token: token(&mut layers)?,
            server: layers.read("server", "http://127.0.0.1:8090", text::parsed, show)?,
            log: Some(layers.read("log", "", text::parsed, String::clone)?)
                .filter(|log| !log.is_empty()),
            log_format: layers.read("log_format", "text", log_format, show)?,
            shown: layers.shown,
        })
    }
}

fn show(value: &impl ToString) -> String {
    value.to_string()
}

fn log_format(text: &str) -> Result<String, String> {
    match text {
        "text" | "json" => Ok(text.into()),
        _ => Err(format!("{text:?} is neither text nor json")),
    }
}

/// A name that is unlike that of other nodes on this machine, and outlives restarts.
fn default_name(listen: SocketAddr) -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "node" } else { host.trim() };
    match listen.port() {
        0 => format!("{host}-{}", process::id()),
        port => format!("{host}-{port}"),
    }
}

fn node(layers: &mut Layers<'_>, name: &str) -> Result<NodeConfig, Error> {
    let name: NodeName = layers.read("node.name", name, text::parsed, NodeName::to_string)?;
    let usual = NodeConfig::new(name.clone());
    let queues = text::show_queues(&usual.queues);
    let (lease, drain) = (format_duration(usual.lease), format_duration(usual.drain_timeout));
    let timeout = format_duration(usual.default_timeout);
    let wake = text::show_wake(&usual.wake);
    let config = NodeConfig {
        name,
        concurrency: layers.read(
            "node.concurrency",
            &usual.concurrency.to_string(),
            text::count,
            show,
        )?,
        queues: layers
            .read("node.queues", &queues, text::queues, |queues| text::show_queues(queues))?,
        strict_queues: layers.read("node.strict_queues", "false", text::flag, show)?,
        lease: layers.length("node.lease", &lease)?,
        drain_timeout: layers.length("node.drain_timeout", &drain)?,
        wake: layers.read("node.wake", &wake, text::wake, text::show_wake)?,
        stands_for_leader: layers.read("node.leader", "true", text::flag, show)?,
        runs_tasks: layers.read("node.run", "true", text::flag, show)?,
        default_timeout: layers.length("node.default_timeout", &timeout)?,
    };
    config.check()?;
    Ok(config)
}

fn tls(layers: &mut Layers<'_>) -> Result<Option<TlsFiles>, Error> {
    let cert: String = layers.read("node.tls_cert", "", text::parsed, String::clone)?;
    let key: String = layers.read("node.tls_key", "", text::parsed, String::clone)?;
    match (cert.is_empty(), key.is_empty()) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some(TlsFiles { cert: cert.into(), key: key.into() })),
        (is_missing, _) => {
            let setting = if is_missing { "node.tls_cert" } else { "node.tls_key" };
            let message = "a certificate and its key belong together; name both".into();
            Err(Error::Invalid { setting: setting.into(), message })
        }
    }
}

/// What opens the API that commands talk to. It is never shown.
fn token(layers: &mut Layers<'_>) -> Result<Option<Secret<String>>, Error> {
    let read = |text: &str| {
        let is_sound = text.bytes().all(|byte| byte.is_ascii_graphic());
        let why = "must be of printable ASCII characters, without spaces";
        if is_sound { Ok(Secret::new(text.to_owned())) } else { Err(why.into()) }
    };
    let shown = |token: &Secret<String>| match token.reveal().as_str() {
        "" => String::new(),
        _ => token.to_string(),
    };
    let token = layers.read("token", "", read, shown)?;
    Ok(Some(token).filter(|token| !token.reveal().is_empty()))
}

/// Who may use the API: by the variable, else by the file.
fn tokens(layers: &mut Layers<'_>) -> Result<Vec<Token>, Error> {
    let (found, from) = if let Some(text) = layers.variables.text(TOKENS) {
        (Token::parse_all(text), Source::Variable(TOKENS.into()))
    } else {
        let parse =
            |section: &TokenSection| Token::parse(&section.name, &section.role, &section.sha256);
        let sections = layers.file.tokens.iter().map(parse);
        (auth::distinct(sections), Source::File(layers.file.path.clone()))
    };
    let tokens = found.map_err(|(index, message)| match &from {
        Source::File(path) => Error::Malformed {
            path: path.clone(),
            line: None,
            message: format!("auth.tokens[{index}].{message}"),
        },
        _ => Error::Invalid { setting: format!("{TOKENS}[{index}]"), message },
    })?;
    layers.shown.extend(tokens.iter().map(|token| Shown {
        setting: format!("auth.tokens.{}", token.name),
        value: token.role.to_string(),
        from: from.clone(),
    }));
    Ok(tokens)
}

fn handlers(layers: &mut Layers<'_>) -> Result<Vec<HandlerSettings>, Error> {
    let mut handlers = Vec::new();
    for (name, section) in &layers.file.handlers {
        let malformed = |(key, message)| Error::Malformed {
            path: layers.file.path.clone(),
            line: None,
            message: format!("handlers.{name}{key}: {message}"),
        };
        let handler = HandlerSettings::of(name, section, layers.variables).map_err(malformed)?;
        for (key, value) in handler.shown() {
            let setting = format!("handlers.{name}.{key}");
            let from = Source::File(layers.file.path.clone());
            layers.shown.push(Shown { setting, value, from });
        }
        handlers.push(handler);
    }
    Ok(handlers)
}

/// The places in which values are looked up, best first, and what was found.
struct Layers<'a> {
    flags: &'a Flags,
    variables: &'a Environment,
    file: &'a File,
    shown: Vec<Shown>,
}

impl Layers<'_> {
    fn length(&mut self, key: &'static str, usual: &str) -> Result<Duration, Error> {
        self.read(key, usual, text::length, |length| format_duration(*length))
    }

    fn read<T>(
        &mut self,
        key: &'static str,
        usual: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
        show: impl FnOnce(&T) -> String,
    ) -> Result<T, Error> {
        let (text, from) = self.find(key, usual);
        let value = parse(&text).map_err(|message| {
            let setting = match &from {
                Source::File(path) => format!("{}: {key}", path.display()),
                Source::Default => key.to_owned(),
                named => named.to_string(),
            };
            Error::Invalid { setting, message }
        })?;
        self.shown.push(Shown { setting: key.into(), value: show(&value), from });
        Ok(value)
    }

    fn find(&self, key: &'static str, usual: &str) -> (String, Source) {
        let name = key.rsplit('.').next().unwrap_or(key);
        if let Some(text) = self.flags.values.get(key) {
            return (text.clone(), Source::Flag(flag_of(name, text)));
        }
        let variable = format!("TASKSHED_{}", name.to_ascii_uppercase());
        if let Some(text) = self.variables.text(&variable) {
            return (text.to_owned(), Source::Variable(variable));
        }
        match self.file.values.get(key) {
            Some(text) => (text.clone(), Source::File(self.file.path.clone())),
            None => (usual.to_owned(), Source::Default),
        }
    }
}

/// The flag that gave `text` to a setting.
fn flag_of(name: &str, text: &str) -> String {
    let name = name.replace('_', "-");
    if text == "false" { format!("--no-{name}") } else { format!("--{name}") }
}

#[cfg(test)]
mod tests;
