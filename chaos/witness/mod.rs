//! Writes down what happens to a cluster, in the form of `docs/reference/history.md`.
//!
//! A [`Witness`] speaks for one process. [`Observed`] stands between a node and its store and writes each
//! call down before it is sent and after its answer; [`Noted`] does so for a run, and [`Client`] for
//! what users do. Who includes this by its path includes `checker` beside it.

mod client;
mod observed;
mod run;

use std::fmt::Debug;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use taskshed::clock::Clock;
use taskshed::store::Error;
use taskshed::store::TaskRecord;

use crate::checker::history::Call;
use crate::checker::history::Event;
use crate::checker::history::Kept;
use crate::checker::history::Line;
use crate::checker::history::Reply;
use crate::checker::history::write;

pub(crate) use client::Client;
pub(crate) use observed::Observed;
pub(crate) use run::Noted;

/// Where lines are put down.
pub(crate) trait Book: Send + Sync + Debug {
    /// Takes a line in, whole or not at all.
    fn put(&self, line: Line);
}

/// A file that several processes append to.
#[derive(Debug)]
pub(crate) struct Ledger {
    file: Mutex<File>,
}

impl Ledger {
    /// Opens the file, and makes it if it is not there.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file: Mutex::new(file) })
    }
}

impl Book for Ledger {
    fn put(&self, line: Line) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        write(&line, &mut *file).expect("the witness can write its history");
    }
}

/// Speaks for one process. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Witness {
    by: Arc<str>,
    clock: Arc<dyn Clock>,
    book: Arc<dyn Book>,
    calls: Arc<AtomicU64>,
}

impl Witness {
    /// Who, by which steady clock, and where it is put down.
    pub(crate) fn new(by: &str, clock: Arc<dyn Clock>, book: Arc<dyn Book>) -> Self {
        Self { by: by.into(), clock, book, calls: Arc::default() }
    }

    /// Now, in µs of the steady clock.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.clock.steady().as_micros()).unwrap_or(u64::MAX)
    }

    /// Puts down what is seen now.
    pub(crate) fn see(&self, event: Event) {
        let (at, by) = (self.now(), self.by.as_ref().to_owned());
        self.book.put(Line { at, by, event });
    }

    /// Puts down a call that is about to be sent, and answers its number.
    pub(crate) fn ask(&self, what: Call) -> u64 {
        let call = self.calls.fetch_add(1, Relaxed) + 1;
        self.see(Event::Invoked { call, what });
        call
    }

    /// Puts down the answer to a call.
    pub(crate) fn answer(&self, call: u64, reply: Reply) {
        self.see(Event::Answered { call, reply });
    }
}

/// A task that is there at the end.
pub(crate) fn kept(task: &TaskRecord) -> Kept {
    Kept {
        task: task.id.to_string(),
        state: task.state.as_str().to_owned(),
        run_at: task.run_at.as_us(),
        paused: task.paused_at.is_some(),
        parked: task.parked,
        attempt: task.attempt,
        crashes: task.crashes,
        unique_key: task.spec.unique_key.as_ref().map(ToString::to_string),
    }
}

/// What a store's error says of a call.
fn store_fault(error: &Error) -> Reply {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    Reply::Unknown { error: text }
}
