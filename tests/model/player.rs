//! Plays steps: turns them into calls by what is known so far.

use std::sync::Arc;
use std::time::Duration;

use taskshed::domain::draft::Task;
use taskshed::domain::id::Callback;
use taskshed::domain::id::ClaimId;
use taskshed::domain::id::NodeName;
use taskshed::domain::id::ProcessId;
use taskshed::domain::id::QueueName;
use taskshed::domain::id::RequestId;
use taskshed::domain::id::TaskId;
use taskshed::domain::json::Json;
use taskshed::domain::retry::Jitter;
use taskshed::domain::state::Deciding;
use taskshed::domain::state::Outcome;
use taskshed::domain::state::decide;
use taskshed::domain::state::decide_reclaim;
use taskshed::domain::task::Priority;
use taskshed::domain::time::Moment;
use taskshed::domain::time::Timestamp;
use taskshed::store::AckItem;
use taskshed::store::Action;
use taskshed::store::Add;
use taskshed::store::Beat;
use taskshed::store::Campaign;
use taskshed::store::Change;
use taskshed::store::Claim;
use taskshed::store::Existing;
use taskshed::store::Fetch;
use taskshed::store::Gate;
use taskshed::store::Holder;
use taskshed::store::HolderKind;
use taskshed::store::Keep;
use taskshed::store::LeaseView;
use taskshed::store::Led;
use taskshed::store::Look;
use taskshed::store::Maintain;
use taskshed::store::Mandate;
use taskshed::store::Reclaim;
use taskshed::store::ReclaimItem;
use taskshed::store::Resign;
use taskshed::store::Scope;
use taskshed::store::SuspectRoom;
use taskshed::store::Target;
use taskshed::store::TaskRecord;

use crate::call::Call;
use crate::call::Reply;
use crate::step::Act;
use crate::step::Aim;
use crate::step::Asking;
use crate::step::Beating;
use crate::step::End;
use crate::step::Shape;
use crate::step::Wish;

/// How many of the last calls, runs and claims are remembered.
const REMEMBERED: usize = 20;

/// What the callers of a store know.
#[derive(Debug, Default)]
pub(crate) struct Player {
    count: u64,
    calls: Vec<Call>,
    runs: Vec<TaskRecord>,
    claims: Vec<ClaimId>,
    mandate: Option<Mandate>,
    seen: Vec<Reclaim>,
}

impl Player {
    /// The call of an act, if it makes one.
    pub(crate) fn call(&mut self, act: &Act, now: Timestamp) -> Option<Call> {
        self.count += 1;
        Some(match act {
            Act::Pass(_) | Act::Back(_) | Act::Move => return None,
            Act::Late(back) => last(&self.calls, *back)?.clone(),
            Act::Add { tasks, keep } => Call::Add(Add {
                request: RequestId::parse(&format!("r{}", self.count)).unwrap(),
                tasks: tasks.iter().map(|shape| planned(shape, now)).collect(),
                existing: if *keep { Existing::Keep } else { Existing::Replace },
            }),
            Act::Claim(wish) => Call::Claim(claim(wish, self.count)),
            Act::Keep { node, claims, beat } => Call::Keep(Keep {
                beat: beat.map(|kind| beating(*node, kind)),
                claims: claims.iter().filter_map(|at| last(&self.claims, *at).cloned()).collect(),
                ttl: Duration::from_secs(10),
            }),
            Act::Ack(ends) => {
                let items = ends
                    .iter()
                    .filter_map(|(at, end)| Some(ack(last(&self.runs, *at)?, *end, now)));
                Call::Ack(items.collect())
            }
            Act::Change { target, action } => Call::Change(change(target, *action, now)),
            Act::Gate { queue, open } => {
                Call::Gate(queue_name(*queue), if *open { Gate::Open } else { Gate::Paused })
            }
            Act::Stand(node) => Call::Campaign(Campaign {
                node: node_name(*node),
                process: process(*node, false),
                ttl: Duration::from_secs(10),
            }),
            Act::Resign(node) => {
                Call::Resign(Resign { process: node.map(|node| process(node, false)) })
            }
            Act::Look(at) => {
                Call::Look(Look { mandate: self.mandate.clone()?, scope: self.scope(*at) })
            }
            Act::Reclaim(at) => Call::Reclaim(last(&self.seen, *at)?.clone()),
            Act::Maintain(limit) => {
                Call::Maintain(Maintain { mandate: self.mandate.clone()?, limit: *limit })
            }
            Act::Watch { id, ms } => Call::Fetch(Fetch {
                ids: vec![task_id(*id)],
                watch: Some(Duration::from_millis(*ms)),
            }),
        })
    }

