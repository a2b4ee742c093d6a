//! Where things are in Redis.
//!
//! Every key starts with one prefix, `{ts:NAMESPACE:PARTITION}:`. The braces are a hash tag: all
//! keys of a partition share a slot, so that one script may touch them. Ids and names hold no
//! control characters, so tab and line break separate fields without escapes.
//!
//! Nothing is ever kept under the prefix itself. Each script names it as its first key, so while a
//! slot moves the server that gives it away finds a key missing and refuses the whole script, and
//! the one that takes it sends callers back: no script runs on half of a partition.
//!
//! | key | kind | holds |
//! |---|---|---|
//! | `rec` | hash | task → header, line break, spec as JSON; written once |
//! | `st` | hash | task → fence, `paused_at`, `planned_at`, attempts, crashes, `x` if its expiry was cleared, errors as JSON; only where that differs from a task never claimed |
//! | `due:PRIORITY:QUEUE` | sorted set | ordinary lane: task by `run_at` |
//! | `sp:NAME` | sorted set | special lane: the same; NAME is queue, priority, rank, callback; rank 0, 1, 2 for 4, 3, 2 crashes, 3 for parked tasks |
//! | `special` | sorted set | names of the special lanes that are not empty |
//! | `paused`, `held` | sorted set | tasks that stand in no lane, by `run_at` |
//! | `running` | hash | task → claim, `run_at` of its run, padding of some |
//! | `claim:CLAIM` | hash | `ids` → tasks that the claim took, a tab around each; `left` → how many of them it holds, those that were replaced or removed and run on included |
//! | `leases`, `lease` | sorted set, hash | claim by lease end; claim → node, process, kind, length, grace, last renewal, fence |
//! | `ghost` | hash | task that was replaced or removed while it ran → claim that has not let go |
//! | `asked` | hash | running task → cancel, pause, planned time asked for meanwhile |
//! | `stop:CLAIM`, `stopping` | hash, set | task → why its run is to stop; the claims that have any |
//! | `ended_claims` | sorted set | claims that ended lately, by when |
//! | `expires` | sorted set | tasks never claimed that expire, by when |
//! | `fin`, `ended:STATE` | hash, sorted set | ended task → state, `finished_at`, `run_at`; by when it is pruned |
//! | `res` | hash | task → what its last completed run gave back |
//! | `watched` | sorted set | tasks that somebody waits for, until when |
//! | `group:GROUP` | set | tasks of a group |
//! | `uniq` | hash | unique key → live task |
//! | `corrupt` | sorted set | tasks whose records cannot be read, by when that was met |
//! | `queues`, `qpaused` | set | queues ever used; paused ones |
//! | `counts` | hash | queue and state → how many tasks no lane counts |
//! | `nodes`, `beats` | hash, sorted set | node → process and what it tells; by last beat |
//! | `waiting:QUEUE`, `wants` | sorted set, hash | processes that wait for hints, by when they wake anyway; → their queues and callbacks |
//! | `leader` | hash | node, process, term and its end; who is barred; where the audit stands |
//! | `isolate` | string | process that becomes idle for a suspect, and since when |
//! | `mark` | string | empty; written by each call that waits for replicas, for a minute |
//! | `schema` | string | version of all this; behind a slash, if they are several, how many partitions the namespace has |

use crate::domain::id::Namespace;
use crate::domain::id::ProcessId;
use crate::store::Error;

/// Version of the layout that this build reads and writes.
pub(super) const SCHEMA: u32 = 1;

/// What all keys of a partition of a namespace start with.
pub(super) fn prefix(namespace: &Namespace, partition: usize) -> String {
    format!("{{ts:{namespace}:{partition}}}:")
}

/// What is noted of a namespace in so many partitions.
pub(super) fn layout(partitions: usize) -> String {
    if partitions == 1 { SCHEMA.to_string() } else { format!("{SCHEMA}/{partitions}") }
}

/// Why a namespace that is noted as `found` cannot be used as one in so many partitions.
pub(super) fn refused(found: &str, partitions: usize) -> Error {
    let (schema, there) = found.split_once('/').unwrap_or((found, "1"));
    if schema != SCHEMA.to_string() {
        return Error::Schema { found: found.into(), wanted: SCHEMA };
    }
    Error::Unusable {
        problem: format!(
            "the namespace was made with partitions={there} and is opened with \
             partitions={partitions}; add ?partitions={there} to a redis+cluster:// URL, or use \
             another namespace"
        ),
    }
}

/// The key of the mark of calls that wait for replicas.
pub(super) fn mark(prefix: &str) -> String {
    format!("{prefix}mark")
}

/// The channel on which a process hears hints.
pub(super) fn wake_channel(prefix: &str, process: &ProcessId) -> String {
    format!("{prefix}wake:{process}")
}
