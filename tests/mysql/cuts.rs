//! A connection that ends at each statement of each step, one after the other.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

use serde_json::json;
use taskshed::clock::Clock;
use taskshed::clock::ManualClock;
use taskshed::domain::draft::Task;
use taskshed::domain::retry::Jitter;
use taskshed::domain::state::Deciding;
use taskshed::domain::state::TaskState;
use taskshed::domain::state::decide_reclaim;
use taskshed::domain::time::Timestamp;
use taskshed::store::Acked;
use taskshed::store::Action;
use taskshed::store::Change;
use taskshed::store::Claim;
use taskshed::store::Error;
use taskshed::store::Keep;
use taskshed::store::Leadership;
use taskshed::store::LeaseView;
use taskshed::store::Led;
use taskshed::store::Look;
use taskshed::store::Maintain;
use taskshed::store::Mandate;
use taskshed::store::Options;
use taskshed::store::Queue;
use taskshed::store::Reclaim;
use taskshed::store::ReclaimItem;
use taskshed::store::Scope;
use taskshed::store::Store;
use taskshed::store::Target;
use taskshed::store::TaskRecord;
use taskshed::store::Tasks;
use taskshed::store::mysql::MysqlStore;

use super::MariadbServer;
use super::cutter::Cutter;
use super::cutter::Side;
use super::fixture::SECOND;
use super::fixture::ready;
use super::fixture::start;
use super::requests::add;
use super::requests::beat;
use super::requests::claim;
use super::requests::completed;
use super::requests::failed;
use super::requests::id;
use super::requests::standing;
use super::requests::task;

/// Guards T1, T3, T5 and T6: whatever statement a connection ends at, and whether it was heard or
/// not, the repeat of the step finds what there is, and all is as if nothing had happened.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_may_end_at_any_statement() {
    let server = Arc::new(MariadbServer::start(&[]));
    ready(&server).await;
    for side in [Side::Before, Side::After] {
        let cuts = cut_all(&server, side).await;
        assert!(cuts > 100, "only {cuts} statements were cut");
    }
}

/// Lives once for each statement of a life, and answers how many there are.
async fn cut_all(server: &Arc<MariadbServer>, side: Side) -> usize {
    for at in 1.. {
        let cutter = Cutter::open(server, at, side).await;
        let namespace = format!("{side:?}-{at}").to_lowercase().parse().unwrap();
        let options = Options { namespace, ..Options::default() };
        let clock = ManualClock::at(start());
        let store = MysqlStore::open(cutter.url(), options).unwrap();
        let store = store.with_clock(Arc::new(clock.clone()));
        live(&store, &clock).await;
        if !cutter.has_cut() {
            return at - 1;
        }
    }
    unreachable!("a life has an end")
}

