//! `taskshed add`.
//!
//! Fields are sent as they were typed. What is wrong with them the server says, as it does to all.

use std::collections::BTreeMap;
use std::io;
use std::io::Read;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use serde_json::value::to_raw_value;

use super::client::Client;
use super::failure::Failure;
use super::output;
use super::tasks::text;

/// How long one question after the end of a task waits.
const WAIT: Duration = Duration::from_secs(30);

/// How long a task that is waited for is kept at least, so that its result is seen.
const WAITED_RETENTION: &str = "60s";

/// Most bytes that are read from standard input; a server takes less.
const INPUT_BYTES_MAX: u64 = 16 << 20;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct Add {
    /// Name under which the handler is registered
    callback: String,

    /// Arguments as a JSON object; `-` reads standard input
    #[arg(long, value_name = "JSON")]
    kwargs: Option<String>,

    /// One argument; the value is JSON if it can be read as such, else text
    #[arg(long = "kwarg", value_name = "KEY=VALUE")]
    kwarg: Vec<String>,

    /// Run this long from now, such as 90s or 2h
    #[arg(long = "in", value_name = "LENGTH")]
    run_in: Option<String>,

    /// Run at this time: RFC 3339 with an offset, such as 2026-11-24T05:00:00Z
    #[arg(long, value_name = "TIME")]
    at: Option<String>,

    /// Run again and again, this long apart
    #[arg(long, value_name = "LENGTH")]
    every: Option<String>,

    /// Run again and again by a cron expression of five fields, or six with seconds
    #[arg(long, value_name = "EXPRESSION")]
    cron: Option<String>,

    /// Time zone of the cron expression [default: UTC]
    #[arg(long = "tz", value_name = "ZONE")]
    timezone: Option<String>,

    /// Catch up on missed recurrences one by one
    #[arg(long)]
    no_coalesce: bool,

    /// Queue [default: default]
    #[arg(long)]
    queue: Option<String>,

    /// critical, high, normal or low [default: normal]
    #[arg(long)]
    priority: Option<String>,

    /// Group, for changes of many tasks at once
    #[arg(long)]
    group: Option<String>,

    /// Id [default: a fresh one]
    #[arg(long)]
    id: Option<String>,

    /// Keep a task with the same id instead of replacing it
    #[arg(long)]
    keep_existing: bool,

    /// Add nothing while another task with this key waits or runs
    #[arg(long, value_name = "KEY")]
    unique: Option<String>,

    /// Stop a run before another one could start, even if the store is away
    #[arg(long)]
    exclusive: bool,

    /// Failed runs before the task is dead [default: 20]
    #[arg(long, value_name = "N")]
    max_attempts: Option<String>,

    /// Stop a run after this
    #[arg(long, value_name = "LENGTH")]
    timeout: Option<String>,

    /// Do not start the task any more after this
    #[arg(long, value_name = "LENGTH")]
    expires_in: Option<String>,

    /// Keep the completed task and its result this long
    #[arg(long, value_name = "LENGTH")]
    retention: Option<String>,

    /// Add the task paused
    #[arg(long)]
    paused: bool,

    /// Wait until the task ends and print its result instead of its id
    #[arg(long, conflicts_with_all = ["every", "cron"])]
    wait: bool,
}

/// A task as it is sent; nothing that is not set is sent.
#[derive(Serialize)]
struct Sent<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<&'a str>,
    callback: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kwargs: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_at: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_in: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cron: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timezone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coalesce: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unique_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exclusive: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<bool>,
}

#[derive(Serialize)]
struct Batch<'a> {
    tasks: [Sent<'a>; 1],
    replace_existing: bool,
}

#[derive(Deserialize)]
struct AddedTasks {
    tasks: Vec<AddedTask>,
}

#[derive(Deserialize)]
struct AddedTask {
    task_id: String,
    outcome: String,
}

impl Add {
    pub(super) async fn run(&self, client: &Client) -> Result<(), Failure> {
        let batch = Batch { tasks: [self.sent()?], replace_existing: !self.keep_existing };
        let body = serde_json::to_string(&batch).map_err(io::Error::from)?;
        let added: AddedTasks = client.post(&["v1", "tasks"], body).await?.read()?;
        let nothing = || Failure::Refused("the server names no task".into());
        let task = added.tasks.into_iter().next().ok_or_else(nothing)?;
        if !matches!(task.outcome.as_str(), "created" | "replaced") {
            output::note(&format!("{}: {}", task.outcome, output::plain(&task.task_id)));
        }

        if self.wait { wait(client, &task.task_id).await } else { output::line(&task.task_id) }
    }

