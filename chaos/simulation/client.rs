//! Clients: they add tasks and change their minds.

use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use taskshed::Scheduler;
use taskshed::Task;
use taskshed::clock::Clock;
use taskshed::domain::id::GroupId;
use taskshed::domain::id::QueueName;
use taskshed::domain::id::TaskId;
use taskshed::domain::retry::Backoff;
use taskshed::domain::task::Priority;
use taskshed::domain::time::Moment;
use taskshed::store::Existing;
use taskshed::store::Gate;
use taskshed::store::Store;
use taskshed::store::Target;

use crate::actor::Mishap;
use crate::actor::Role;
use crate::dice::Dice;
use crate::plan::Plan;
use crate::process::CALLBACKS;
use crate::process::QUEUES;

/// A program that uses the cluster.
pub(crate) struct Client {
    name: String,
    scheduler: Scheduler,
    clock: Arc<dyn Clock>,
    dice: Dice,
    /// Ids that it chose, or was given.
    known: Vec<TaskId>,
    recurring: usize,
    plan: Plan,
    count: usize,
}

/// Most recurring tasks of one client, so that they do not crowd the others out.
const RECURRING_MAX: usize = 2;

/// How long tasks that are to be there in the end are kept; the store's clock may jump by an hour.
const KEPT: Duration = Duration::from_secs(36_000);

const GROUPS: [&str; 2] = ["g1", "g2"];

const KEYS: [&str; 3] = ["k1", "k2", "k3"];

impl Client {
    pub(crate) fn new(
        name: &str,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        plan: Plan,
        mut dice: Dice,
    ) -> Self {
        let name = name.to_owned();
        let rng = StdRng::seed_from_u64(dice.roll());
        let scheduler = Scheduler::with(store, Arc::clone(&clock), rng);
        Self { name, scheduler, clock, dice, known: Vec::new(), recurring: 0, plan, count: 0 }
    }

    /// Works for as long as planned.
    pub(crate) async fn work(&mut self) {
        let (every, until) = (self.plan.call_every, self.plan.length);
        while self.clock.steady() < until {
            let pause = every * self.small(200) / 100;
            self.clock.sleep(pause).await;
            if self.dice.chance(65) || self.known.is_empty() {
                self.add().await;
            } else {
                self.change().await;
            }
        }
    }

    /// A number below `count`, which is small.
    fn small(&mut self, count: usize) -> u32 {
        u32::try_from(self.dice.below(count)).unwrap_or(0)
    }

    async fn add(&mut self) {
        let count = if self.dice.chance(75) { 1 } else { 2 + self.dice.below(4) };
        let mut tasks = Vec::new();
        let mut ids: Vec<TaskId> = Vec::new();
        for _ in 0..count {
            let (id, task) = self.task();
            if let Some(id) = id {
                if ids.contains(&id) {
                    continue;
                }
                ids.push(id);
            }
            tasks.push(task);
        }
        let existing = if self.dice.chance(80) { Existing::Replace } else { Existing::Keep };
        if let Ok(added) = self.scheduler.add_all(tasks, existing).await {
            ids.extend(added.into_iter().map(|added| added.task_id));
        }
        for id in ids {
            if !self.known.contains(&id) {
                self.known.push(id);
            }
        }
    }

    /// A task of some kind, and its id if that is chosen.
    fn task(&mut self) -> (Option<TaskId>, Task) {
        let dice = &mut self.dice;
        let mut role = Role { ms: dice.pick(&[0, 5, 50, 300, 1500, 4000]), ..Role::default() };
        role.deaf = dice.chance(10);
        if dice.chance(30) {
            role.fails = dice.pick(&[1, 2, 3]);
            role.how = dice.pick(&[
                Mishap::Retry,
                Mishap::Retry,
                Mishap::Snooze,
                Mishap::Dead,
                Mishap::Panic,
            ]);
        }
        role.kills = self.plan.has_killers && dice.chance(3);
        let callback = if dice.chance(5) { CALLBACKS[2] } else { CALLBACKS[dice.below(2)] };
        let mut task = Task::new(callback, &role).expect("a role is an object");

        let id = (dice.chance(80)).then(|| {
            let may_come_again = !self.plan.goes_back() && !self.known.is_empty();
            let again = dice.chance(10) && may_come_again;
            if again {
                return dice.pick(&self.known);
            }
            self.count += 1;
            TaskId::parse(&format!("{}-{}", self.name, self.count)).expect("an id")
        });
        if let Some(id) = &id {
            task = task.id(id.as_str());
        }
        (id, self.shaped(task))
    }

    fn shaped(&mut self, mut task: Task) -> Task {
        let dice = &mut self.dice;
        let millis = |ms: usize| Duration::from_millis(ms as u64);
        let base = millis(100 + dice.below(900));
        let cap = Duration::from_secs(3);
        task = task.backoff(Backoff { base, factor: 2.0, cap, jitter: 0.2 });
        task = task.max_attempts(dice.pick(&[1, 2, 3, 4]));
        task = task.queue(dice.pick(&QUEUES)).priority(dice.pick(&Priority::ALL));
        if dice.chance(40) {
            task = task.run_in(millis(dice.below(8000)));
        }
        if self.recurring < RECURRING_MAX && dice.chance(15) {
            self.recurring += 1;
            task = task.every(millis(dice.pick(&[500, 1000, 3000])));
            if self.plan.catches_up && dice.chance(60) {
                task = task.catch_up();
            }
        }
        if dice.chance(30) {
            task = task.exclusive();
        }
        // A history does not tell when a task expires, and so not when its key is free, nor why what
        // was handed back does not run.
        if dice.chance(20) {
            task = task.unique_key(dice.pick(&KEYS));
        } else if self.plan.is_tight() && dice.chance(5) {
            task = task.expires_in(millis(500 + dice.below(5000)));
        }
        if dice.chance(20) {
            task = task.group(dice.pick(&GROUPS));
        }
        if self.plan.goes_back() || dice.chance(30) {
            task = task.retention(KEPT);
        }
        if dice.chance(5) {
            task = task.paused();
        }
        task
    }

    async fn change(&mut self) {
        let dice = &mut self.dice;
        if self.plan.has_gates && dice.chance(8) {
            let queue = QueueName::parse(dice.pick(&QUEUES)).expect("a word is a name");
            let gate = if dice.chance(40) { Gate::Paused } else { Gate::Open };
            let _it_is_opened_in_the_end = self.scheduler.set_queue(&queue, gate).await;
            return;
        }
        let target = if dice.chance(15) {
            Target::Group(GroupId::parse(dice.pick(&GROUPS)).expect("a word is an id"))
        } else {
            let first = dice.below(self.known.len());
            // Mostly of late: those are still there.
            let from =
                self.known.len().saturating_sub(8).max(if dice.chance(70) { 0 } else { first });
            let ids: Vec<TaskId> =
                (0..=dice.below(3)).map(|_| dice.pick(&self.known[from..])).collect();
            Target::Ids(ids)
        };
        let what = dice.below(100);
        let later = Duration::from_millis(dice.below(5000) as u64);
        let scheduler = &self.scheduler;
        let _told_by_the_history = match what {
            0..25 => scheduler.pause(target).await,
            25..55 => scheduler.resume(target).await,
            55..70 => scheduler.cancel(target).await,
            70..80 => scheduler.retry(target).await,
            80..90 => scheduler.remove(target).await,
            _ => scheduler.reschedule(target, Moment::In(later)).await,
        };
    }
}
