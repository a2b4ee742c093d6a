//! Nodes that die, and a task that kills them.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use taskshed::Task;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::domain::state::TaskState;
use taskshed::store::Filter;
use taskshed::store::List;

use crate::program::pause;
use crate::program::since;
use crate::program::until;
use crate::witness::Shed;

/// Spare time beside a bound: these machines may be busy.
const SLACK: Duration = Duration::from_secs(5);

fn task(callback: &str, id: &str) -> Task {
    Task::new(callback, &json!({})).unwrap().id(id).retention(Duration::from_secs(3600))
}

/// Guards N2: what ran on a dead node runs again within lease + grace + two sweeps + 0.5 s.
#[tokio::test]
async fn tasks_of_a_killed_node_run_elsewhere_in_time() {
    let shed = Shed::new(&[("nap", "sleep 2")]).await;
    let leader = shed.node("leader", &["--no-run"]);
    until("there is a leader", || leader.log().contains("leads"));
    let mut victim = shed.node("victim", &[]);
    shed.add((0..8).map(|number| task("nap", &format!("nap-{number}")))).await;
    until("all run", || shed.runs().len() == 8);

    victim.kill();
    let died = SystemClock.steady();
    let _heir = shed.node("heir", &["--no-leader"]);
    until("all run again", || shed.runs().len() == 16);

    let took = since(died);
    println!("ran again {took:?} after the death of their node");
    assert!(took < Duration::from_millis(4_500) + SLACK, "{took:?}");
    assert!(shed.runs()[8..].iter().all(|run| run.node == "heir"));
    assert_eq!(shed.completed("nap-0").await.crashes, 0);
}

/// Guards N4 and T7: a task that kills its node ends dead, and none of those beside it does.
#[tokio::test]
async fn a_task_that_kills_its_node_takes_no_other_into_death() {
    let shed =
        Shed::new(&[("poison", "sleep 0.3; kill -9 $PPID; sleep 5"), ("nap", "sleep 1")]).await;
    let mut nodes = [shed.node("a", &[]), shed.node("b", &[])];
    let names = ["a", "b"];
    let innocent = |number| task("nap", &format!("nap-{number}"));

    shed.add([task("poison", "poison")].into_iter().chain((0..63).map(innocent))).await;
    let patience = SystemClock.steady() + Duration::from_secs(180);
    let list = |state| List {
        filter: Filter { state: Some(state), ..Filter::default() },
        limit: 100,
        cursor: None,
    };
    loop {
        for (node, name) in nodes.iter_mut().zip(names) {
            if !node.is_running() {
                *node = shed.node(name, &[]);
            }
        }
        let done = shed.scheduler.list(&list(TaskState::Completed)).await.unwrap();
        let dead = shed.scheduler.list(&list(TaskState::Dead)).await.unwrap();
        if done.tasks.len() == 63 && !dead.tasks.is_empty() {
            assert_eq!(dead.tasks.len(), 1);
            assert_eq!((dead.tasks[0].id.as_str(), dead.tasks[0].crashes), ("poison", 5));
            assert_eq!(dead.tasks[0].errors[0].message, "its node died 5 times while it ran");
            return;
        }
        assert!(SystemClock.steady() < patience, "{done:?} {dead:?}");
        pause(Duration::from_millis(100));
    }
}

/// Guards T5 and N3: a node that was stopped beyond its lease finds its runs lost and stops them.
#[tokio::test]
async fn a_node_that_was_frozen_beyond_its_lease_stops_what_it_ran() {
    let shed = Shed::new(&[("nap", "sleep 12")]).await;
    let _leader = shed.node("leader", &["--no-run"]);
    let frozen = shed.node("frozen", &["--no-leader"]);
    shed.add([task("nap", "nap")]).await;
    until("it runs", || shed.runs().len() == 1);

    frozen.signal(Signal::STOP);
    let _heir = shed.node("heir", &["--no-leader"]);
    until("it runs elsewhere", || shed.runs().len() == 2);
    frozen.signal(Signal::CONT);

    until("the node notices", || frozen.log().contains("leases are lost"));
    let completed = shed.completed("nap").await;
    assert_eq!((completed.attempt, completed.crashes), (1, 0));
    let runs = shed.runs();
    assert_eq!(runs.len(), 2);
    assert!(!runs[0].has_ended && runs[0].node == "frozen", "{runs:?}");
    assert!(runs[1].has_ended && runs[1].node == "heir", "{runs:?}");
}

/// Guards T1 and T6: nodes go on by themselves after their Redis was killed and came back.
#[tokio::test]
async fn a_redis_that_is_killed_under_load_costs_no_task() {
    let mut shed = Shed::new(&[("quick", "sleep 0.02")]).await;
    let mut nodes =
        [shed.node("a", &["--concurrency", "4"]), shed.node("b", &["--concurrency", "4"])];
    shed.add((0..300).map(|number| task("quick", &format!("quick-{number}")))).await;
    until("some have run", || shed.runs().len() > 60);

    shed.server.kill();
    pause(Duration::from_secs(1));
    shed.server.restart();

    until("all have completed", || {
        shed.place.json(&["queues", "--output", "json", "--server", &nodes[0].url])["queues"][0]["completed"]
            == 300
    });
    for node in &mut nodes {
        assert_eq!(node.leave(), Some(0), "{}", node.log());
    }
}
