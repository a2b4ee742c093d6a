//! Adds, as arguments of a script: tasks that have much in common share what they have in common.

use std::collections::HashMap;

use redis::Cmd;
use redis::RedisWrite;
use redis::ToRedisArgs;
use redis::ToSingleRedisArg;

use crate::domain::task::NewTask;
use crate::domain::task::Priority;
use crate::domain::task::Spec;
use crate::domain::time::Moment;
use crate::domain::time::Timestamp;
use crate::store::Add;
use crate::store::AddOutcome;
use crate::store::Added;
use crate::store::Existing;
use crate::store::Result;

use super::tasks::task_id;
use super::tasks::unreadable;
use super::verdict::moment;
use super::verdict::optional_moment;

/// What the tasks of a block have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Common<'a> {
    places: Places<'a>,
    expires: Option<Moment>,
    paused: Option<Moment>,
}

/// What scripts read of a spec.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Places<'a> {
    callback: &'a str,
    priority: &'static str,
    queue: &'a str,
    group: &'a str,
    unique: &'a str,
    kind: &'static str,
}

impl<'a> Places<'a> {
    pub(super) fn of(spec: &'a Spec) -> Self {
        Self {
            callback: spec.callback.as_str(),
            priority: match spec.priority {
                Priority::Critical => "0",
                Priority::High => "1",
                Priority::Normal => "2",
                Priority::Low => "3",
            },
            queue: spec.queue.as_str(),
            group: spec.group_id.as_ref().map_or("", |group| group.as_str()),
            unique: spec.unique_key.as_ref().map_or("", |key| key.as_str()),
            kind: if spec.schedule.is_recurring() { "r" } else { "o" },
        }
    }

    /// Writes callback, priority, queue, group, unique key, kind.
    pub(super) fn push(&self, call: &mut Cmd) {
        call.arg(self.callback)
            .arg(self.priority)
            .arg(self.queue)
            .arg(self.group)
            .arg(self.unique)
            .arg(self.kind);
    }
}

/// A spec as it is kept, written where it is sent from.
pub(super) struct Kept<'a>(pub(super) &'a Spec);

impl ToRedisArgs for Kept<'_> {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        serde_json::to_writer(out.writer_for_next_arg(), self.0)
            .expect("a checked spec can be written as JSON");
    }
}

impl ToSingleRedisArg for Kept<'_> {}

/// The task of an add that has only one, which needs a record and a place in a lane and nothing else.
pub(super) fn plain(add: &Add) -> Option<&NewTask> {
    let [task] = add.tasks.as_slice() else { return None };
    let spec = &task.spec;
    let is_plain = spec.group_id.is_none()
        && spec.unique_key.is_none()
        && task.expires.is_none()
        && task.paused.is_none();
    is_plain.then_some(task)
}

/// Writes what the script of single adds takes.
pub(super) fn push_plain(call: &mut Cmd, add: &Add, task: &NewTask) {
    let Places { callback, priority, queue, kind, .. } = Places::of(&task.spec);
    call.arg(task.id.as_str())
        .arg(format!("{priority}:{queue}"))
        .arg(moment(task.run_at))
        .arg(format!("{callback}\t{priority}\t{queue}\t\t\t{kind}\t"))
        .arg(add.request.as_str())
        .arg(Kept(&task.spec));
}

/// Reads when a plain task was added; `None` if it was not, because something is in its way.
pub(super) fn read_plain(answer: &str) -> Result<Option<Added>> {
    if answer.is_empty() {
        return Ok(None);
    }
    let now = answer.parse().map_err(|_| unreadable("add", answer))?;
    Ok(Some(Added { now: Timestamp::from_us(now), outcomes: vec![AddOutcome::Created] }))
}

/// Tasks of an add that are sent together, by their places in it.
struct Block<'a> {
    common: Common<'a>,
    members: Vec<usize>,
}

/// Writes what the script of adds takes; answers in which order it takes the tasks.
pub(super) fn push(call: &mut Cmd, add: &Add) -> Vec<usize> {
    let blocks = blocks(&add.tasks);
    let is_usual = blocks
        .iter()
        .all(|block| block.common.places.unique.is_empty() && block.common.paused.is_none());
    let order: Vec<usize> = blocks.iter().flat_map(|block| block.members.iter().copied()).collect();

    call.arg(add.request.as_str())
        .arg(match add.existing {
            Existing::Replace => "r",
            Existing::Keep => "k",
        })
        .arg(if is_usual { "1" } else { "" })
        .arg(order.len());
    for index in &order {
        call.arg(add.tasks[*index].id.as_str());
    }
    for block in &blocks {
        push_block(call, block, &add.tasks);
    }
    order
}

/// Sorts tasks into blocks. A unique key that one task takes or frees decides what becomes of the
/// next, so then only neighbours share a block.
fn blocks(tasks: &[NewTask]) -> Vec<Block<'_>> {
    let in_order = tasks.iter().any(|task| task.spec.unique_key.is_some());
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut known: HashMap<Common<'_>, usize> = HashMap::new();
    for (index, task) in tasks.iter().enumerate() {
        let common =
            Common { places: Places::of(&task.spec), expires: task.expires, paused: task.paused };
        let at = match blocks.last() {
            Some(last) if last.common == common => blocks.len() - 1,
            _ if in_order => blocks.len(),
            _ => *known.entry(common).or_insert(blocks.len()),
        };
        if at == blocks.len() {
            blocks.push(Block { common, members: Vec::new() });
        }
        blocks[at].members.push(index);
    }
    blocks
}

fn push_block(call: &mut Cmd, block: &Block<'_>, tasks: &[NewTask]) {
    let Block { common, members } = block;
    call.arg(members.len());
    common.places.push(call);
    call.arg(optional_moment(common.expires)).arg(optional_moment(common.paused));
    let run_ats = || members.iter().map(|index| tasks[*index].run_at);
    let first = run_ats().next();
    if run_ats().all(|run_at| Some(run_at) == first) {
        call.arg(optional_moment(first));
    } else {
        call.arg("");
        for run_at in run_ats() {
            call.arg(moment(run_at));
        }
    }
    for index in members {
        call.arg(Kept(&tasks[*index].spec));
    }
}

/// Reads when tasks were added that were sent in this order, and what became of each.
pub(super) fn read(order: &[usize], answer: &str) -> Result<Added> {
    let unreadable = || unreadable("add", answer);
    let mut parts = answer.split('\t');
    let now = parts.next().and_then(|now| now.parse().ok()).ok_or_else(unreadable)?;
    let letters = parts.next().filter(|letters| letters.len() == order.len());

    let mut outcomes = vec![AddOutcome::Created; order.len()];
    for (index, letter) in order.iter().zip(letters.ok_or_else(unreadable)?.bytes()) {
        outcomes[*index] = match letter {
            b'C' => AddOutcome::Created,
            b'R' => AddOutcome::Replaced,
            b'K' => AddOutcome::Kept,
            b'D' => {
                let holder = parts.next().ok_or_else(unreadable)?;
                AddOutcome::Duplicate(task_id("add", holder)?)
            }
            _ => return Err(unreadable()),
        };
    }
    Ok(Added { now: Timestamp::from_us(now), outcomes })
}
