//! Who is told that there is something to claim.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use taskshed::domain::draft::Task;
use taskshed::domain::id::Callback;
use taskshed::domain::state::Outcome;
use taskshed::store::Action;
use taskshed::store::Claim;
use taskshed::store::Gate;
use taskshed::store::Hints;
use taskshed::store::Queue;
use taskshed::store::Tasks;

use super::shed::SECOND;
use super::shed::Shed;
use super::shed::claim;
use super::shed::holder;
use super::shed::planned;
use super::shed::task;

/// Long enough for a hint that was sent to arrive.
const SOON: Duration = Duration::from_millis(300);

async fn listen(shed: &Shed, node: &str) -> Box<dyn Hints> {
    shed.store.hints(&holder(node).process).await.unwrap().unwrap()
}

fn waiting(node: &str) -> Claim {
    Claim { holder: holder(node), wait: true, ..claim(10) }
}

async fn hears(hints: &mut Box<dyn Hints>) -> bool {
    match timeout(SOON, hints.next()).await {
        Ok(heard) => heard.is_ok(),
        Err(_) => false,
    }
}

#[tokio::test]
async fn as_many_waiting_processes_hear_of_tasks_as_there_are_tasks() {
    let shed = Shed::new().await;
    let mut all = Vec::new();
    for node in ["node-h1", "node-h2", "node-h3"] {
        all.push(listen(&shed, node).await);
        shed.store.claim(&waiting(node)).await.unwrap();
    }

    shed.add(vec![planned(task("a")), planned(task("b"))]).await.unwrap();

    let mut heard = 0;
    for hints in &mut all {
        heard += usize::from(hears(hints).await);
    }
    assert_eq!(heard, 2);
}

#[tokio::test]
async fn a_process_that_wakes_in_time_by_itself_gets_no_hint() {
    let shed = Shed::new().await;
    shed.add(vec![planned(task("soon").run_in(SECOND))]).await.unwrap();
    let mut hints = listen(&shed, "node-s").await;
    let claimed = shed.store.claim(&waiting("node-s")).await.unwrap();
    assert_eq!(claimed.next_run_at, Some(claimed.now.plus(SECOND)));

    shed.add(vec![planned(task("later").run_in(2 * SECOND))]).await.unwrap();
    assert!(!hears(&mut hints).await);
    shed.add(vec![planned(task("sooner"))]).await.unwrap();
    assert!(hears(&mut hints).await);
}

/// A process that is gone, or that cannot run the task, does not swallow its hint.
#[tokio::test]
async fn a_hint_goes_to_a_process_that_listens_and_has_the_callback() {
    let shed = Shed::new().await;
    shed.store.claim(&waiting("node-gone")).await.unwrap();
    let mut unable = listen(&shed, "node-unable").await;
    shed.store.claim(&waiting("node-unable")).await.unwrap();
    let mut able = listen(&shed, "node-able").await;
    let mut wish = waiting("node-able");
    wish.callbacks = Some(Arc::from([Callback::parse("resize").unwrap()]));
    shed.store.claim(&wish).await.unwrap();

    shed.add(vec![planned(Task::new("resize", &serde_json::json!({})).unwrap())]).await.unwrap();

    assert!(hears(&mut able).await);
    assert!(!hears(&mut unable).await);
    shed.add(vec![planned(task("a"))]).await.unwrap();
    assert!(hears(&mut unable).await);
}

/// Who is gone is passed over, and who was told is not told again for another queue.
#[tokio::test]
async fn a_hint_that_nobody_hears_goes_to_the_next() {
    let shed = Shed::new().await;
    let queues = ["default", "mail"].map(|queue| queue.parse().unwrap());
    let both = |node: &str| Claim { queues: queues.to_vec(), ..waiting(node) };
    shed.store.claim(&both("node-z")).await.unwrap();
    let mut first = listen(&shed, "node-y").await;
    shed.store.claim(&both("node-y")).await.unwrap();
    let mut second = listen(&shed, "node-x").await;
    shed.store.claim(&both("node-x")).await.unwrap();

    shed.add(vec![planned(task("a"))]).await.unwrap();
    assert!(hears(&mut first).await);
    assert!(!hears(&mut second).await);
    shed.add(vec![planned(task("b").queue("mail"))]).await.unwrap();
    assert!(hears(&mut second).await);
    assert!(!hears(&mut first).await);
}

#[tokio::test]
async fn whatever_makes_a_task_claimable_gives_a_hint() {
    let shed = Shed::new().await;
    let mut hints = listen(&shed, "node-w").await;
    shed.add(vec![planned(task("a").paused())]).await.unwrap();
    let queue = "default".parse().unwrap();

    shed.store.claim(&waiting("node-w")).await.unwrap();
    shed.change(Action::Resume, &["a"]).await;
    assert!(hears(&mut hints).await, "resume");

    let claimed = shed.store.claim(&waiting("node-w")).await.unwrap();
    shed.finish(&claimed, Outcome::Released).await.unwrap();
    assert!(hears(&mut hints).await, "release");

    let claimed = shed.store.claim(&waiting("node-w")).await.unwrap();
    shed.finish(&claimed, Outcome::Dead("no".into())).await.unwrap();
    shed.change(Action::Retry, &["a"]).await;
    assert!(hears(&mut hints).await, "retry");

    shed.store.set_queue(&queue, Gate::Paused).await.unwrap();
    shed.store.claim(&waiting("node-w")).await.unwrap();
    shed.store.set_queue(&queue, Gate::Open).await.unwrap();
    assert!(hears(&mut hints).await, "open");

    let claimed = shed.store.claim(&waiting("node-w")).await.unwrap();
    shed.add(vec![planned(task("a"))]).await.unwrap();
    assert!(!hears(&mut hints).await, "a successor that waits");
    shed.finish(&claimed, Outcome::Completed(None)).await.unwrap();
    assert!(hears(&mut hints).await, "a run that let go");

    shed.add(vec![planned(task("b"))]).await.unwrap();
    shed.store
        .claim(&Claim { queues: vec!["other".parse().unwrap()], ..waiting("node-w") })
        .await
        .unwrap();
    assert!(!hears(&mut hints).await, "another queue");
}

/// A claim that leaves due tasks behind passes the hint on.
#[tokio::test]
async fn a_claim_that_leaves_tasks_behind_gives_a_hint() {
    let shed = Shed::new().await;
    let mut hints = listen(&shed, "node-p").await;
    shed.store.claim(&waiting("node-p")).await.unwrap();
    let paused = ["a", "b"].map(|id| planned(task(id)));
    shed.add(paused.into()).await.unwrap();
    assert!(hears(&mut hints).await);

    let first = shed.store.claim(&Claim { limit: 1, ..waiting("node-p") }).await.unwrap();
    assert!(first.more);
    let mut other = listen(&shed, "node-q").await;
    let wish = Claim {
        queues: vec!["elsewhere".parse().unwrap(), "default".parse().unwrap()],
        ..waiting("node-q")
    };
    assert_eq!(shed.store.claim(&wish).await.unwrap().tasks.len(), 1);
    shed.add(["c", "d"].map(|id| planned(task(id))).into()).await.unwrap();
    assert!(hears(&mut other).await);
    shed.store.claim(&waiting("node-q")).await.unwrap();
    shed.add(["e", "f"].map(|id| planned(task(id).run_in(SECOND))).into()).await.unwrap();
    assert!(hears(&mut other).await, "for the future");
    shed.store.claim(&waiting("node-q")).await.unwrap();
    shed.clock.advance(SECOND);
    shed.claim(1).await.unwrap();
    assert!(!hears(&mut other).await, "it wakes by itself");
}
