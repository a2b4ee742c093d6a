//! What is asked of a store.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::arrival::Arrival;
use crate::domain::id::Callback;
use crate::domain::id::ClaimId;
use crate::domain::id::GroupId;
use crate::domain::id::NodeName;
use crate::domain::id::ProcessId;
use crate::domain::id::QueueName;
use crate::domain::id::RequestId;
use crate::domain::id::TaskId;
use crate::domain::lease::Fence;
use crate::domain::lease::Term;
use crate::domain::state::TaskState;
use crate::domain::state::Verdict;
use crate::domain::task::NewTask;
use crate::domain::task::Spec;
use crate::domain::time::Moment;
use crate::domain::time::Timestamp;

/// What to do with a task whose id exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// The new task takes its place.
    #[default]
    Replace,
    /// The new task is dropped.
    Keep,
}

/// Tasks to be added.
#[derive(Clone, Debug)]
pub struct Add {
    /// Identity of this add, the same when it is repeated.
    pub request: RequestId,
    /// 1 to [`BATCH_MAX`](super::BATCH_MAX) tasks; no id twice.
    pub tasks: Vec<NewTask>,
    /// What to do with ids that exist.
    pub existing: Existing,
}

/// Tasks to be put there as they were in another store.
#[derive(Clone, Debug)]
pub struct Restore {
    /// Identity of this restore, the same when it is repeated.
    pub request: RequestId,
    /// 1 to [`BATCH_MAX`](super::BATCH_MAX) tasks; no id twice.
    pub tasks: Vec<Arrival>,
}

/// Tasks to be read by id.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// At most [`BATCH_MAX`](super::BATCH_MAX) ids.
    pub ids: Vec<TaskId>,
    /// Somebody waits this long for them to end.
    pub watch: Option<Duration>,
}

/// Which tasks are meant. All that is given must match.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Of this group.
    pub group: Option<GroupId>,
    /// Of this queue.
    pub queue: Option<QueueName>,
    /// In this state.
    pub state: Option<TaskState>,
    /// With this callback.
    pub callback: Option<Callback>,
}

/// One page of a listing.
#[derive(Clone, Debug)]
pub struct List {
    /// Which tasks.
    pub filter: Filter,
    /// About how many: 1 to [`PAGE_MAX`](super::PAGE_MAX).
    pub limit: usize,
    /// [`Page::next`](super::Page::next) of the page before; `None` for the first.
    pub cursor: Option<String>,
}

/// Which tasks a change is for.
#[derive(Clone, Debug)]
pub enum Target {
    /// These, at most [`BATCH_MAX`](super::BATCH_MAX).
    Ids(Vec<TaskId>),
    /// All of a group, however many.
    Group(GroupId),
}

/// What is to be done with them.
#[derive(Clone, Debug)]
pub enum Action {
    /// Not to be claimed until resumed.
    Pause,
    /// To be claimed again.
    Resume,
    /// To end.
    Cancel,
    /// To run again although it had ended.
    Retry,
    /// To run at another time.
    Reschedule(Moment),
    /// To run at these times, one per id of the target.
    RescheduleEach(Vec<Timestamp>),
    /// To be forgotten.
    Remove,
}

/// A change of tasks by a user.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which tasks.
    pub target: Target,
    /// What to do.
    pub action: Action,
}

/// Whether a queue may be claimed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It may.
    Open,
    /// It may not.
    Paused,
}

/// What kind of process holds a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HolderKind {
    /// A node, which beats.
    Node,
    /// A worker that claims over HTTP, whose lapsed lease always counts as a crash.
    Remote,
}

/// Who claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Name of the node, or the `worker` of a claim over HTTP.
    pub node: NodeName,
    /// Its present process.
    pub process: ProcessId,
    /// Node or remote worker.
    pub kind: HolderKind,
}

/// How many suspects a claimer may take, so that one of them takes few others with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SuspectRoom {
    /// Tasks with two crashes.
    pub two: usize,
    /// Tasks with three crashes.
    pub three: usize,
    /// Whether nothing runs on the claimer, so that a task with four crashes may run alone.
    pub idle: bool,
}

/// A wish for due tasks.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Identity of this claim, the same when it is repeated.
    pub id: ClaimId,
    /// Who claims.
    pub holder: Holder,
    /// Queues to serve, in this order.
    pub queues: Vec<QueueName>,
    /// Callbacks that the claimer has; `None` if it takes any.
    pub callbacks: Option<Arc<[Callback]>>,
    /// 1 to [`BATCH_MAX`](super::BATCH_MAX) tasks.
    pub limit: usize,
    /// Length of the lease.
    pub ttl: Duration,
    /// How long the leader watches the lease after its end before it reclaims it.
    pub grace: Duration,
    /// Tasks that become due within this time are taken already.
    pub ahead: Duration,
    /// Room for suspects.
    pub suspects: SuspectRoom,
    /// Whether the claimer will wait for hints if this claim does not fill it.
    pub wait: bool,
}