    fn sent(&self) -> Result<Sent<'_>, Failure> {
        let yes = |is_given: bool| is_given.then_some(true);
        let retention = self.retention.as_deref();
        Ok(Sent {
            task_id: self.id.as_deref(),
            callback: &self.callback,
            kwargs: self.arguments()?,
            run_at: self.at.as_deref(),
            run_in: self.run_in.as_deref(),
            interval: self.every.as_deref(),
            cron: self.cron.as_deref(),
            timezone: self.timezone.as_deref(),
            coalesce: self.no_coalesce.then_some(false),
            queue: self.queue.as_deref(),
            priority: self.priority.as_deref(),
            group_id: self.group.as_deref(),
            unique_key: self.unique.as_deref(),
            exclusive: yes(self.exclusive),
            max_attempts: self.max_attempts.as_deref().map(number_or_text),
            timeout: self.timeout.as_deref(),
            expires_in: self.expires_in.as_deref(),
            retention: retention.or(self.wait.then_some(WAITED_RETENTION)),
            paused: yes(self.paused),
        })
    }

    /// The arguments: byte for byte as they were given, unless single ones are added to them.
    fn arguments(&self) -> Result<Option<Box<RawValue>>, Failure> {
        let refused = |error| Failure::Refused(format!("kwargs: is not JSON: {error}"));
        let given = match self.kwargs.as_deref() {
            Some("-") => Some(read_input()?),
            Some(text) => Some(text.to_owned()),
            None => None,
        };
        let given = given.map(RawValue::from_string).transpose().map_err(refused)?;
        if self.kwarg.is_empty() {
            return Ok(given);
        }

        let mut members: BTreeMap<String, Box<RawValue>> = match given {
            Some(given) => serde_json::from_str(given.get())
                .map_err(|_| Failure::Refused("kwargs: must be a JSON object".into()))?,
            None => BTreeMap::new(),
        };
        for pair in &self.kwarg {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| Failure::Usage(format!("--kwarg: {pair:?} is not KEY=VALUE")))?;
            if members.insert(key.to_owned(), json_or_text(value)).is_some() {
                return Err(Failure::Usage(format!("--kwarg: {key:?} is given twice")));
            }
        }
        to_raw_value(&members).map(Some).map_err(refused)
    }
}

fn read_input() -> Result<String, Failure> {
    let mut text = String::new();
    io::stdin().lock().take(INPUT_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn json_or_text(text: &str) -> Box<RawValue> {
    let json = serde_json::from_str::<Box<RawValue>>(text);
    json.or_else(|_| to_raw_value(text)).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn number_or_text(text: &str) -> Value {
    serde_json::from_str(text).ok().filter(Value::is_number).unwrap_or_else(|| text.into())
}

/// Waits until a task ends; prints its result if it completed.
async fn wait(client: &Client, id: &str) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Ended {
        state: String,
        result: Option<Box<RawValue>>,
        last_error: Option<Value>,
    }

    loop {
        let asked = client.wait(&["v1", "tasks", id], &[("wait", "30s")], WAIT).await;
        let gone =
            || Failure::Refused(format!("{} is gone; nobody kept how it ended", output::plain(id)));
        let ended: Ended = asked?.ok_or_else(gone)?.read()?;
        match ended.state.as_str() {
            "scheduled" | "running" => {}
            "completed" => {
                let result = ended.result.as_deref().map_or("null", RawValue::get);
                return output::line(result);
            }
            state => {
                let error = ended.last_error.unwrap_or_default();
                let message = match text(&error, "message") {
                    message if message.is_empty() => String::new(),
                    message => format!(": {message}"),
                };
                let id = output::plain(id);
                return Err(Failure::Refused(format!("{id} is {state}{message}")));
            }
        }
    }
}

#[test]
fn a_value_is_json_if_it_can_be_read_as_such() {
    for (text, json) in [
        ("1", "1"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("true", "true"),
        ("[1, 2]", "[1, 2]"),
        ("\"x\"", "\"x\""),
        ("hello", "\"hello\""),
        ("1 2", "\"1 2\""),
        ("", "\"\""),
    ] {
        assert_eq!(json_or_text(text).get(), json);
    }
    assert_eq!(number_or_text("5"), 5);
    assert_eq!(number_or_text("many"), "many");
}
