//! `taskshed events`.

use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;

use crate::clock::Clock;
use crate::clock::SystemClock;

use super::client::Client;
use super::client::Stream;
use super::failure::Failure;
use super::output;
use super::output::Format;
use super::tasks::text;

/// Wait before the stream is asked for again after it was cut off.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Most bytes of one event; a node's are far shorter.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// What a line for people tells of an event, in this order.
const TOLD: [&str; 12] = [
    "task_id", "callback", "queue", "attempt", "node", "state", "term", "count", "crashed",
    "lag_ms", "took_ms", "error",
];

/// One event as it came.
#[derive(Debug, Default)]
struct Block {
    id: Option<String>,
    name: String,
    data: String,
}

/// One who follows a node.
#[derive(Debug)]
struct Follower<'a> {
    client: &'a Client,
    format: Format,
    /// Id of the event to go on after.
    last: Option<String>,
}

/// Prints events of the server as they happen, one a line, until it is stopped. After a cut it goes on
/// where it was.
pub(super) async fn follow(client: &Client, asked: Option<Format>) -> Result<(), Failure> {
    let mut follower = Follower { client, format: Format::chosen(asked), last: None };
    let mut is_cut = false;
    loop {
        match client.stream(&["v1", "events"], follower.last.as_deref()).await {
            Ok(stream) => {
                is_cut = false;
                follower.read(stream).await?;
            }
            // Nobody was there from the start.
            Err(error @ Failure::Unreachable(_)) if follower.last.is_none() => return Err(error),
            Err(Failure::Unreachable(_)) => {}
            Err(error) => return Err(error),
        }
        if !is_cut {
            is_cut = true;
            output::note("the stream was cut off; asking for it again");
        }
        SystemClock.sleep(AGAIN_AFTER).await;
    }
}

impl Follower<'_> {
    /// Prints what comes until the stream is cut off.
    async fn read(&mut self, mut stream: Stream) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.next().await {
            bytes.extend_from_slice(&chunk);
            while let Some(end) = bytes.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = bytes.drain(..end + 2).collect();
                let block = Block::of(&String::from_utf8_lossy(&block));
                if let Some(line) = block.line(self.format) {
                    output::line(&line)?;
                }
                self.last = block.id.or(self.last.take());
            }
            if bytes.len() > EVENT_BYTES_MAX {
                return Err(self.client.stranger("sends no events"));
            }
        }
        Ok(())
    }
}

impl Block {
    fn of(text: &str) -> Self {
        let mut block = Self::default();
        for line in text.lines() {
            match line.split_once(": ") {
                Some(("id", id)) => block.id = Some(id.to_owned()),
                Some(("event", name)) => name.clone_into(&mut block.name),
                Some(("data", data)) => data.clone_into(&mut block.data),
                _ => {}
            }
        }
        block
    }

    /// The event as a line. What only keeps the connection open has none.
    fn line(&self, format: Format) -> Option<String> {
        if self.name.is_empty() {
            return None;
        }
        match format {
            Format::Table => Some(self.for_people()),
            Format::Json | Format::Jsonl => {
                let rest = self.data.strip_prefix('{').unwrap_or("}");
                let comma = if rest == "}" { "" } else { "," };
                Some(format!("{{\"event\":\"{}\"{comma}{rest}", self.name))
            }
        }
    }

    fn for_people(&self) -> String {
        let data: Value = serde_json::from_str(&self.data).unwrap_or_default();
        let mut line = format!("{:27}  {:15}", text(&data, "at"), self.name);
        if self.name == "reset" {
            line.push_str("  events were missed: look anew");
        }
        for field in TOLD.iter().filter(|field| !data[**field].is_null()) {
            let value = match &data[*field] {
                Value::String(text) => output::plain(text),
                value => value.to_string(),
            };
            let _never_fails = write!(line, "  {field}={value}");
        }
        output::plain(line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_read() {
        let block = Block::of("id: x-7\nevent: task.added\ndata: {\"task_id\":\"a: b\"}");

        assert_eq!(block.id.as_deref(), Some("x-7"));
        assert_eq!(
            block.line(Format::Jsonl).as_deref(),
            Some("{\"event\":\"task.added\",\"task_id\":\"a: b\"}")
        );
        let line = block.line(Format::Table).unwrap();
        assert_eq!(line.trim_start(), "task.added       task_id=a: b");
    }

    #[test]
    fn what_is_no_event_has_no_line() {
        for text in [":", "id: x-0\nretry: 1000"] {
            assert_eq!(Block::of(text).line(Format::Jsonl), None);
        }
        let reset = Block::of("id: x-0\nevent: reset\ndata: {}");
        assert_eq!(reset.line(Format::Json).as_deref(), Some("{\"event\":\"reset\"}"));
    }
}