    fn scope(&self, at: Option<usize>) -> Scope {
        match at.and_then(|at| last(&self.claims, at)) {
            Some(claim) => Scope::Claims(vec![claim.clone()]),
            None => Scope::All { skip: 0 },
        }
    }

    /// Learns from a reply.
    pub(crate) fn learn(&mut self, call: &Call, reply: &Reply, now: Timestamp) {
        remember(&mut self.calls, call.clone());
        match reply {
            Reply::Claimed(claimed) => {
                for task in &claimed.tasks {
                    remember(&mut self.runs, task.clone());
                    let claim = &task.lease.as_ref().unwrap().claim_id;
                    if self.claims.last() != Some(claim) {
                        remember(&mut self.claims, claim.clone());
                    }
                }
            }
            Reply::Leading(leading) => {
                if let Some(leader) = &leading.leader {
                    let (process, term) = (leader.process.clone(), leader.term);
                    self.mandate = Some(Mandate { process, term });
                }
            }
            Reply::Seen(Led::Done(looked)) => {
                let Some(mandate) = self.mandate.clone() else { return };
                for view in looked.leases.iter().filter(|view| view.expires_at <= now) {
                    remember(&mut self.seen, reclaim(view, mandate.clone(), now));
                }
            }
            _ => {}
        }
    }
}

fn remember<T>(known: &mut Vec<T>, new: T) {
    if known.len() == REMEMBERED {
        known.remove(0);
    }
    known.push(new);
}

/// One of the last ones, 0 the very last.
fn last<T>(known: &[T], back: usize) -> Option<&T> {
    let back = back.checked_rem(known.len())?;
    known.get(known.len() - 1 - back)
}

fn task_id(n: usize) -> TaskId {
    TaskId::parse(&format!("task-{n}")).unwrap()
}

fn node_name(n: usize) -> NodeName {
    NodeName::parse(&format!("node-{n}")).unwrap()
}

fn process(node: usize, anew: bool) -> ProcessId {
    ProcessId::parse(&format!("process-{node}-{}", u8::from(anew))).unwrap()
}

fn queue_name(n: usize) -> QueueName {
    QueueName::parse(["default", "mail"][n]).unwrap()
}

fn callback(n: usize) -> &'static str {
    ["noop", "resize", "upload"][n]
}

fn planned(shape: &Shape, now: Timestamp) -> taskshed::domain::task::NewTask {
    let ms = Duration::from_millis;
    let mut task = Task::new(callback(shape.callback), &serde_json::json!({ "n": shape.id }))
        .unwrap()
        .id(task_id(shape.id).as_str())
        .queue(queue_name(shape.queue).as_str())
        .priority(Priority::ALL[shape.priority])
        .run_in(ms(shape.run_in_ms))
        .retention(ms(shape.retention_ms))
        .max_attempts(shape.attempts_max);
    if let Some(group) = shape.group {
        task = task.group(&format!("group-{group}"));
    }
    if let Some(key) = shape.key {
        task = task.unique_key(&format!("key-{key}"));
    }
    if let Some(expires) = shape.expires_in_ms {
        task = task.expires_in(ms(expires));
    }
    if let Some(every) = shape.every_ms {
        task = task.every(ms(every));
    }
    if !shape.coalesce {
        task = task.catch_up();
    }
    if shape.paused {
        task = task.paused();
    }
    task.check(usize::MAX).unwrap().plan(task_id(shape.id), now).unwrap()
}

