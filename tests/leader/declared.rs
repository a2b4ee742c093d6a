//! Schedules of a file, and what becomes of them when leaders change.

use std::collections::BTreeMap;

use serde_json::json;
use taskshed::domain::declared::Declared;
use taskshed::domain::declared::InForce;
use taskshed::domain::declared::register_id;
use taskshed::domain::declared::task_id;
use taskshed::domain::draft::Task;
use taskshed::domain::id::TaskId;
use taskshed::domain::task::TaskRecord;
use taskshed::store::Leadership;
use taskshed::store::Resign;

use super::faulty::Fault;
use super::fleet::Fleet;
use super::fleet::Node;
use super::fleet::SECOND;

fn tick() -> Task {
    Task::new("tick", &json!({})).unwrap()
}

fn id(name: &str) -> TaskId {
    TaskId::parse(&task_id(name)).unwrap()
}

fn set(edition: &str, tasks: &[(&str, Task)]) -> Declared {
    let draft = |(name, task): &(&str, Task)| {
        (id(name), task.clone().id(&task_id(name)).check(usize::MAX).unwrap())
    };
    let tasks: BTreeMap<_, _> = tasks.iter().map(draft).collect();
    Declared { revision: 0, edition: edition.into(), tasks }
}

/// A node with a file; its candidate stands.
fn node_with(fleet: &mut Fleet, name: &str, declared: &Declared) -> Node {
    let mut node = fleet.bare(name);
    node.declared = Some(declared.clone());
    let node = fleet.stand(node);
    fleet.beat(&node, Vec::new());
    node
}

async fn edition(fleet: &Fleet) -> Option<String> {
    Some(InForce::read(&fleet.fetch(&register_id()).await?)?.edition)
}

async fn in_force(fleet: &Fleet, wanted: &str) {
    fleet.pass_until(SECOND * 20, async || edition(fleet).await.as_deref() == Some(wanted)).await;
    fleet.pass(SECOND).await;
}

async fn tick_of(fleet: &Fleet, name: &str) -> Option<TaskRecord> {
    fleet.fetch(&id(name)).await
}

/// Calls that look at schedules or write them.
fn calls(node: &Node) -> (usize, usize) {
    (node.store.calls("fetch"), node.store.calls("declare"))
}

#[tokio::test]
async fn a_leader_declares_once_and_then_makes_no_calls_for_it() {
    let mut fleet = Fleet::new();
    let file = set("a", &[("x", tick().every(SECOND * 60)), ("y", tick().cron("@daily"))]);
    let first = node_with(&mut fleet, "first", &file);
    in_force(&fleet, "a").await;
    assert!(tick_of(&fleet, "y").await.is_some());
    let before = (calls(&first), tick_of(&fleet, "x").await);
    assert_eq!(before.0, (1, 1), "one read, and one write with all that is new");

    fleet.pass(SECOND * 60).await;
    assert_eq!(calls(&first), before.0);
    first.kill();
    let second = node_with(&mut fleet, "second", &file);
    fleet.pass_until(SECOND * 20, async || second.store.calls("maintain") > 1).await;

    assert_eq!(calls(&second), (1, 0), "a restart reads once and writes nothing");
    assert_eq!(tick_of(&fleet, "x").await, before.1, "its planned time stays");
}

/// Nodes with an older and a newer file lead in turns, as in a rolling deploy.
#[tokio::test]
async fn an_older_file_does_not_undo_what_a_newer_one_set() {
    let mut fleet = Fleet::new();
    let old_file = set("a", &[("x", tick().every(SECOND * 60)), ("gone", tick().every(SECOND))]);
    let new_file = set("b", &[("x", tick().every(SECOND * 60)), ("new", tick().every(SECOND))]);
    let old = node_with(&mut fleet, "old", &old_file);
    in_force(&fleet, "a").await;
    let kept = tick_of(&fleet, "x").await;
    let new = node_with(&mut fleet, "new", &new_file);
    fleet.pass(SECOND).await;

    for turn in 0..6 {
        fleet.store.resign(&Resign { process: None }).await.unwrap();
        fleet.pass(SECOND * 4).await;
        in_force(&fleet, "b").await;
        assert_eq!(tick_of(&fleet, "x").await, kept, "turn {turn}");
        assert!(tick_of(&fleet, "new").await.is_some(), "turn {turn}");
        assert_eq!(tick_of(&fleet, "gone").await, None, "turn {turn}");
    }

    assert!(calls(&old).0 > 1, "the old one led again");
    assert_eq!(calls(&old).1, 1, "and wrote nothing after its first term");
    assert!(calls(&new).0 > 1);
}

