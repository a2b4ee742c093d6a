//! What the demo's handlers write down, outside of the store, and who reads it.
//!
//! Each run is a process of its own. It adds a line to one file when it starts and when it comes to
//! its end; a run that was killed wrote no end.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;

use serde::Deserialize;
use serde::Serialize;

use crate::domain::id::Callback;
use crate::domain::id::NodeName;
use crate::domain::id::TaskId;
use crate::domain::time::Timestamp;

/// Name of the file.
pub(super) const FILE: &str = "runs";

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Note {
    /// When, by this machine's clock.
    pub(super) at: Timestamp,
    pub(super) what: What,
    pub(super) run: Run,
}

/// What happened to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum What {
    Started,
    Ended,
    Failed,
}

/// One run of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) task: TaskId,
    pub(super) callback: Callback,
    pub(super) planned_at: Timestamp,
    pub(super) fence: u64,
    pub(super) node: NodeName,
}

/// Adds a line in one write, which no other process can come between.
pub(super) fn write(folder: &Path, note: &Note) -> io::Result<()> {
    let mut line = serde_json::to_string(note).map_err(io::Error::from)?;
    line.push('\n');
    let mut file = OpenOptions::new().append(true).create(true).open(folder.join(FILE))?;
    file.write_all(line.as_bytes())
}

/// Reads lines as they come.
#[derive(Debug)]
pub(super) struct Reader {
    file: File,
    /// The start of a line whose end was not there yet.
    rest: String,
}

impl Reader {
    /// Makes the file and starts at its beginning.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        File::create_new(&path)?;
        Ok(Self { file: File::open(path)?, rest: String::new() })
    }

    /// What was written since.
    pub(super) fn read(&mut self) -> io::Result<Vec<Note>> {
        self.file.read_to_string(&mut self.rest)?;
        let Some(end) = self.rest.rfind('\n') else { return Ok(Vec::new()) };
        let rest = self.rest.split_off(end + 1);
        let lines = std::mem::replace(&mut self.rest, rest);
        lines.lines().map(|line| serde_json::from_str(line).map_err(io::Error::from)).collect()
    }
}
