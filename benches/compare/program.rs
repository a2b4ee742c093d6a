//! A program of a peer, as it runs.
//!
//! It says `ready` when it is warm, waits for `go`, says `done` when its work is done, and answers
//! `stop` with `counted` and what it counted, as JSON.

use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::path::Path;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::channel;
use std::time::Duration;

use serde::Deserialize;

use crate::install::Ready;
use crate::spent;

/// A start with imports takes seconds at most.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// What a worker counted.
#[derive(Debug, Deserialize)]
pub(crate) struct Counted {
    /// How many runs there were.
    pub(crate) executed: usize,
    /// Of how many tasks.
    pub(crate) distinct: usize,
    /// How late tasks started, in microseconds.
    pub(crate) lags: Vec<i64>,
}

/// A process of a peer. It is killed with this value.
pub(crate) struct Program {
    child: Child,
    told: ChildStdin,
    heard: Receiver<String>,
}

impl Program {
    /// Starts it and waits until it is warm. What it complains is in `log`.
    pub(crate) fn start(ready: &Ready, words: &[&str], log: &Path) -> Result<Self, String> {
        let complaints = File::options().create(true).append(true).open(log).unwrap();
        let mut child = Command::new(&ready.command[0])
            .args(&ready.command[1..])
            .args(words)
            .current_dir(log.parent().unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints)
            .spawn()
            .map_err(|error| error.to_string())?;
        let (says, heard) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if says.send(line).is_err() {
                    return;
                }
            }
        });
        let told = child.stdin.take().unwrap();
        let program = Self { child, told, heard };
        program.hears("ready", READY_WITHIN)?;
        Ok(program)
    }

    /// Lets it begin.
    pub(crate) fn go(&mut self) {
        let _gone = self.told.write_all(b"go\n");
    }

    /// Waits until its work is done.
    pub(crate) fn done(&self, within: Duration) -> Result<(), String> {
        self.hears("done", within).map(drop)
    }

    /// Leaves it alone for a while.
    pub(crate) fn rest(&self, length: Duration) {
        let _silence = self.heard.recv_timeout(length);
    }

    /// Gives it a moment in which what runs twice shows, and asks for its counts.
    pub(crate) fn stop(mut self, after: Duration) -> Result<Counted, String> {
        self.rest(after);
        let _gone = self.told.write_all(b"stop\n");
        let line = self.hears("counted", READY_WITHIN)?;
        serde_json::from_str(&line["counted ".len()..]).map_err(|error| error.to_string())
    }

    /// Seconds of CPU that it and what it started have used.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let mut family = vec![self.child.id().to_string()];
        let mut seconds = 0.0;
        while let Some(process) = family.pop() {
            seconds += spent::by(&process);
            let children = format!("/proc/{process}/task/{process}/children");
            let children = std::fs::read_to_string(children).unwrap_or_default();
            family.extend(children.split_whitespace().map(str::to_owned));
        }
        seconds
    }

    /// The next line that begins with a word; others are passed over.
    fn hears(&self, word: &str, within: Duration) -> Result<String, String> {
        loop {
            let line = self.heard.recv_timeout(within);
            let line = line.map_err(|error| format!("it did not say {word}: {error}"))?;
            if line.starts_with(word) {
                return Ok(line);
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}
