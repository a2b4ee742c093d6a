//! `taskshed queues` and `taskshed queue`.

use clap::Args;
use clap::Subcommand;
use serde_json::Value;

use super::client::Client;
use super::cluster::items;
use super::failure::Failure;
use super::output;
use super::output::Format;
use super::tasks::text;

#[derive(Debug, Args)]
pub(super) struct Queue {
    #[command(subcommand)]
    command: QueueCommand,
}

#[derive(Debug, Subcommand)]
enum QueueCommand {
    /// Let nothing more be claimed from a queue
    Pause {
        /// The queue
        name: String,
    },
    /// Open a paused queue
    Resume {
        /// The queue
        name: String,
    },
}

impl Queue {
    pub(super) async fn run(&self, client: &Client) -> Result<(), Failure> {
        let (name, action, done) = match &self.command {
            QueueCommand::Pause { name } => (name, "pause", "paused"),
            QueueCommand::Resume { name } => (name, "resume", "resumed"),
        };
        client.post(&["v1", "queues", name, action], String::new()).await?;
        output::line(&format!("{done} queue {}", output::plain(name)))
    }
}

/// Shows the depths of all queues.
pub(super) async fn list(client: &Client, asked: Option<Format>) -> Result<(), Failure> {
    let heading = [
        "QUEUE",
        "PAUSED",
        "SCHEDULED",
        "DUE",
        "OLDEST DUE",
        "RUNNING",
        "BACKLOG",
        "HELD",
        "PARKED",
        "SUSPECTS",
        "COMPLETED",
        "DEAD",
        "CANCELLED",
        "EXPIRED",
    ];
    items(client, "queues", Format::chosen(asked), &heading, row).await
}

fn row(queue: &Value) -> Vec<String> {
    let scheduled = ["critical", "high", "normal", "low"]
        .iter()
        .filter_map(|priority| queue["scheduled"][*priority].as_u64())
        .sum::<u64>();
    let count = |field: &str| queue[field].to_string();
    let age = text(queue, "oldest_due_age");
    vec![
        text(queue, "queue"),
        if queue["paused"] == Value::Bool(true) { "yes".into() } else { "no".into() },
        scheduled.to_string(),
        count("due"),
        if age.is_empty() { "-".into() } else { age },
        count("running"),
        count("backlog"),
        count("held"),
        count("parked"),
        count("suspects"),
        count("completed"),
        count("dead"),
        count("cancelled"),
        count("expired"),
    ]
}
