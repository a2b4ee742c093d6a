//! One node of a fleet: a process now and then, each time a new one.

use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;

use crate::Failure;
use crate::checker::history::Event;
use crate::witness::Witness;

use super::Place;
use super::Plan;
use super::Proxy;
use super::Weather;

/// How long a node that ended by itself is away.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// How long runs may take to end after SIGTERM.
const DRAIN: Duration = Duration::from_millis(700);

/// One node.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) name: String,
    child: Option<Child>,
    times: u32,
    version: u32,
    /// When it is to run again, by the steady clock; never after it retired.
    start_at: Option<Duration>,
    way: Option<Proxy>,
    orders: Vec<String>,
    log: PathBuf,
}

impl Slot {
    pub(super) fn new(
        name: &str,
        way: Option<Proxy>,
        url: String,
        place: &Place,
        plan: &Plan,
    ) -> Self {
        let history = plan.history.display().to_string();
        let words = [
            ("--name", name.to_owned()),
            ("--store", url),
            ("--durability", place.durability().to_owned()),
            ("--namespace", plan.namespace.clone()),
            ("--history", history),
            ("--lease-ms", plan.lease.as_millis().to_string()),
            ("--drain-ms", DRAIN.as_millis().to_string()),
        ];
        let orders = words.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        let log = plan.history.with_extension("log");
        let name = name.to_owned();
        Self { name, child: None, times: 0, version: 1, start_at: None, way, orders, log }
    }

    /// Starts it anew.
    pub(super) fn start(&mut self) -> Result<(), Failure> {
        self.times += 1;
        self.start_at = None;
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let child = Command::new(std::env::current_exe()?)
            .arg("node")
            .args(&self.orders)
            .args([
                "--process",
                &self.process(),
                "--version",
                &format!("0.{}.0-chaos", self.version),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    /// Its present process, or the last one.
    pub(super) fn process(&self) -> String {
        format!("{}.{}", self.name, self.times)
    }

    pub(super) fn pid(&self) -> Option<Pid> {
        self.child.as_ref().map(Pid::from_child)
    }

    pub(super) fn is_running(&self) -> bool {
        self.child.is_some()
    }

    pub(super) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            let _it_may_just_have_ended = kill_process(pid, signal);
        }
    }

    pub(super) fn kill(&mut self, witness: &Witness, again_after: Duration) -> Result<(), Failure> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            let status = child.wait()?;
            self.tell(witness, status);
        }
        self.start_at = Some(SystemClock.steady() + again_after);
        Ok(())
    }

    pub(super) fn ask_to_leave(
        &mut self,
        witness: &Witness,
        again_after: Duration,
    ) -> Result<(), Failure> {
        self.look(witness)?;
        if self.is_running() {
            witness.see(Event::Asked { process: self.process() });
            self.signal(Signal::TERM);
        }
        self.start_at = Some(SystemClock.steady() + again_after);
        Ok(())
    }

    /// Asks it to leave for good.
    pub(super) fn retire(&mut self, witness: &Witness) -> Result<(), Failure> {
        self.ask_to_leave(witness, Duration::ZERO)?;
        self.start_at = Some(Duration::MAX);
        Ok(())
    }

    pub(super) fn upgrade(&mut self) {
        self.version += 1;
    }

    pub(super) fn weather(&self, weather: Weather) {
        if let Some(way) = &self.way {
            way.set(weather);
        }
    }

    /// Notices whether the process has ended, and starts it when its time has come.
    pub(super) fn look(&mut self, witness: &Witness) -> Result<(), Failure> {
        if let Some(child) = &mut self.child {
            if let Some(status) = child.try_wait()? {
                self.child = None;
                self.tell(witness, status);
                self.start_at.get_or_insert(SystemClock.steady() + AGAIN_AFTER);
            }
            return Ok(());
        }
        if self.start_at.is_some_and(|at| at <= SystemClock.steady()) {
            self.start_at = None;
            self.start()?;
        }
        Ok(())
    }

    fn tell(&self, witness: &Witness, status: ExitStatus) {
        let (process, code, signal) = (self.process(), status.code(), status.signal());
        witness.see(Event::Exited { process, code, signal });
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _it_may_have_ended = child.kill();
            let _reaped = child.wait();
        }
    }
}
