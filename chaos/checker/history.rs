//! What a history says: one event a line, as `docs/reference/history.md` describes it.

use std::io;
use std::io::BufRead;
use std::io::Write;

use serde::Deserialize;
use serde::Serialize;

/// One line: somebody saw something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// When, in µs of the one steady clock that all witnesses share.
    pub(crate) at: u64,
    /// The process that saw it: a node's name and how often it was started (`a.1`), or a client.
    pub(crate) by: String,
    /// What it saw.
    #[serde(flatten)]
    pub(crate) event: Event,
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// What the history is of. The first line.
    Setting(Setting),
    /// A process of a node started, and says which version it is.
    Joined { node: String, version: String },
    /// A process ended by itself with a code, or by a signal. Who started it writes this.
    Exited { process: String, code: Option<i32>, signal: Option<i32> },
    /// A whole process stood still from one moment to another.
    Paused { process: String, from: u64, to: u64 },
    /// The handlers of a process stood still, because one of them blocked what they all run on.
    Blocked { process: String, from: u64, to: u64 },
    /// A process was told to leave in good order.
    Asked { process: String },
    /// A fault begins, or is over. One that acts on a single process names it.
    Fault { number: u64, fault: String, process: Option<String>, phase: Phase },
    /// A call is about to be sent. Numbers are unique to the process.
    Invoked { call: u64, what: Call },
    /// A call has its answer.
    Answered { call: u64, reply: Reply },
    /// A handler begins a run.
    Started(Started),
    /// A handler is still at it.
    Beat { task: String, fence: u64 },
    /// A handler has ended a run, or was stopped in it.
    Ended { task: String, fence: u64, how: End },
    /// Everything that the store holds, when all had time to settle.
    Dumped { now: i64, tasks: Vec<Kept> },
    /// What is left in the store after every task was removed and all nodes have gone.
    Left { names: Vec<String> },
}

/// What the history is of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Setting {
    /// Number of the format: 1.
    pub(crate) format: u32,
    /// Kind of the store.
    pub(crate) store: String,
    /// Name of the scenario.
    pub(crate) scenario: String,
    /// What all choices follow from.
    pub(crate) seed: u64,
    /// Length of a lease, µs.
    pub(crate) lease_us: u64,
    /// Length of a leader's term, µs.
    pub(crate) term_us: u64,
}

/// A side of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// It acts from now on.
    Begun,
    /// It is healed.
    Over,
}

/// What is asked of the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub(crate) enum Call {
    /// A client adds tasks: all, or none.
    Add { tasks: Vec<Added>, replaces: bool },
    /// A client changes tasks, by id or all of a group.
    Change { action: Action, tasks: Vec<String>, group: Option<String> },
    /// A node wants due tasks. A repeat has the same claim.
    Claim { claim: String },
    /// A node prolongs its leases.
    Keep { claims: Vec<String> },
    /// A node hands outcomes back.
    Ack { items: Vec<Acked> },
    /// A node stands for leader or renews its term.
    Campaign,
    /// A leader gives its term up, or somebody takes it from it.
    Resign,
    /// A leader takes tasks back from a lease.
    Reclaim { term: u64, claim: String, tasks: Vec<Judged> },
    /// Another duty of a leader.
    Duty { term: u64, duty: String },
}

/// A task as it is added.
#[expect(clippy::struct_excessive_bools, reason = "they are fields of a line of JSON")]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Added {
    pub(crate) task: String,
    /// Its first planned time by the store's clock, if the client chose it.
    pub(crate) run_at: Option<i64>,
    /// Between two planned times, µs; `None` if it runs once.
    pub(crate) interval_us: Option<u64>,
    /// Whether each missed planned time is to be run.
    pub(crate) catches_up: bool,
    pub(crate) max_attempts: u32,
    pub(crate) exclusive: bool,
    pub(crate) unique_key: Option<String>,
    pub(crate) group: Option<String>,
    /// How long it is kept when it has completed, µs.
    pub(crate) retention_us: u64,
    pub(crate) paused: bool,
    /// Whether its handler kills the node that runs it.
    pub(crate) kills: bool,
}

