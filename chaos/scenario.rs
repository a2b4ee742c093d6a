//! One run: a cluster, users, a fault again and again, and what the checker says of it.

use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use taskshed::Scheduler;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::domain::lease::TERM_TTL;
use taskshed::domain::state::TaskState;
use taskshed::store::Filter;
use taskshed::store::List;
use taskshed::store::PAGE_MAX;
use taskshed::store::Store;
use taskshed::store::TaskRecord;

use crate::Failure;
use crate::checker::history::Action;
use crate::checker::history::Event;
use crate::dice::Dice;
use crate::faults::Fault;
use crate::fleet::Fleet;
use crate::fleet::Kind;
use crate::fleet::Needs;
use crate::fleet::Plan;
use crate::load::Load;
use crate::load::RECURRING;
use crate::witness::Client;
use crate::witness::kept;

/// Name of the scenario that mixes all faults.
pub(crate) const RANDOM: &str = "random";

/// How long tasks may take to end when all faults are healed.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a cluster runs before the first fault.
const WARM: Duration = Duration::from_millis(1500);

/// A task whose time is further ahead got it from a clock that was moved, µs.
const AHEAD_US: i64 = 30_000_000;

/// Leases of a run, by chance.
const LEASES_MS: [u64; 3] = [1000, 1500, 2000];

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// A store of somebody else, which is spared; else one is started.
    pub(crate) url: Option<String>,
    pub(crate) seed: u64,
    pub(crate) seconds: u64,
}

impl Scenario {
    /// The faults that it mixes; none if the store has no such scenario.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let is_meant = |fault: &Fault| {
            let is_named = fault.name() == self.name;
            let is_mixed = self.name == RANDOM && !fault.needs().replica;
            let is_allowed = self.url.is_none() || fault.spares_the_store();
            (is_named || is_mixed) && is_allowed && fault.kinds().contains(&self.kind)
        };
        Fault::ALL.into_iter().filter(is_meant).collect()
    }

    /// What it needs of the store.
    pub(crate) fn needs(&self) -> Needs {
        let faults = self.faults();
        Needs {
            clock: faults.iter().any(|fault| fault.needs().clock),
            replica: faults.iter().any(|fault| fault.needs().replica),
        }
    }

    /// Runs it; its history is written to a file.
    pub(crate) async fn play(&self, history: PathBuf) -> Result<(), Failure> {
        let mut dice = Dice::of(self.seed);
        let faults = self.faults();
        if faults.is_empty() {
            return Err(format!("{} has no scenario {}; see --list", self.kind, self.name).into());
        }
        let plan = Plan {
            kind: self.kind,
            url: self.url.clone(),
            namespace: match self.url {
                Some(_) => format!("chaos-{}", std::process::id()),
                None => "default".to_owned(),
            },
            needs: self.needs(),
            scenario: self.name.clone(),
            seed: self.seed,
            lease: Duration::from_millis(dice.pick(&LEASES_MS)),
            history,
        };
        let mut fleet = Fleet::start(plan, &mut dice).await?;
        let clients: Result<Vec<_>, _> =
            (0..Load::CLIENTS).map(|n| fleet.client(&format!("client-{n}"))).collect();
        let load = Load::start(clients?, &mut dice).await;

        let end = SystemClock.steady() + Duration::from_secs(self.seconds);
        SystemClock.sleep(WARM).await;
        while SystemClock.steady() < end {
            let fault = dice.pick(&faults);
            fault.strike(&mut fleet, &mut dice).await?;
            let mut gap = Duration::from_millis(500 + dice.below(2000) as u64);
            if fault == Fault::KillLeader && self.name != RANDOM {
                // Long enough for the tasks of the dead to run again.
                gap += TERM_TTL + fleet.plan.lease * 2;
            }
            let left = end.saturating_sub(SystemClock.steady());
            SystemClock.sleep(gap.min(left)).await;
        }
        load.stop().await;
        finish(&mut fleet).await
    }
}

