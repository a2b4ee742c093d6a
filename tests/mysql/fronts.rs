//! Busy lanes are looked at from where they were last emptied, and nothing is missed for long.

use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use taskshed::clock::Clock;
use taskshed::clock::ManualClock;
use taskshed::clock::SystemClock;
use taskshed::domain::draft::Task;
use taskshed::domain::task::Priority;
use taskshed::store::Claim;
use taskshed::store::Claimed;
use taskshed::store::Options;
use taskshed::store::Queue;
use taskshed::store::Store;
use taskshed::store::Tasks;
use taskshed::store::mysql::MysqlStore;

use super::MariadbServer;
use super::fixture::SECOND;
use super::fixture::operator;
use super::fixture::start;
use super::requests::add;
use super::requests::claim;
use super::requests::task;

/// How long a front may hide a task.
const HIDDEN: Duration = Duration::from_millis(100);

const AHEAD: Duration = Duration::from_millis(50);

/// A store whose time stands still, a minute after the first tasks fell due.
struct Busy {
    server: MariadbServer,
    store: MysqlStore,
    clock: ManualClock,
}

impl Busy {
    async fn new() -> Self {
        let server = MariadbServer::start(&[]);
        let clock = ManualClock::at(start().plus(60 * SECOND));
        let store = MysqlStore::open(&server.url(), Options::default()).unwrap();
        let store = store.with_clock(Arc::new(clock.clone()));
        store.migrate().await.unwrap();
        store.prepare().await.unwrap();
        Self { server, store, clock }
    }

    /// Adds tasks that fell due a millisecond after each other.
    async fn add(&self, prefix: &str, kind: Priority, count: usize) {
        let name = |at: usize| format!("{prefix}-{at:03}");
        let due = |at: usize| start().plus(Duration::from_millis(at as u64));
        let tasks = (0..count).map(|at| task(&name(at)).priority(kind).run_at(due(at)));
        self.store.add(&add(tasks)).await.unwrap();
    }

    async fn add_one(&self, task: Task) {
        self.store.add(&add([task])).await.unwrap();
    }

    async fn claim(&self, limit: usize) -> (Vec<String>, Claimed) {
        let claimed = self.store.claim(&wish(limit)).await.unwrap();
        (names(&claimed), claimed)
    }
}

fn wish(limit: usize) -> Claim {
    Claim { limit, ahead: AHEAD, ..claim() }
}

fn names(claimed: &Claimed) -> Vec<String> {
    claimed.tasks.iter().map(|task| task.id.to_string()).collect()
}

/// Guards T1: a task that is due runs, whatever else is due.
#[tokio::test]
async fn what_comes_before_the_front_of_a_busy_lane_is_found_in_time() {
    let busy = Busy::new().await;
    busy.add("normal", Priority::Normal, 200).await;
    assert_eq!(busy.claim(100).await.0.len(), 100);
    busy.add_one(task("early").run_at(start())).await;

    assert_eq!(busy.claim(2).await.0, ["normal-100", "normal-101"]);
    busy.clock.advance(HIDDEN);
    assert_eq!(busy.claim(2).await.0, ["early", "normal-102"]);
    assert_eq!(busy.claim(2).await.0, ["normal-103", "normal-104"]);
}

/// Guards T1: whoever finds nothing asks again in time.
#[tokio::test]
async fn a_claim_that_finds_nothing_behind_a_front_is_to_ask_again_soon() {
    let busy = Busy::new().await;
    busy.add("normal", Priority::Normal, 100).await;
    assert_eq!(busy.claim(100).await.0.len(), 100);
    busy.add_one(task("early").run_at(start())).await;
    busy.add_one(task("tomorrow").run_at(start().plus(86_400 * SECOND))).await;

    let (found, claimed) = busy.claim(2).await;
    assert!(found.is_empty() && !claimed.more);
    assert_eq!(claimed.next_run_at, Some(busy.clock.wall().plus(HIDDEN + AHEAD)));

    busy.clock.advance(HIDDEN);
    let (found, claimed) = busy.claim(2).await;
    assert_eq!(found, ["early"]);
    assert_eq!(claimed.next_run_at, Some(busy.clock.wall().plus(HIDDEN + AHEAD)));
    busy.clock.advance(2 * SECOND);
    for _ in 0..2 {
        assert_eq!(busy.claim(2).await.1.next_run_at, Some(start().plus(86_400 * SECOND)));
    }
}

/// What is added for now is seen by the next claim.
#[tokio::test]
async fn a_front_hides_nothing_that_falls_due_now() {
    let busy = Busy::new().await;
    let now = busy.clock.wall();
    let due_now = (0..100).map(|at| task(&format!("t{at}")).run_at(now.plus(AHEAD)));
    busy.store.add(&add(due_now)).await.unwrap();
    assert_eq!(busy.claim(100).await.0.len(), 100);

    busy.add_one(task("now").run_at(now)).await;

    assert_eq!(busy.claim(2).await.0, ["now"]);
}

#[tokio::test]
async fn lanes_beside_one_with_a_front_are_all_found_in_their_order() {
    let busy = Busy::new().await;
    busy.add("normal", Priority::Normal, 101).await;
    assert_eq!(busy.claim(100).await.0.len(), 100);
    busy.add("low", Priority::Low, 1).await;
    busy.add("critical", Priority::Critical, 1).await;
    busy.add("high", Priority::High, 1).await;

    let (found, _) = busy.claim(10).await;
    assert_eq!(found, ["critical-000", "high-000", "normal-100", "low-000"]);

    busy.add("later", Priority::Low, 102).await;
    assert_eq!(busy.claim(100).await.0.len(), 100);
    busy.add("next", Priority::High, 1).await;
    let (found, _) = busy.claim(3).await;
    assert_eq!(found, ["next-000", "later-100", "later-101"]);
}

/// Guards T1: what was met in a step that came to nothing is not passed by.
#[tokio::test]
async fn a_claim_that_is_taken_again_begins_where_it_began_before() {
    let busy = Busy::new().await;
    busy.add("normal", Priority::Normal, 200).await;
    assert_eq!(busy.claim(100).await.0.len(), 100);
    let wish = wish(2);
    let mut holder = operator(&busy.server).await;
    holder.query_drop("START TRANSACTION").await.unwrap();
    let lease =
        format!("INSERT INTO lease VALUES (1, '{}', 'n', 'p', 'node', 1, 1, 1, 1, 1)", wish.id);
    holder.query_drop(lease).await.unwrap();

    let (claimed, ()) = tokio::join!(busy.store.claim(&wish), async {
        SystemClock.sleep(Duration::from_millis(2500)).await;
        holder.query_drop("ROLLBACK").await.unwrap();
    });

    assert!(
        busy.store.steps().repeated > 0,
        "the lease was held for less than a row is waited for"
    );
    assert_eq!(names(&claimed.unwrap()), ["normal-100", "normal-101"]);
}

/// Guards T1: of several fronts the oldest look counts.
#[tokio::test]
async fn a_claim_is_to_ask_again_when_the_first_lane_must_be_looked_at() {
    let busy = Busy::new().await;
    busy.add("normal", Priority::Normal, 100).await;
    assert_eq!(busy.claim(100).await.0.len(), 100);
    let looked_at = busy.clock.wall();
    busy.clock.advance(Duration::from_millis(90));
    busy.add("low", Priority::Low, 100).await;
    assert_eq!(busy.claim(100).await.0.len(), 100);

    let (found, claimed) = busy.claim(2).await;

    assert!(found.is_empty());
    assert_eq!(claimed.next_run_at, Some(looked_at.plus(HIDDEN + AHEAD)));
}
