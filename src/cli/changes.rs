//! `taskshed pause`, `resume`, `cancel`, `remove`, `retry` and `reschedule`.

use clap::Args;
use serde::Deserialize;
use serde::Serialize;

use super::client::Client;
use super::failure::Failure;
use super::output;

/// Most ids of one request.
const IDS_MAX: usize = 1000;

#[derive(Debug, Args)]
#[group(required = true, multiple = true, id = "paused_tasks")]
pub(super) struct PauseOrResume {
    /// The tasks
    #[arg(value_name = "ID", conflicts_with = "group")]
    ids: Vec<String>,

    /// All tasks of this group
    #[arg(long)]
    group: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true, id = "changed_tasks")]
pub(super) struct Change {
    /// The tasks
    #[arg(value_name = "ID", conflicts_with_all = ["group", "queue", "callback", "state"])]
    ids: Vec<String>,

    /// All tasks of this group
    #[arg(long)]
    group: Option<String>,

    /// All tasks of this queue
    #[arg(long)]
    queue: Option<String>,

    /// All tasks with this callback
    #[arg(long)]
    callback: Option<String>,

    /// All tasks in this state: scheduled, running, completed, dead, cancelled, expired
    #[arg(long)]
    state: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Reschedule {
    #[command(flatten)]
    tasks: PauseOrResume,

    #[command(flatten)]
    when: When,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct When {
    /// The new time: RFC 3339 with an offset, such as 2026-11-24T05:00:00Z
    #[arg(long, value_name = "TIME")]
    at: Option<String>,

    /// The new time, from now: a length such as 90s or 2h
    #[arg(long = "in", value_name = "LENGTH")]
    run_in: Option<String>,
}

/// What is asked for; nothing that is not set is sent.
#[derive(Clone, Debug, Default, Serialize)]
struct Asked<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    task_ids: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_at: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_in: Option<&'a str>,
}

/// What became of it.
#[derive(Debug, Default, Deserialize)]
struct Changed {
    affected: u64,
    missing: Vec<String>,
    skipped: Vec<Skipped>,
}

#[derive(Debug, Deserialize)]
struct Skipped {
    task_id: String,
    state: String,
}

impl PauseOrResume {
    pub(super) async fn run(&self, client: &Client, action: &str) -> Result<(), Failure> {
        change(client, action, &self.ids, &self.asked()).await
    }

    fn asked(&self) -> Asked<'_> {
        Asked { group_id: self.group.as_deref(), ..Asked::default() }
    }
}

impl Change {
    pub(super) async fn run(&self, client: &Client, action: &str) -> Result<(), Failure> {
        let asked = Asked {
            group_id: self.group.as_deref(),
            queue: self.queue.as_deref(),
            callback: self.callback.as_deref(),
            state: self.state.as_deref(),
            ..Asked::default()
        };
        change(client, action, &self.ids, &asked).await
    }
}

impl Reschedule {
    pub(super) async fn run(&self, client: &Client) -> Result<(), Failure> {
        let asked = Asked {
            run_at: self.when.at.as_deref(),
            run_in: self.when.run_in.as_deref(),
            ..self.tasks.asked()
        };
        change(client, "reschedule", &self.tasks.ids, &asked).await
    }
}

/// Asks for a change of these tasks, or of all that are asked for, and says what became of it.
async fn change(
    client: &Client,
    action: &str,
    ids: &[String],
    asked: &Asked<'_>,
) -> Result<(), Failure> {
    let mut changed = Changed::default();
    if ids.is_empty() {
        changed = send(client, action, asked).await?;
    }
    for ids in ids.chunks(IDS_MAX) {
        let part = send(client, action, &Asked { task_ids: Some(ids), ..asked.clone() }).await?;
        changed.affected += part.affected;
        changed.missing.extend(part.missing);
        changed.skipped.extend(part.skipped);
    }

    output::line(&format!("{} {}", done(action), changed.affected))?;
    for skipped in &changed.skipped {
        output::note(&format!("skipped: {} ({})", output::plain(&skipped.task_id), skipped.state));
    }
    if changed.missing.is_empty() {
        return Ok(());
    }
    let lines = changed.missing.iter().map(|id| format!("\n  {}", output::plain(id)));
    Err(Failure::Refused(format!("no such task:{}", lines.collect::<String>())))
}

async fn send(client: &Client, action: &str, asked: &Asked<'_>) -> Result<Changed, Failure> {
    let body = serde_json::to_string(asked).map_err(std::io::Error::from)?;
    client.post(&["v1", "tasks", action], body).await?.read()
}

fn done(action: &str) -> String {
    match action {
        "cancel" => "cancelled".into(),
        "retry" => "retried".into(),
        action if action.ends_with('e') => format!("{action}d"),
        action => format!("{action}ed"),
    }
}

#[test]
fn actions_have_a_past() {
    let done: Vec<_> = ["pause", "resume", "cancel", "remove", "retry", "reschedule"]
        .into_iter()
        .map(done)
        .collect();
    assert_eq!(done, ["paused", "resumed", "cancelled", "removed", "retried", "rescheduled"]);
}
