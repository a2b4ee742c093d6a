//! One seed from its first to its last moment.

use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use taskshed::Scheduler;
use taskshed::clock::Clock;
use taskshed::domain::id::QueueName;
use taskshed::domain::id::TaskId;
use taskshed::domain::state::TaskState;
use taskshed::domain::task::TaskRecord;
use taskshed::domain::time::Moment;
use taskshed::store::Filter;
use taskshed::store::Gate;
use taskshed::store::List;
use taskshed::store::Options;
use taskshed::store::PAGE_MAX;
use taskshed::store::Store;
use taskshed::store::Target;
use taskshed::store::Tasks;
use taskshed::store::memory::MemoryStore;
use tokio::task::JoinSet;

use crate::actor::Outside;
use crate::call::now;
use crate::checker::history::Event;
use crate::checker::history::Line;
use crate::checker::history::Setting;
use crate::client::Client;
use crate::clocks::MachineClock;
use crate::dice::Dice;
use crate::faults::Nemesis;
use crate::flaw::Flaw;
use crate::link::Link;
use crate::log::Log;
use crate::missing::Missing;
use crate::plan::Plan;
use crate::process::Machine;
use crate::process::Place;
use crate::process::QUEUES;
use crate::room::Room;
use crate::server::Lost;
use crate::server::Server;
use crate::witness;
use crate::world::World;

/// How long a cluster without faults may take to do what is left.
const SETTLED_WITHIN: Duration = Duration::from_secs(240);

/// What is further off in the end than this, because a clock was set, is not waited for.
const FAR_OFF: Duration = Duration::from_secs(20);

/// How long nodes may take to leave.
const LEFT_WITHIN: Duration = Duration::from_secs(60);

/// What happened under a seed.
pub(crate) struct History {
    pub(crate) lines: Vec<Line>,
    /// What the store lost of what it had acknowledged.
    pub(crate) lost: Lost,
    pub(crate) plan: Plan,
}

/// Plays a seed.
pub(crate) fn run(seed: u64, missing: Missing) -> History {
    let plan = Plan::of(seed, missing);
    let mut dice = Dice::of(!seed);
    let world_dice = Dice::of(dice.roll());
    World::run(world_dice, |world| play(world, plan, dice))
}

async fn play(world: Arc<World>, plan: Plan, mut dice: Dice) -> History {
    let log = Log::new(&world);
    log.write(Event::Setting(setting(&plan)));
    if plan.is_tight() {
        let _never_over = log.begin("little_room", None);
    }
    let (room, outside) = (Room::new(&log), Outside::default());
    let store_clock = Arc::new(MachineClock::right(&world));
    let shared: Arc<dyn Clock> = Arc::clone(&store_clock) as _;
    let server = MemoryStore::new(shared, Options::default());
    let server = Arc::new(Server::new(server, Flaw::new(plan.missing)));
    let link = |dice: &mut Dice| Link::new(&world, &server, plan.patience, Dice::of(dice.roll()));

    let mut nodes = JoinSet::new();
    let mut machines = Vec::new();
    for number in 0..plan.nodes {
        let clock = any_clock(&world, plan.drift_ppm, &mut dice);
        let place =
            Place { link: link(&mut dice), clock, room: room.clone(), outside: outside.clone() };
        let machine = Machine::new(&plan, number, place, &log, &world);
        nodes.spawn(Arc::clone(&machine).run());
        machines.push(machine);
    }
    let mut clients = JoinSet::new();
    let mut links = Vec::new();
    for number in 0..plan.clients {
        let (name, link) = (format!("c{number}"), link(&mut dice));
        let store = link.store(&log, &name);
        let clock: Arc<dyn Clock> = Arc::new(MachineClock::right(&world));
        let mut client = Client::new(&name, store, clock, plan.clone(), Dice::of(dice.roll()));
        clients.spawn(async move { client.work().await });
        links.push(link);
    }
    let nemesis = Nemesis {
        world: Arc::clone(&world),
        log: log.clone(),
        server: Arc::clone(&server),
        store_clock,
        machines: machines.clone(),
        links,
        plan: plan.clone(),
        dice: Dice::of(dice.roll()),
    };
    nemesis.rage().await;
    while clients.join_next().await.is_some() {}

    let closer = Closer::new(&world, &log, &link(&mut dice), server, dice.roll());
    closer.settle().await;
    closer.dump(&log);
    for machine in &machines {
        machine.close();
    }
    let all_leave = async { while nodes.join_next().await.is_some() {} };
    tokio::select! {
        biased;
        () = all_leave => {}
        () = world.sleep(LEFT_WITHIN) => {}
    }
    closer.clear(&log).await;
    History { lines: log.take(), lost: closer.server.lost(), plan }
}

