//! Commands as handlers.
//!
//! A command gets the task's arguments as JSON on standard input and facts about the run in its
//! environment; the rest of the environment and the working directory are the node's. No shell is
//! involved. The command leads a process group of its own.
//!
//! | end of the command | outcome |
//! |---|---|
//! | exit code 0 | completed; standard output, if it is JSON of at most 64 KiB, is the result |
//! | exit code 65 (`EX_DATAERR`) | dead, no retry |
//! | any other code, or a signal | retry by the task's backoff |
//! | told to stop before it ended, whatever its code | as the node was told: cancelled, timed out or handed back |
//!
//! The end of standard error (4 KiB) is the error message. A command that is to stop gets SIGTERM,
//! with its whole group, and SIGKILL 5 s later; after a lost lease SIGKILL at once.
//!
//! # Nothing is left behind
//!
//! When the command has ended, whatever is left of its process group is killed, after a second in
//! which it may finish what it writes. Something that is meant to outlive a run must leave the group
//! (`setsid`). If the node dies without a word, a [`Launcher`] makes its commands die, too: the
//! kernel kills the command itself, and a guard process that the node leaves behind kills the rest
//! of its group. Two kinds of process escape: those that left the group, and commands with set-user-id
//! or file capabilities, whose death signal the kernel clears (the guard may lack the right to kill
//! them).

mod guard;
mod launch;
mod outcome;
mod output;
mod process;
mod run;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use super::Context;
use super::Handler;
use super::Running;

pub use launch::HELPER;
pub use launch::Launcher;
pub use launch::run_helper;
pub use launch::this_program;
pub use launch::this_program_again;

/// A handler that runs a command.
#[derive(Clone, Debug)]
pub struct Exec {
    command: Arc<[OsString]>,
    timeout: Option<Duration>,
    launcher: Option<Launcher>,
}

/// Why a list of words is not a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCommand {
    /// There is no program.
    #[error("must name a program, such as [\"python3\", \"resize.py\"]")]
    Empty,
    /// A word holds a zero byte, which no system passes on.
    #[error("must not contain zero bytes")]
    ZeroByte,
}

impl Exec {
    /// A handler that runs a program with arguments. The program is looked up in `PATH` at each run
    /// unless it has a slash.
    ///
    /// Without a [`Launcher`] its commands go on if this process dies by SIGKILL.
    ///
    /// # Errors
    ///
    /// If there is no program, or a word that no system could pass on.
    pub fn new<I>(command: I) -> Result<Self, InvalidCommand>
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        let command: Arc<[OsString]> = command.into_iter().map(Into::into).collect();
        if command.first().is_none_or(|program| program.is_empty()) {
            return Err(InvalidCommand::Empty);
        }
        if command.iter().any(|word| word.as_bytes().contains(&0)) {
            return Err(InvalidCommand::ZeroByte);
        }
        Ok(Self { command, timeout: None, launcher: None })
    }

    /// Stops a run after this, unless its task says otherwise.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Starts commands through `launcher`, so that they die with this process.
    #[must_use]
    pub fn launcher(mut self, launcher: Launcher) -> Self {
        self.launcher = Some(launcher);
        self
    }
}

impl Handler for Exec {
    fn run(&self, context: Context) -> Running {
        Box::pin(run::run(self.clone(), context))
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}
