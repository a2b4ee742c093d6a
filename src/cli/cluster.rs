//! `taskshed nodes`, `taskshed node drain` and `taskshed leader`.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use clap::Subcommand;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::time::Timestamp;
use crate::domain::time::format_duration;

use super::arguments::NodeFlags;
use super::client::Client;
use super::failure::Failure;
use super::output;
use super::output::Format;
use super::tasks::text;
use super::tasks::value;

#[derive(Debug, Args)]
pub(super) struct LeaderCommand {
    #[command(subcommand)]
    command: Option<Order>,
}

#[derive(Debug, Subcommand)]
enum Order {
    /// End the present leader's term, so that another node leads
    Resign,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct NodeCommand {
    #[command(flatten)]
    flags: NodeFlags,

    #[command(subcommand)]
    order: Option<NodeOrder>,
}

#[derive(Debug, Subcommand)]
pub(super) enum NodeOrder {
    /// Let a node finish what runs, hand the rest back and leave
    Drain {
        /// Its name, as `taskshed nodes` shows it
        name: String,
    },
}

impl NodeCommand {
    pub(super) fn flags(&self) -> &NodeFlags {
        &self.flags
    }

    /// What a node is told to do; nothing if one is to run here.
    pub(super) fn order(&self) -> Option<&NodeOrder> {
        self.order.as_ref()
    }
}

impl NodeOrder {
    pub(super) async fn run(&self, client: &Client) -> Result<(), Failure> {
        let Self::Drain { name } = self;
        let path = ["v1", "nodes", name, "drain"];
        match client.post_if_there(&path, String::new()).await? {
            Some(_) => output::line(&format!("{} drains", output::plain(name))),
            None => Err(Failure::Refused(format!("no node is called {}", output::plain(name)))),
        }
    }
}

impl LeaderCommand {
    pub(super) async fn run(&self, client: &Client, asked: Option<Format>) -> Result<(), Failure> {
        if let Some(Order::Resign) = self.command {
            let reply = client.post(&["v1", "leader", "resign"], String::new()).await?;
            let resigned: Value = reply.read()?;
            let leader = &resigned["resigned"];
            let node = output::plain(&text(leader, "node"));
            return output::line(&format!("{node} resigned from term {}", leader["term"]));
        }

        let nothing = || Failure::Refused("the server does not know leaders".into());
        let reply = client.get(&["v1", "leader"], &[]).await?.ok_or_else(nothing)?;
        let shown: Value = reply.read()?;
        match Format::chosen(asked) {
            Format::Json | Format::Jsonl => output::line(&reply.text)?,
            Format::Table if shown["leader"].is_null() => {}
            Format::Table => {
                let leader = &shown["leader"];
                let row = ["node", "until", "process_id"].map(|field| text(leader, field));
                let [node, until, process] = row;
                let row = vec![node, leader["term"].to_string(), until, process];
                output::table(&["LEADER", "TERM", "UNTIL", "PROCESS"], [row])?;
            }
        }
        if shown["leader"].is_null() {
            Err(Failure::Refused("no node leads".into()))
        } else {
            Ok(())
        }
    }
}

/// Shows the nodes of the cluster.
pub(super) async fn nodes(client: &Client, asked: Option<Format>) -> Result<(), Failure> {
    let nothing = || Failure::Refused("the server does not know nodes".into());
    let reply = client.get(&["v1", "nodes"], &[]).await?.ok_or_else(nothing)?;
    let now = Timestamp::parse(&text(&reply.read()?, "now")).unwrap_or(Timestamp::EPOCH);
    let heading =
        ["NAME", "STATE", "RUNNING", "QUEUES", "CALLBACKS", "BEAT AGO", "SKEW", "VERSION"];
    items(client, "nodes", Format::chosen(asked), &heading, |node| row(node, now)).await
}

fn row(node: &Value, now: Timestamp) -> Vec<String> {
    let is = |field: &str| node[field] == Value::Bool(true);
    let mut state = if is("draining") { "draining".to_owned() } else { text(node, "kind") };
    if is("leader") {
        state.push_str(",leader");
    }
    let list = |field: &str| {
        let items = node[field].as_array().map(Vec::as_slice).unwrap_or_default();
        items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
    };
    let beat_at = Timestamp::parse(&text(node, "beat_at")).unwrap_or(now);
    let skew_us = node["clock_skew_us"].as_i64().unwrap_or(0);
    vec![
        text(node, "name"),
        state,
        format!("{}/{}", node["running"], node["concurrency"]),
        list("queues"),
        output::short(&list("callbacks"), 40),
        format_duration(tenths(now.since(beat_at))),
        format!("{}ms", skew_us / 1000),
        text(node, "version"),
    ]
}

/// The length without what nobody wants to read.
fn tenths(length: Duration) -> Duration {
    Duration::from_millis(u64::try_from(length.as_millis() / 100 * 100).unwrap_or(u64::MAX))
}

/// Asks for `/v1/WHAT` and shows its list of the same name.
pub(super) async fn items(
    client: &Client,
    what: &str,
    format: Format,
    heading: &[&str],
    row: impl Fn(&Value) -> Vec<String>,
) -> Result<(), Failure> {
    let nothing = || Failure::Refused(format!("the server does not know {what}"));
    let reply = client.get(&["v1", what], &[]).await?.ok_or_else(nothing)?;
    if format == Format::Json {
        return output::line(&reply.text);
    }
    let fields: BTreeMap<String, Box<RawValue>> = reply.read()?;
    let items = fields.get(what).map_or("[]", |items| items.get());
    let items: Vec<Box<RawValue>> = serde_json::from_str(items).map_err(std::io::Error::from)?;
    match format {
        Format::Table => output::table(heading, items.iter().map(|item| row(&value(item)))),
        _ => output::json_lines(&items),
    }
}