/// Lets all tasks end, puts down what is there, and empties the store.
async fn finish(fleet: &mut Fleet) -> Result<(), Failure> {
    let user = fleet.client("client-last")?;
    let ids: Vec<_> = (0..RECURRING).map(|n| format!("r-{n}")).collect();
    user.change(Action::Cancel, &ids, None).await;
    let patience = SystemClock.steady() + PATIENCE;
    let mut moved = HashSet::new();
    while !settle(fleet.store.as_ref(), &user, &mut moved).await? && SystemClock.steady() < patience
    {
        SystemClock.sleep(Duration::from_millis(200)).await;
    }

    let tasks = all(fleet.store.as_ref(), Filter::default()).await?.iter().map(kept).collect();
    let now = answered(|| fleet.store.now()).await?.as_us();
    fleet.witness.see(Event::Dumped { now, tasks });
    let scheduler = Scheduler::new(Arc::clone(&fleet.store));
    while scheduler.remove_all().await.is_err() && SystemClock.steady() < patience + PATIENCE {
        SystemClock.sleep(Duration::from_millis(100)).await;
    }
    // Claims whose replies were lost hold nothing, and end by themselves.
    let patience = SystemClock.steady() + TERM_TTL * 2;
    while !fleet.place.leftovers().await?.is_empty() && SystemClock.steady() < patience {
        SystemClock.sleep(Duration::from_millis(200)).await;
    }
    fleet.leave().await?;
    let names = fleet.place.leftovers().await?;
    fleet.witness.see(Event::Left { names });
    Ok(())
}

/// Calls until the store answers: connections from before a fault may be broken.
async fn answered<T, F>(call: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = taskshed::store::Result<T>>,
{
    for _ in 0..50 {
        match call().await {
            Err(error) if error.is_transient() => {
                SystemClock.sleep(Duration::from_millis(100)).await;
            }
            answer => return Ok(answer?),
        }
    }
    Ok(call().await?)
}

/// Lets go what nobody else will; answers whether all tasks have ended.
async fn settle(
    store: &dyn Store,
    user: &Client,
    moved: &mut HashSet<String>,
) -> Result<bool, Failure> {
    let state = |state| Filter { state: Some(state), ..Filter::default() };
    let waiting = all(store, state(TaskState::Scheduled)).await?;
    let running = all(store, state(TaskState::Running)).await?;
    let now = answered(|| store.now()).await?.as_us();
    let ids = |is_meant: &dyn Fn(&TaskRecord) -> bool| -> Vec<String> {
        waiting.iter().filter(|task| is_meant(task)).map(|task| task.id.to_string()).collect()
    };
    let paused = ids(&|task| task.paused_at.is_some());
    if !paused.is_empty() {
        user.change(Action::Resume, &paused, None).await;
    }
    let mut far = ids(&|task| task.run_at.as_us() > now + AHEAD_US);
    far.retain(|id| moved.insert(id.clone()));
    if !far.is_empty() {
        user.change(Action::Reschedule, &far, None).await;
    }
    let recurs = |task: &TaskRecord| task.id.as_str().starts_with("r-");
    let again: Vec<_> =
        waiting.iter().filter(|task| recurs(task)).map(|task| task.id.to_string()).collect();
    if !again.is_empty() {
        user.change(Action::Cancel, &again, None).await;
    }
    Ok(waiting.is_empty() && running.is_empty())
}

/// All tasks that match.
async fn all(store: &dyn Store, filter: Filter) -> Result<Vec<TaskRecord>, Failure> {
    let mut list = List { filter, limit: PAGE_MAX, cursor: None };
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    loop {
        let page = answered(|| store.list(&list)).await?;
        if let Some(id) = page.corrupt.first() {
            return Err(format!("the record of {id} cannot be read").into());
        }
        found.extend(page.tasks.into_iter().filter(|task| seen.insert(task.id.clone())));
        match page.next {
            Some(cursor) => list.cursor = Some(cursor),
            None => return Ok(found),
        }
    }
}

/// Where the history of a run is written.
pub(crate) fn history(folder: &Path, scenario: &Scenario) -> PathBuf {
    folder.join(format!("{}-{}-{}.jsonl", scenario.kind, scenario.name, scenario.seed))
}
