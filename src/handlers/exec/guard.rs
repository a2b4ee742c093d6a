//! A process that outlives the node by a moment, to kill what is left of its commands.
//!
//! The node writes the process groups that it starts and ends, one a line, into a pipe. If it dies,
//! the pipe ends, and the guard kills the groups that are open.

use std::collections::HashSet;
use std::io;
use std::io::BufRead;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::PoisonError;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process_group;

/// The node's end of the pipe. Dropping it ends the guard.
#[derive(Debug)]
pub(super) struct Guard {
    child: Child,
    pipe: Mutex<Option<ChildStdin>>,
}

impl Guard {
    /// Starts `command` as a guard, in a group of its own so that no signal from a terminal ends it.
    pub(super) fn start(mut command: Command) -> io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn()?;
        let pipe = Mutex::new(child.stdin.take());
        Ok(Self { child, pipe })
    }

    /// Notes that a group has started.
    pub(super) fn started(&self, group: Pid) {
        self.note('+', group);
    }

    /// Notes that a group has ended. Its number must still be taken, so that the guard can never
    /// kill a group that got the number anew.
    pub(super) fn ended(&self, group: Pid) {
        self.note('-', group);
    }

    fn note(&self, sign: char, group: Pid) {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let line = format!("{sign}{}\n", group.as_raw_nonzero());
        if let Some(open) = &mut *pipe
            && let Err(error) = open.write_all(line.as_bytes())
        {
            tracing::warn!(%error, "the guard of commands is gone; children of commands may outlive this node");
            *pipe = None;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let pipe = self.pipe.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(pipe.take());
        let _it_ends_with_the_pipe = self.child.wait();
    }
}

/// Reads which groups start and end, and kills those that are open when there is no more to read.
pub(super) fn watch(lines: impl BufRead) {
    for group in open_groups(lines) {
        let _gone_by_itself = kill_process_group(group, Signal::KILL);
    }
}

fn open_groups(lines: impl BufRead) -> HashSet<Pid> {
    let mut open = HashSet::new();
    for line in lines.lines().map_while(Result::ok) {
        let number = line.get(1..).and_then(|text| text.parse().ok()).and_then(Pid::from_raw);
        match (line.as_bytes().first(), number) {
            (Some(b'+'), Some(group)) => drop(open.insert(group)),
            (Some(b'-'), Some(group)) => drop(open.remove(&group)),
            _ => {}
        }
    }
    open
}

#[test]
fn what_has_started_and_not_ended_is_open() {
    let open = open_groups("+11\n+12\n-11\n+13\nnoise\n+\n-99\n".as_bytes());

    let wanted = [12, 13].map(|number| Pid::from_raw(number).unwrap());
    assert_eq!(open, HashSet::from(wanted));
}
