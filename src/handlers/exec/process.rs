//! A command that was started, and the process group that it leads.

use std::io;
use std::os::fd::OwnedFd;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::sync::Arc;
use std::thread;

use rustix::process::Pid;
use rustix::process::PidfdFlags;
use rustix::process::Signal;
use rustix::process::kill_process_group;
use rustix::process::pidfd_open;
use tokio::process::ChildStderr;
use tokio::process::ChildStdin;
use tokio::process::ChildStdout;

use super::guard::Guard;
use super::launch;

/// A command under way. Dropping it kills its process group.
///
/// The command is reaped last. Until then its number, which is that of the group, stays taken, so a
/// signal to the group can never reach another one.
#[derive(Debug)]
pub(super) struct Process {
    child: Option<Child>,
    group: Pid,
    guard: Option<Arc<Guard>>,
}

impl Process {
    /// Starts `command` as the leader of a new group, its streams connected to pipes.
    pub(super) fn start(command: &mut Command, guard: Option<Arc<Guard>>) -> io::Result<Self> {
        launch::prepare(command);
        let child = command.spawn()?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let group = group.ok_or_else(|| io::Error::other("the command has no number"))?;
        if let Some(guard) = &guard {
            guard.started(group);
        }
        Ok(Self { child: Some(child), group, guard })
    }

    /// Becomes readable when the command has ended.
    pub(super) fn end_notice(&self) -> io::Result<OwnedFd> {
        Ok(pidfd_open(self.group, PidfdFlags::NONBLOCK)?)
    }

    /// The near ends of the command's standard streams. They can be taken once.
    pub(super) fn pipes(&mut self) -> io::Result<(ChildStdin, ChildStdout, ChildStderr)> {
        let taken = || io::Error::other("the streams of the command are taken");
        let child = self.child.as_mut().ok_or_else(taken)?;
        let stdin = child.stdin.take().ok_or_else(taken)?;
        let stdout = child.stdout.take().ok_or_else(taken)?;
        let stderr = child.stderr.take().ok_or_else(taken)?;
        Ok((
            ChildStdin::from_std(stdin)?,
            ChildStdout::from_std(stdout)?,
            ChildStderr::from_std(stderr)?,
        ))
    }

    /// Sends `signal` to the whole group.
    pub(super) fn signal(&self, signal: Signal) {
        let _nobody_left_to_get_it = kill_process_group(self.group, signal);
    }

    /// Kills what is left of the group and answers how the command, which has ended, did so.
    pub(super) fn reap(mut self) -> io::Result<ExitStatus> {
        match self.bury() {
            Some(mut child) => child.wait(),
            None => Err(io::Error::other("the command was reaped before")),
        }
    }

    /// Kills the group and takes out the command, so that nobody signals the group any more.
    fn bury(&mut self) -> Option<Child> {
        let child = self.child.take()?;
        self.signal(Signal::KILL);
        if let Some(guard) = &self.guard {
            guard.ended(self.group);
        }
        Some(child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(mut child) = self.bury() else {
            return;
        };
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        // It ends within milliseconds, unless the kernel is stuck in it; nobody should wait for that.
        let reap = move || drop(child.wait());
        let _unreaped_until_the_node_ends =
            thread::Builder::new().name("taskshed-reap".into()).spawn(reap);
    }
}
