//! Tells what happens, line by line.

use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::cli::failure::Failure;
use crate::cli::output;
use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::domain::state::TaskState;
use crate::events::Event;

use super::history::History;
use super::tasks::SLOW;

/// The teller. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Story {
    began_at: Duration,
    history: History,
}

impl Story {
    pub(super) fn new(history: History) -> Self {
        Self { began_at: SystemClock.steady(), history }
    }

    /// How long the story lasts by now.
    pub(super) fn time(&self) -> Duration {
        SystemClock.steady().saturating_sub(self.began_at)
    }

    pub(super) fn history(&self) -> &History {
        &self.history
    }

    /// Tells something that no event says.
    pub(super) fn say(&self, text: &str) -> Result<(), Failure> {
        output::line(&format!("{:6.2} s  {text}", self.time().as_secs_f64()))
    }

    /// Tells events until the nodes have gone or nobody listens.
    pub(super) async fn follow(self, mut events: Receiver<Event>) {
        loop {
            let event = match events.recv().await {
                Ok(event) => event,
                Err(RecvError::Lagged(count)) => {
                    self.history.miss(count);
                    continue;
                }
                Err(RecvError::Closed) => return,
            };
            let line = self.line(&event);
            self.history.note(&event, self.time());
            if line.is_some_and(|line| self.say(&line).is_err()) {
                return;
            }
        }
    }

    fn line(&self, event: &Event) -> Option<String> {
        match event {
            Event::Joined { node } => Some(format!("{node} joins")),
            Event::Left { node } => Some(format!("{node} leaves in good order")),
            Event::LeaderChanged { node: Some(node), term } => {
                let is_new = self.history.is_new_term(term.0);
                is_new.then(|| format!("{node} leads, term {}", term.0))
            }
            Event::Reclaimed { node, count, crashed } => {
                let why = if *crashed { ", which is dead" } else { "" };
                Some(format!("the leader takes {count} back from {node}{why}"))
            }
            Event::Ended { run, state, error, took } => {
                let end = match (state, error) {
                    (TaskState::Scheduled, Some(error)) => format!("fails: {error}; it is retried"),
                    (_, Some(error)) => format!("is {state}: {error}", state = state.as_str()),
                    (TaskState::Scheduled, None) => "done, and will come again".into(),
                    (state, None) => state.as_str().to_owned(),
                };
                let (task, node) = (&run.task, &run.node);
                Some(format!("{node}  {task} {end}{}", lasted(*took)))
            }
            Event::Stale { run } => Some(format!(
                "{}  {} ended too late: the task runs elsewhere, the outcome is refused",
                run.node, run.task
            )),
            Event::Started { run, .. } if self.history.was_interrupted(run) => {
                Some(format!("{}  {} starts again", run.node, run.task))
            }
            Event::Started { run, .. } if run.callback.as_str() == SLOW => {
                Some(format!("{}  {} starts", run.node, run.task))
            }
            Event::Started { .. } | Event::LeaderChanged { node: None, .. } => None,
        }
    }
}

fn lasted(took: Duration) -> String {
    if took < Duration::from_millis(100) {
        return String::new();
    }
    format!(" after {:.1} s", took.as_secs_f64())
}