fn setting(plan: &Plan) -> Setting {
    Setting {
        format: 1,
        store: "memory".into(),
        scenario: "simulation".into(),
        seed: plan.seed,
        lease_us: u64::try_from(plan.lease.as_micros()).unwrap_or(0),
        term_us: 10_000_000,
    }
}

/// A clock that is a little fast or slow, and set a little wrong.
fn any_clock(world: &Arc<World>, drift_ppm: u32, dice: &mut Dice) -> MachineClock {
    let booted = Duration::from_secs(1 + dice.below(1000) as u64);
    let width = usize::try_from(2 * drift_ppm + 1).unwrap_or(1);
    let fast_ppm = i64::try_from(dice.below(width)).unwrap_or(0) - i64::from(drift_ppm);
    let ahead_us = i64::try_from(dice.below(4_000_000)).unwrap_or(0) - 2_000_000;
    MachineClock::new(world, booted, fast_ppm, ahead_us)
}

/// Sees to it that a cluster comes to rest, and looks at what is left.
struct Closer {
    world: Arc<World>,
    server: Arc<Server>,
    scheduler: Scheduler,
}

impl Closer {
    fn new(
        world: &Arc<World>,
        log: &Log,
        link: &Arc<Link>,
        server: Arc<Server>,
        seed: u64,
    ) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(MachineClock::right(world));
        let store: Arc<dyn Store> = link.store(log, "closer");
        let scheduler = Scheduler::with(store, clock, StdRng::seed_from_u64(seed));
        Self { world: Arc::clone(world), server, scheduler }
    }

    /// Opens what is closed, ends what would go on for ever, and waits until nothing is left to do.
    async fn settle(&self) {
        for queue in QUEUES {
            let queue = QueueName::parse(queue).expect("a word is a name");
            self.scheduler.set_queue(&queue, Gate::Open).await.expect("the network is fair");
        }
        let until = self.world.now() + SETTLED_WITHIN;
        while self.world.now() < until {
            let live = self.live();
            if live.is_empty() {
                return;
            }
            let some = |keep: fn(&TaskRecord) -> bool| -> Vec<TaskId> {
                live.iter().filter(|task| keep(task)).map(|task| task.id.clone()).collect()
            };
            let paused = some(|task| task.paused_at.is_some());
            if !paused.is_empty() {
                self.scheduler.resume(Target::Ids(paused)).await.expect("the network is fair");
            }
            let endless = some(|task| task.spec.schedule.is_recurring());
            if !endless.is_empty() {
                let endless = Target::Ids(endless);
                self.scheduler.cancel(endless).await.expect("the network is fair");
            }
            let soon = now(self.server.store().now()).plus(FAR_OFF);
            let far: Vec<TaskId> =
                live.iter().filter(|task| task.run_at > soon).map(|task| task.id.clone()).collect();
            if !far.is_empty() {
                let (far, at_once) = (Target::Ids(far), Moment::In(Duration::ZERO));
                self.scheduler.reschedule(far, at_once).await.expect("the network is fair");
            }
            self.world.sleep(Duration::from_secs(1)).await;
        }
    }

    fn all(&self) -> Vec<TaskRecord> {
        let list = List { filter: Filter::default(), limit: PAGE_MAX, cursor: None };
        now(self.server.store().list(&list)).tasks
    }

    fn live(&self) -> Vec<TaskRecord> {
        let mut tasks = self.all();
        tasks.retain(|task| matches!(task.state, TaskState::Scheduled | TaskState::Running));
        tasks
    }

    fn dump(&self, log: &Log) {
        let tasks = self.all().iter().map(witness::kept).collect();
        let now = now(self.server.store().now()).as_us();
        log.write(Event::Dumped { now, tasks });
    }

    /// Removes every task, and tells what is left then.
    async fn clear(&self, log: &Log) {
        let ids: Vec<TaskId> = self.all().into_iter().map(|task| task.id).collect();
        for some in ids.chunks(500) {
            self.scheduler.remove(Target::Ids(some.to_vec())).await.expect("the network is fair");
        }
        let stats = now(self.server.store().stats());
        let mut names = Vec::new();
        for queue in stats.queues {
            let count = queue.scheduled.iter().sum::<u64>()
                + queue.held
                + queue.parked
                + queue.suspects
                + queue.running
                + queue.completed
                + queue.dead
                + queue.cancelled
                + queue.expired;
            if count > 0 {
                names.push(format!("{count} tasks of {}", queue.queue));
            }
        }
        log.write(Event::Left { names });
    }
}