/// The same call again until it is answered; a connection ends once, so a few times are enough.
async fn settled<T: Debug, F: Future<Output = Result<T, Error>>>(call: impl Fn() -> F) -> T {
    for _ in 0..4 {
        match call().await {
            Ok(reply) => return reply,
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
    }
    panic!("it is never answered");
}

/// A claim of what is due. While the server takes back what a lost connection had begun, the rows
/// are held: a claim passes them by, and says that there is more.
async fn claimed(store: &MysqlStore) -> (Claim, Vec<TaskRecord>) {
    loop {
        let wish = claim();
        let claimed = settled(|| store.claim(&wish)).await;
        if !claimed.tasks.is_empty() || !claimed.more {
            return (wish, claimed.tasks);
        }
    }
}

/// All that happens to tasks.
async fn live(store: &MysqlStore, clock: &ManualClock) {
    settled(|| store.prepare()).await;
    run_and_retry(store).await;
    change(store).await;
    crash(store, clock).await;
}

async fn run_and_retry(store: &MysqlStore) {
    let draft = Task::new("noop", &json!({ "n": 1 })).unwrap().id("again");
    let adding = add([task("a").unique_key("k").group("g"), task("b"), draft.max_attempts(2)]);
    let added = settled(|| store.add(&adding)).await;
    assert_eq!(added.outcomes.len(), 3);

    let (wish, runs) = claimed(store).await;
    assert_eq!(runs.len(), 3, "a repeated claim answers what it took");
    let keep = Keep { beat: Some(beat("node-a")), claims: vec![wish.id.clone()], ttl: 10 * SECOND };
    let kept = settled(|| store.keep(&keep)).await;
    assert!(kept.lost.is_empty() && kept.stop.is_empty());

    let items: Vec<_> = runs.iter().map(outcome).collect();
    let acked = settled(|| store.ack(&items)).await;
    // A repeat whose first answer was lost is stale as a whole.
    assert!(acked.windows(2).all(|pair| pair[0] == pair[1]), "{acked:?}");
    let again = settled(|| store.ack(&items)).await;
    assert_eq!(again, [Acked::Stale; 3]);

    let [a, b, again] = shown(store, ["a", "b", "again"]).await;
    assert!(a.is_none() && b.is_none(), "without a retention they are gone");
    let again = again.unwrap();
    assert_eq!((again.state, again.attempt), (TaskState::Scheduled, 1));
    // The key is free, and the claim has no lease any more.
    let next = add([task("a2").unique_key("k")]);
    settled(|| store.add(&next)).await;
    let repeated = settled(|| store.claim(&wish)).await;
    assert!(repeated.tasks.is_empty(), "{repeated:?}");
}

fn outcome(task: &TaskRecord) -> taskshed::store::AckItem {
    if task.id.as_str() == "again" { failed(task) } else { completed(task) }
}

async fn change(store: &MysqlStore) {
    let ask = |action: Action, name: &str| Change { target: Target::Ids(vec![id(name)]), action };
    let pause = ask(Action::Pause, "a2");
    settled(|| store.change(&pause)).await;
    let wish = claim();
    assert!(settled(|| store.claim(&wish)).await.tasks.is_empty(), "it is paused");
    let resume = ask(Action::Resume, "a2");
    settled(|| store.change(&resume)).await;
    let (wish, run) = claimed(store).await;
    assert_eq!(run.len(), 1);
    let cancel = ask(Action::Cancel, "a2");
    settled(|| store.change(&cancel)).await;
    let keep = Keep { beat: None, claims: vec![wish.id.clone()], ttl: 10 * SECOND };
    assert_eq!(settled(|| store.keep(&keep)).await.stop.len(), 1);
    let remove = ask(Action::Remove, "a2");
    settled(|| store.change(&remove)).await;
    let items = [completed(&run[0])];
    assert_eq!(settled(|| store.ack(&items)).await, [Acked::Stale]);
    assert!(shown(store, ["a2"]).await[0].is_none());
}

/// A node dies, and the leader gives its task back.
async fn crash(store: &MysqlStore, clock: &ManualClock) {
    let adding = add([task("lost").retention(5 * SECOND)]);
    settled(|| store.add(&adding)).await;
    let (wish, runs) = claimed(store).await;
    assert!(runs.iter().any(|run| run.id.as_str() == "lost"));
    clock.advance(11 * SECOND);
    let mandate = lead(store).await;
    let look = Look { mandate: mandate.clone(), scope: Scope::Claims(vec![wish.id.clone()]) };
    let Led::Done(looked) = settled(|| store.leases(&look)).await else { panic!("deposed") };
    let reclaim = reclaim(mandate.clone(), &looked.leases[0], clock.wall());
    // What was taken is told by the first answer alone.
    settled(|| store.reclaim(&reclaim)).await;
    let [lost] = shown(store, ["lost"]).await;
    let lost = lost.unwrap();
    assert_eq!((lost.state, lost.crashes, lost.attempt), (TaskState::Scheduled, 1, 0));

    let (_, runs) = claimed(store).await;
    assert_eq!(runs.iter().filter(|run| run.id == lost.id).count(), 1);
    let items: Vec<_> = runs.iter().map(completed).collect();
    settled(|| store.ack(&items)).await;
    assert_eq!(shown(store, ["lost"]).await[0].as_ref().unwrap().state, TaskState::Completed);

    clock.advance(60 * SECOND);
    let mandate = lead(store).await;
    let house = Maintain { mandate, limit: 100 };
    settled(|| store.maintain(&house)).await;
    assert!(shown(store, ["lost"]).await[0].is_none(), "it is over");
}

async fn lead(store: &MysqlStore) -> Mandate {
    let standing = standing("node-l");
    let leader = settled(|| store.campaign(&standing)).await.leader.unwrap();
    Mandate { process: leader.process, term: leader.term }
}

fn reclaim(mandate: Mandate, view: &LeaseView, now: Timestamp) -> Reclaim {
    let deciding = Deciding { now, jitter: Jitter::NONE, node: &view.node };
    let items = view.tasks.iter().map(|task| ReclaimItem {
        task: task.id.clone(),
        fence: task.lease.as_ref().unwrap().fence,
        spec: task.spec.clone(),
        verdict: decide_reclaim(task, true, &deciding),
    });
    Reclaim {
        mandate,
        claim: view.claim.clone(),
        expires_at: view.expires_at,
        items: items.collect(),
    }
}

async fn shown<const N: usize>(store: &MysqlStore, names: [&str; N]) -> [Option<TaskRecord>; N] {
    let fetch = taskshed::store::Fetch { ids: names.map(id).to_vec(), watch: None };
    settled(|| store.fetch(&fetch)).await.try_into().unwrap()
}
