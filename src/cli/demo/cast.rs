//! The nodes, each a process of its own, and how they go.

use std::env;
use std::fs;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Child;
use std::process::ExitStatus;
use std::process::Stdio;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

use crate::cli::failure::Failure;
use crate::handlers::exec;

use super::folder::Folder;

/// Their names.
pub(super) const NAMES: [&str; 3] = ["anna", "bert", "cleo"];

/// What they are told: a short lease, so that nobody waits long for the tasks of the dead, and fewer
/// slots than there is to do at times, so that every node gets some of it.
const ARGUMENTS: [&str; 8] =
    ["--listen", "127.0.0.1:0", "--lease", "2s", "--concurrency", "4", "--drain-timeout", "5s"];

/// Last lines of a log that are shown if a node does not do as it should.
const LOG_LINES: usize = 5;

/// The nodes that live. Dropping it kills them.
#[derive(Debug)]
pub(super) struct Cast {
    nodes: Vec<Actor>,
}

/// A node.
#[derive(Debug)]
struct Actor {
    name: &'static str,
    child: Child,
    out: PathBuf,
    log: PathBuf,
    has_greeted: bool,
}

impl Cast {
    /// Starts them. The kernel kills them if the thread that calls this ends before.
    pub(super) fn start(folder: &Folder) -> Result<Self, Failure> {
        let mut cast = Self { nodes: Vec::new() };
        for name in NAMES {
            cast.nodes.push(Actor::start(name, folder)?);
        }
        Ok(cast)
    }

    /// Names the nodes that are ready since the last look, and where they answer.
    pub(super) fn greetings(&mut self) -> Result<Vec<(&'static str, String)>, Failure> {
        let mut greetings = Vec::new();
        for node in &mut self.nodes {
            if let Some(ended) = node.child.try_wait()? {
                return Err(node.failure(&format!("ended unasked: {ended}")));
            }
            if let Some(url) = node.greeting()? {
                greetings.push((node.name, url));
            }
        }
        Ok(greetings)
    }

    /// Whether all are ready.
    pub(super) fn are_ready(&self) -> bool {
        self.nodes.iter().all(|node| node.has_greeted)
    }

    /// Names of those that live.
    pub(super) fn living(&self) -> impl Iterator<Item = &'static str> {
        self.nodes.iter().map(|node| node.name)
    }

    /// Kills a node in the middle of what it does.
    pub(super) fn kill(&mut self, name: &str) {
        self.nodes.retain(|node| node.name != name);
    }

    /// Tells the living to leave.
    pub(super) fn dismiss(&self) -> io::Result<()> {
        for node in &self.nodes {
            kill_process(Pid::from_child(&node.child), Signal::TERM)?;
        }
        Ok(())
    }

    /// Names a node that has left in good order since the last look, if there is one.
    pub(super) fn left(&mut self) -> Result<Option<&'static str>, Failure> {
        for at in 0..self.nodes.len() {
            let Some(ended) = self.nodes[at].child.try_wait()? else { continue };
            let node = self.nodes.swap_remove(at);
            if !ended.success() {
                return Err(node.failure(&format!("did not leave in good order: {ended}")));
            }
            return Ok(Some(node.name));
        }
        Ok(None)
    }
}

impl Actor {
    fn start(name: &'static str, folder: &Folder) -> Result<Self, Failure> {
        let (out, log) =
            (folder.path().join(format!("{name}.out")), folder.path().join(format!("{name}.log")));
        let mut command = exec::this_program_again()?;
        command.args(["node", "--name", name]).args(ARGUMENTS);
        command.arg("--config").arg(folder.settings()).current_dir(folder.path());
        let ours = env::vars_os().map(|(name, _)| name);
        for variable in ours.filter(|name| name.to_string_lossy().starts_with("TASKSHED_")) {
            command.env_remove(variable);
        }
        // In a group of its own: what a terminal tells the demo is not told to the nodes.
        command.process_group(0).stdin(Stdio::null());
        command.stdout(File::create(&out)?).stderr(File::create(&log)?);
        let child = command.spawn()?;
        Ok(Self { name, child, out, log, has_greeted: false })
    }

    /// Where it answers, once, when it is ready.
    fn greeting(&mut self) -> io::Result<Option<String>> {
        if self.has_greeted {
            return Ok(None);
        }
        let said = fs::read_to_string(&self.out)?;
        let url = said.split("ready: ").nth(1).and_then(|rest| rest.split_once(','));
        self.has_greeted = url.is_some();
        Ok(url.map(|(url, _)| url.to_owned()))
    }

    fn failure(&self, what: &str) -> Failure {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n  ");
        Failure::Refused(format!("{} {what}\n  {last}", self.name))
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped: io::Result<ExitStatus> = self.child.wait();
    }
}