/// What a process tells of itself with each beat.
#[derive(Clone, Debug, PartialEq)]
pub struct Beat {
    /// Its name.
    pub node: NodeName,
    /// Its identity.
    pub process: ProcessId,
    /// Version of the program.
    pub version: String,
    /// Queues it serves.
    pub queues: Vec<QueueName>,
    /// Callbacks it has.
    pub callbacks: Arc<[Callback]>,
    /// Most tasks it runs at once.
    pub concurrency: usize,
    /// Tasks it runs.
    pub running: usize,
    /// Whether it takes no more tasks.
    pub draining: bool,
    /// How far its wall clock is ahead of the store's, µs.
    pub skew_us: i64,
    /// Whether this is its last word, so that it is forgotten at once.
    pub leaving: bool,
}

/// A beat and leases to prolong.
#[derive(Clone, Debug)]
pub struct Keep {
    /// The beat; `None` when leases of a remote worker are prolonged.
    pub beat: Option<Beat>,
    /// Claims to prolong, at most [`BATCH_MAX`](super::BATCH_MAX).
    pub claims: Vec<ClaimId>,
    /// New length of their leases, from the store's now.
    pub ttl: Duration,
}

/// The outcome of one run, decided.
#[derive(Clone, Debug)]
pub struct AckItem {
    /// The claim under which it ran.
    pub claim: ClaimId,
    /// The task.
    pub task: TaskId,
    /// Fence of the run.
    pub fence: Fence,
    /// The spec that came with the claim.
    pub spec: Arc<Spec>,
    /// What becomes of the task.
    pub verdict: Verdict,
}

/// A bid for leadership, or its renewal.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// Name of the node that stands.
    pub node: NodeName,
    /// Its process.
    pub process: ProcessId,
    /// Length of the term without renewal.
    pub ttl: Duration,
}

/// An end to leadership.
#[derive(Clone, Debug)]
pub struct Resign {
    /// The process that gives up its own term; `None` to end the term of whoever leads, who then may
    /// not stand for 5 s.
    pub process: Option<ProcessId>,
}

/// The right to act as leader, checked inside each step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mandate {
    /// The process that was elected.
    pub process: ProcessId,
    /// For this term.
    pub term: Term,
}

/// Which leases a look shows.
#[derive(Clone, Debug)]
pub enum Scope {
    /// Those whose end has passed by the store's clock, earliest end first, without their tasks.
    Expired,
    /// All after the first `skip` in the order of their ends, without their tasks.
    All {
        /// How many to pass over.
        skip: usize,
    },
    /// These, with the records of the tasks that they hold.
    Claims(Vec<ClaimId>),
}

/// A look at leases.
#[derive(Clone, Debug)]
pub struct Look {
    /// Who looks.
    pub mandate: Mandate,
    /// At which.
    pub scope: Scope,
}

/// One verdict of a reclaim.
#[derive(Clone, Debug)]
pub struct ReclaimItem {
    /// The task.
    pub task: TaskId,
    /// Fence of the run that was lost.
    pub fence: Fence,
    /// Its spec.
    pub spec: Arc<Spec>,
    /// What becomes of it.
    pub verdict: Verdict,
}

/// The end of a lease whose holder is gone.
#[derive(Clone, Debug)]
pub struct Reclaim {
    /// Who reclaims.
    pub mandate: Mandate,
    /// The lease.
    pub claim: ClaimId,
    /// Its end as it was seen twice.
    pub expires_at: Timestamp,
    /// A verdict for each of its tasks.
    pub items: Vec<ReclaimItem>,
}

/// One batch of housekeeping.
#[derive(Clone, Debug)]
pub struct Maintain {
    /// Who keeps house.
    pub mandate: Mandate,
    /// Most entries of each kind: 1 to [`BATCH_MAX`](super::BATCH_MAX).
    pub limit: usize,
}

/// A change that only the leader may make, as one step.
#[derive(Clone, Debug)]
pub struct Declare {
    /// Who declares.
    pub mandate: Mandate,
    /// What is to be so.
    pub what: Declaration,
}

/// What a leader declares.
#[derive(Clone, Debug)]
pub enum Declaration {
    /// These tasks are there, as by [`Tasks::add`](super::Tasks::add).
    Add(Add),
    /// These are gone, as by [`Action::Remove`]; at most [`BATCH_MAX`](super::BATCH_MAX).
    Remove(Vec<TaskId>),
}

impl Declaration {
    /// The change that removes these tasks.
    pub(super) fn removal(ids: &[TaskId]) -> Change {
        Change { target: Target::Ids(ids.to_vec()), action: Action::Remove }
    }
}