/// What a client does to tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    Pause,
    Resume,
    Cancel,
    Retry,
    Reschedule,
    Remove,
}

/// The outcome of a run as its node decided it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Acked {
    pub(crate) task: String,
    pub(crate) claim: String,
    pub(crate) fence: u64,
    pub(crate) verdict: Verdict,
}

/// The outcome that a leader decided for a task of a dead node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Judged {
    pub(crate) task: String,
    pub(crate) verdict: Verdict,
}

/// What becomes of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// Ended well.
    Completed,
    /// Gave up.
    Dead,
    /// A user ended it.
    Cancelled,
    /// Was not started in time.
    Expired,
    /// The occurrence is over; the next one follows.
    Next,
    /// The attempt failed; it runs again.
    Retry,
    /// The run asked to come again later.
    Snooze,
    /// The node gave it back.
    Release,
    /// Its lease was reclaimed; it runs again.
    Reclaim,
}

/// What a call was answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub(crate) enum Reply {
    /// Refused; nothing happened.
    Failed { error: String },
    /// No answer came. It may have happened, or may happen later.
    Unknown { error: String },
    /// One outcome per task, in order.
    Added { outcomes: Vec<Outcome> },
    /// Tasks of the call that are neither missing nor skipped are as asked.
    Changed { affected: u64, missing: Vec<String>, skipped: Vec<String> },
    /// Leased tasks.
    Claimed { now: i64, tasks: Vec<Claimed> },
    /// Claims that are lost; the others were prolonged.
    Kept { now: i64, lost: Vec<String> },
    /// Whether each outcome was accepted, in order.
    Acked { done: Vec<bool> },
    /// How many tasks were taken, if the step counts any; `None` if the term is over.
    Led { taken: Option<u64> },
    /// Who leads: the latest term, and whether it belongs to the caller.
    Leads { now: i64, term: Option<u64>, own: bool },
    /// It was done.
    Done,
}

/// What became of a task that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Created,
    Replaced,
    Kept,
    Duplicate,
}

/// A leased task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Claimed {
    pub(crate) task: String,
    pub(crate) fence: u64,
    /// Planned time that the run belongs to, by the store's clock.
    pub(crate) planned: i64,
    /// From when it may run, by the store's clock.
    pub(crate) run_at: i64,
    pub(crate) attempt: u32,
    /// Deaths of its node in a row.
    pub(crate) crashes: u32,
}

/// A run that begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) task: String,
    pub(crate) planned: i64,
    pub(crate) attempt: u32,
    pub(crate) fence: u64,
    /// Whether it ends when it is told to.
    pub(crate) stoppable: bool,
}

/// How a run came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    Completed,
    Failed,
    Snoozed,
    /// It was told to stop, or dropped.
    Stopped,
}

/// A task as the store shows it at the end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Kept {
    pub(crate) task: String,
    pub(crate) state: String,
    pub(crate) run_at: i64,
    pub(crate) paused: bool,
    pub(crate) parked: bool,
    pub(crate) attempt: u32,
    pub(crate) crashes: u32,
    pub(crate) unique_key: Option<String>,
}

/// Reads a history. A process that is killed may leave half a line, behind which another one begins; what
/// it was about to send was not sent.
pub(crate) fn read(from: impl BufRead) -> io::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (number, text) in from.lines().enumerate() {
        let text = text?;
        let behind = text.rfind(LINE_START).filter(|at| *at > 0).map(|at| &text[at..]);
        let whole = serde_json::from_str(&text);
        match behind.map(serde_json::from_str) {
            Some(Ok(line)) if whole.is_err() => lines.push(line),
            _ => lines.push(whole.map_err(|fault| {
                let problem = format!("line {}: {fault}: {text}", number + 1);
                io::Error::new(io::ErrorKind::InvalidData, problem)
            })?),
        }
    }
    Ok(lines)
}

/// How each line starts.
const LINE_START: &str = "{\"at\":";

/// Writes a line in one piece, so that lines of several writers do not mix in a file they append to.
pub(crate) fn write(line: &Line, to: &mut impl Write) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    to.write_all(&text)
}
