//! A leader looks at the queues for those who read its metrics, and for nobody else.

use taskshed::leader::SAMPLE_EVERY;
use taskshed::leader::SAMPLED_FOR;

use super::fleet::Fleet;
use super::fleet::SECOND;

const DUE: &str = "taskshed_queue_tasks{queue=\"default\",state=\"due\"}";

#[tokio::test]
async fn the_leader_looks_as_long_as_somebody_reads_and_not_more_often() {
    let mut fleet = Fleet::new();
    let node = fleet.node("a");
    let follower = fleet.node("b");
    fleet.elected().await;
    fleet.pass(SECOND * 600).await;
    assert_eq!(node.store.calls("stats"), 0, "nobody has read");

    fleet.add("t", |task| task).await;
    for _ in 0..60 {
        for _ in 0..10 {
            drop((node.metrics.text(), follower.metrics.text()));
        }
        fleet.pass(SECOND).await;
    }
    let looks = node.store.calls("stats");
    assert!((4..=5).contains(&looks), "{looks} looks in a minute, one in {SAMPLE_EVERY:?}");
    assert!(node.shows(&format!("{DUE} 1")), "{}", node.metrics.text());
    assert!(!follower.metrics.text().contains("queue="));

    fleet.pass(SAMPLED_FOR * 2 + SAMPLE_EVERY).await;
    let looks = node.store.calls("stats");
    fleet.pass(SAMPLED_FOR * 2).await;
    assert_eq!(node.store.calls("stats"), looks, "nobody reads any more");
    assert_eq!(follower.store.calls("stats"), 0);
}

/// What was seen before the store went away, or by who leads no more, is not shown.
#[tokio::test]
async fn what_is_not_known_any_more_is_not_shown() {
    let mut fleet = Fleet::new();
    let node = fleet.node("a");
    fleet.elected().await;
    fleet.add("t", |task| task).await;
    let shows = || node.metrics.text().contains(DUE);
    assert!(!shows());
    fleet.pass(SECOND).await;
    assert!(shows());

    node.store.hang("stats", true);
    fleet.pass(SAMPLE_EVERY * 2).await;
    assert!(shows(), "it is still being looked at");
    node.store.cut(true);
    node.store.hang("stats", false);
    fleet.pass(SECOND).await;
    assert!(!shows());

    fleet.pass(SECOND * 15).await;
    assert!(node.shows("taskshed_leader 0"), "its term is over");
    node.store.cut(false);
    fleet.pass(SECOND * 30).await;
    assert!(node.shows("taskshed_leader 1") && shows());
    node.stop.cancel();
    fleet.pass(SECOND).await;
    assert!(node.shows("taskshed_leader 0") && !shows());
}
