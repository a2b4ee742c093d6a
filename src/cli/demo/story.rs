//! Tells what happens, line by line.

use std::time::Duration;

use crate::cli::failure::Failure;
use crate::cli::output;
use crate::clock::Clock;
use crate::clock::SystemClock;

use super::note::Note;
use super::note::What;
use super::tasks::SLOW;

/// The teller.
#[derive(Debug)]
pub(super) struct Story {
    began_at: Duration,
}

impl Story {
    pub(super) fn begin() -> Self {
        Self { began_at: SystemClock.steady() }
    }

    /// How long the story lasts by now.
    pub(super) fn time(&self) -> Duration {
        SystemClock.steady().saturating_sub(self.began_at)
    }

    pub(super) fn say(&self, text: &str) -> Result<(), Failure> {
        output::line(&format!("{:6.2} s  {text}", self.time().as_secs_f64()))
    }

    /// Tells what a run wrote; `took` is how long it took if it is over, `is_again` says that it
    /// takes the place of one that was cut short.
    pub(super) fn tell(&self, note: &Note, took: Duration, is_again: bool) -> Result<(), Failure> {
        let run = &note.run;
        let what = match note.what {
            What::Started if is_again => "starts again".to_owned(),
            What::Started if run.callback.as_str() == SLOW => "starts".to_owned(),
            What::Started => return Ok(()),
            What::Failed => "fails: the mail server is busy; it is retried".to_owned(),
            What::Ended => format!("done{}", lasted(took)),
        };
        self.say(&format!("{}  {} {what}", run.node, run.task))
    }
}

fn lasted(took: Duration) -> String {
    if took < Duration::from_millis(100) {
        return String::new();
    }
    format!(" after {:.1} s", took.as_secs_f64())
}