/// A node without a section for schedules leaves those of others alone.
#[tokio::test]
async fn a_leader_without_a_say_changes_nothing() {
    let mut fleet = Fleet::new();
    let first = node_with(&mut fleet, "first", &set("a", &[("x", tick().every(SECOND * 60))]));
    in_force(&fleet, "a").await;
    first.kill();

    let second = fleet.node("second");
    fleet.pass_until(SECOND * 20, async || second.store.calls("maintain") > 1).await;

    assert_eq!(calls(&second), (0, 0));
    assert!(tick_of(&fleet, "x").await.is_some());
}

#[tokio::test]
async fn a_store_that_is_away_is_asked_again() {
    for (method, fault) in [
        ("fetch", Fault::Request),
        ("now", Fault::Request),
        ("declare", Fault::Request),
        ("declare", Fault::Reply),
    ] {
        let mut fleet = Fleet::new();
        let mut node = fleet.bare("node");
        node.store.plan(method, fault, 3);
        node.declared = Some(set("a", &[("x", tick().every(SECOND * 60))]));
        let node = fleet.stand(node);
        fleet.beat(&node, Vec::new());

        in_force(&fleet, "a").await;

        fleet.pass(SECOND * 4).await;
        assert!(tick_of(&fleet, "x").await.is_some(), "{method}");
        let least = if fault == Fault::Reply { 1 } else { 4 };
        assert!(node.store.calls(method) >= least, "{method}");
    }
}

/// The leader dies after its first write; the next one with the file goes on from there.
#[tokio::test]
async fn a_leader_that_dies_half_way_is_followed() {
    let mut fleet = Fleet::new();
    let first = node_with(&mut fleet, "first", &set("a", &[("gone", tick().every(SECOND * 60))]));
    in_force(&fleet, "a").await;
    first.kill();
    let new_file = set("b", &[("x", tick().every(SECOND * 60))]);
    let mut half = fleet.bare("half");
    half.store.plan("declare", Fault::Reply, 1);
    half.declared = Some(new_file.clone());
    let half = fleet.stand(half);
    fleet.beat(&half, Vec::new());
    fleet.pass_until(SECOND * 20, async || edition(&fleet).await.as_deref() == Some("b")).await;
    assert!(tick_of(&fleet, "gone").await.is_some(), "it is not through");
    half.kill();

    let _next = node_with(&mut fleet, "next", &new_file);
    in_force(&fleet, "b").await;
    fleet.pass_until(SECOND * 20, async || tick_of(&fleet, "gone").await.is_none()).await;

    let register = InForce::read(&fleet.fetch(&register_id()).await.unwrap()).unwrap();
    assert_eq!(register.tasks.keys().collect::<Vec<_>>(), [&id("x")]);
    assert!(tick_of(&fleet, "x").await.is_some());
}

/// Guards L1: a leader that was frozen before its write finds its term over.
#[tokio::test]
async fn a_leader_that_slept_through_its_term_writes_nothing() {
    let mut fleet = Fleet::new();
    let old_file = set("a", &[("x", tick().every(SECOND * 60))]);
    let new_file = set("b", &[("y", tick().every(SECOND * 60))]);
    let mut old = fleet.bare("old");
    old.store.hang("declare", true);
    old.declared = Some(old_file);
    let old = fleet.stand(old);
    fleet.beat(&old, Vec::new());
    fleet.pass_until(SECOND * 20, async || old.store.calls("declare") == 1).await;
    old.freeze();
    let _new = node_with(&mut fleet, "new", &new_file);
    in_force(&fleet, "b").await;

    old.store.hang("declare", false);
    old.thaw();
    fleet.pass(SECOND * 5).await;

    assert_eq!(edition(&fleet).await.as_deref(), Some("b"));
    assert_eq!(tick_of(&fleet, "x").await, None);
    assert!(tick_of(&fleet, "y").await.is_some());
}