fn claim(wish: &Wish, count: u64) -> Claim {
    let both = [queue_name(0), queue_name(1)];
    let queues = match wish.queues {
        0 => both.to_vec(),
        1 => vec![queue_name(1), queue_name(0)],
        n => vec![both[n - 2].clone()],
    };
    let callbacks: Option<&[&str]> = match wish.callbacks {
        0 => Some(&["noop"]),
        1 => Some(&["noop", "upload"]),
        2 => Some(&["resize"]),
        _ => None,
    };
    let callbacks = callbacks
        .map(|names| names.iter().map(|name| Callback::parse(name).unwrap()).collect::<Arc<[_]>>());
    Claim {
        id: ClaimId::parse(&format!("c{count}")).unwrap(),
        holder: Holder {
            node: node_name(wish.node),
            process: process(wish.node, wish.anew),
            kind: if wish.remote { HolderKind::Remote } else { HolderKind::Node },
        },
        queues,
        callbacks,
        limit: wish.limit,
        ttl: Duration::from_millis(wish.ttl_ms),
        grace: Duration::from_millis(wish.ttl_ms / 2),
        ahead: Duration::from_millis(wish.ahead_ms),
        suspects: SuspectRoom { two: wish.two, three: wish.three, idle: wish.idle },
        wait: true,
    }
}

fn beating(node: usize, kind: Beating) -> Beat {
    Beat {
        node: node_name(node),
        process: process(node, matches!(kind, Beating::Anew)),
        version: "1".into(),
        queues: vec![queue_name(0)],
        callbacks: Arc::from([Callback::parse("noop").unwrap()]),
        concurrency: 8,
        running: 1,
        draining: false,
        skew_us: 12,
        leaving: matches!(kind, Beating::Leave),
    }
}

fn ack(run: &TaskRecord, end: End, now: Timestamp) -> AckItem {
    let outcome = match end {
        End::Completed(true) => Outcome::Completed(Some(Json::parse("[1.50]").unwrap())),
        End::Completed(false) => Outcome::Completed(None),
        End::Failed => Outcome::Failed("it failed".into()),
        End::Dead => Outcome::Dead("no hope".into()),
        End::Snoozed(ms) => Outcome::Snoozed(Duration::from_millis(ms)),
        End::Released => Outcome::Released,
        End::Cancelled => Outcome::Cancelled,
    };
    let lease = run.lease.clone().unwrap();
    let deciding = Deciding { now, jitter: Jitter::NONE, node: &lease.node };
    AckItem {
        claim: lease.claim_id,
        task: run.id.clone(),
        fence: lease.fence,
        spec: run.spec.clone(),
        verdict: decide(run, outcome, &deciding),
    }
}

fn change(target: &Aim, action: Asking, now: Timestamp) -> Change {
    let target = match target {
        Aim::Ids(ids) => Target::Ids(ids.iter().map(|id| task_id(*id)).collect()),
        Aim::Group(group) => Target::Group(format!("group-{group}").parse().unwrap()),
    };
    let action = match action {
        Asking::Pause => Action::Pause,
        Asking::Resume => Action::Resume,
        Asking::Cancel => Action::Cancel,
        Asking::Retry => Action::Retry,
        Asking::Remove => Action::Remove,
        Asking::RescheduleIn(ms) => Action::Reschedule(Moment::In(Duration::from_millis(ms))),
        Asking::RescheduleEach => {
            let after = |seconds| now.plus(Duration::from_secs(seconds));
            Action::RescheduleEach(vec![after(0), after(3), after(9)])
        }
    };
    Change { target, action }
}

fn reclaim(view: &LeaseView, mandate: Mandate, now: Timestamp) -> Reclaim {
    let deciding = Deciding { now, jitter: Jitter::NONE, node: &view.node };
    let items = view.tasks.iter().map(|task| ReclaimItem {
        task: task.id.clone(),
        fence: task.lease.as_ref().unwrap().fence,
        spec: task.spec.clone(),
        verdict: decide_reclaim(task, view.crashed, &deciding),
    });
    Reclaim {
        mandate,
        claim: view.claim.clone(),
        expires_at: view.expires_at,
        items: items.collect(),
    }
}
