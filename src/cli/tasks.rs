//! `taskshed list` and `taskshed show`.

use clap::Args;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::client::Client;
use super::failure::Failure;
use super::output;
use super::output::Format;

/// Most tasks of one answer.
const PAGE_MAX: usize = 1000;

/// Most ids in the address of one question.
const IDS_MAX: usize = 20;

/// Letters of an error that fit into a column.
const ERROR_LETTERS_MAX: usize = 48;

/// The fields of a task in the order in which they are shown.
const FIELDS: [&str; 33] = [
    "task_id",
    "callback",
    "state",
    "paused",
    "paused_at",
    "suspect",
    "parked",
    "run_at",
    "planned_at",
    "run_type",
    "interval",
    "cron",
    "timezone",
    "coalesce",
    "queue",
    "priority",
    "group_id",
    "unique_key",
    "attempt",
    "max_attempts",
    "crashes",
    "backoff",
    "timeout",
    "expires_at",
    "exclusive",
    "retention",
    "created_at",
    "finished_at",
    "kwargs",
    "metadata",
    "lease",
    "result",
    "errors",
];

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only tasks of this group
    #[arg(long)]
    group: Option<String>,

    /// Only tasks of this queue
    #[arg(long)]
    queue: Option<String>,

    /// Only tasks in this state: scheduled, running, completed, dead, cancelled, expired
    #[arg(long)]
    state: Option<String>,

    /// Only tasks with this callback
    #[arg(long)]
    callback: Option<String>,

    /// Most tasks to list
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,

    /// Where to go on, as the last call said
    #[arg(long)]
    cursor: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The tasks
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
}

/// One page of tasks, each byte for byte as it came.
#[derive(Deserialize)]
struct Page {
    tasks: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
    #[serde(default)]
    corrupt: Vec<String>,
}

impl List {
    pub(super) async fn run(&self, client: &Client, asked: Option<Format>) -> Result<(), Failure> {
        let wanted = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let mut found =
            Page { tasks: Vec::new(), next_cursor: self.cursor.clone(), corrupt: vec![] };
        loop {
            let left = (wanted - found.tasks.len()).min(PAGE_MAX).to_string();
            let page = self.page(client, &left, found.next_cursor.as_deref()).await?;
            found.tasks.extend(page.tasks);
            found.corrupt.extend(page.corrupt);
            found.next_cursor = page.next_cursor;
            if found.next_cursor.is_none() || found.tasks.len() >= wanted {
                break;
            }
        }

        show_page(&found, Format::chosen(asked))?;
        for id in &found.corrupt {
            output::note(&format!("unreadable: {}", output::plain(id)));
        }
        Ok(())
    }

    async fn page(
        &self,
        client: &Client,
        limit: &str,
        cursor: Option<&str>,
    ) -> Result<Page, Failure> {
        let filters = [
            ("group_id", self.group.as_deref()),
            ("queue", self.queue.as_deref()),
            ("state", self.state.as_deref()),
            ("callback", self.callback.as_deref()),
            ("limit", Some(limit)),
            ("cursor", cursor),
        ];
        let query: Vec<_> =
            filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        read(client, &query).await
    }
}

impl Show {
    pub(super) async fn run(&self, client: &Client, asked: Option<Format>) -> Result<(), Failure> {
        let found = find(client, &self.ids).await?;
        match Format::chosen(asked) {
            Format::Jsonl => output::json_lines(&found)?,
            Format::Json => output::json(&found)?,
            Format::Table => {
                for (position, task) in found.iter().enumerate() {
                    if position > 0 {
                        output::line("")?;
                    }
                    show_fields(&value(task))?;
                }
            }
        }

        let shown: Vec<_> = found.iter().map(|task| text(&value(task), "task_id")).collect();
        let missing: Vec<_> = self.ids.iter().filter(|id| !shown.contains(*id)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let lines = missing.iter().map(|id| format!("\n  {}", output::plain(id)));
        Err(Failure::Refused(format!("no such task:{}", lines.collect::<String>())))
    }
}

/// The tasks with these ids that there are.
pub(super) async fn find(client: &Client, ids: &[String]) -> Result<Vec<Box<RawValue>>, Failure> {
    let mut found = Vec::new();
    for ids in ids.chunks(IDS_MAX) {
        let query: Vec<_> = ids.iter().map(|id| ("task_id", id.as_str())).collect();
        found.extend(read(client, &query).await?.tasks);
    }
    Ok(found)
}

async fn read(client: &Client, query: &[(&str, &str)]) -> Result<Page, Failure> {
    let nothing = || Failure::Refused("the server has no tasks to list; is it an old one?".into());
    client.get(&["v1", "tasks"], query).await?.ok_or_else(nothing)?.read()
}

fn show_page(page: &Page, format: Format) -> Result<(), Failure> {
    let note = |cursor: &String| output::note(&format!("more: --cursor {cursor}"));
    match format {
        Format::Json => {
            let shown = serde_json::json!({ "next_cursor": page.next_cursor });
            let tasks = serde_json::to_string(&page.tasks).map_err(std::io::Error::from)?;
            let rest = shown["next_cursor"].to_string();
            output::line(&format!("{{\"tasks\":{tasks},\"next_cursor\":{rest}}}"))
        }
        Format::Jsonl => {
            output::json_lines(&page.tasks)?;
            page.next_cursor.iter().for_each(note);
            Ok(())
        }
        Format::Table => {
            let heading = ["ID", "STATE", "CALLBACK", "QUEUE", "RUN AT", "ATTEMPT", "LAST ERROR"];
            output::table(&heading, page.tasks.iter().map(|task| row(&value(task))))?;
            page.next_cursor.iter().for_each(note);
            Ok(())
        }
    }
}

fn row(task: &Value) -> Vec<String> {
    let flags = ["paused", "suspect", "parked"];
    let flags = flags.iter().filter(|flag| task[**flag] == Value::Bool(true));
    let state = flags.fold(text(task, "state"), |state, flag| format!("{state},{flag}"));
    let attempts = format!("{}/{}", task["attempt"], task["max_attempts"]);
    let error = task["last_error"]["message"].as_str().unwrap_or_default();
    vec![
        text(task, "task_id"),
        state,
        text(task, "callback"),
        text(task, "queue"),
        text(task, "run_at"),
        attempts,
        output::short(error.trim(), ERROR_LETTERS_MAX),
    ]
}

fn show_fields(task: &Value) -> Result<(), Failure> {
    for field in FIELDS {
        let shown = match &task[field] {
            Value::Null => continue,
            Value::Array(items) if field == "errors" => {
                for error in items {
                    let message = error["message"].as_str().unwrap_or_default();
                    let (at, node) = (text(error, "at"), text(error, "node"));
                    let told = format!("attempt {} on {node} at {at}:", error["attempt"]);
                    output::line(&format!("{field:<13} {}", output::plain(&told)))?;
                    for line in message.lines() {
                        output::line(&format!("{:<13}   {}", "", output::plain(line)))?;
                    }
                }
                continue;
            }
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        output::line(&format!("{field:<13} {}", output::plain(&shown)))?;
    }
    Ok(())
}

/// A field that is text, or nothing.
pub(super) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// A task as a tree. Large numbers may lose digits in it, so it serves tables only.
pub(super) fn value(raw: &RawValue) -> Value {
    serde_json::from_str(raw.get()).unwrap_or_default()
}
