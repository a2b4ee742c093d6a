//! A Redis that stands still, and one whose clock is moved.

use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde_json::json;
use taskshed::Task;

use crate::program::pause;
use crate::program::until;
use crate::redis_server::RedisServer;
use crate::witness::Shed;

const LEASE: Duration = Duration::from_secs(2);

fn nap(id: &str) -> Task {
    Task::new("nap", &json!({})).unwrap().id(id).retention(Duration::from_secs(3600))
}

/// Guards T3 and T9: while Redis is frozen for three leases runs go on and are accepted, none is
/// reclaimed afterwards, and an exclusive one was stopped before it could run elsewhere.
#[tokio::test]
async fn a_redis_that_stands_still_causes_no_false_reclaim() {
    let shed = Shed::new(&[("nap", "sleep 9")]).await;
    let nodes = [shed.node("a", &[]), shed.node("b", &[])];
    let ids: Vec<_> = (0..8).map(|number| format!("nap-{number}")).collect();
    shed.add(ids.iter().map(|id| nap(id)).chain([nap("alone").exclusive()])).await;
    until("all run", || shed.runs().len() == 9);

    let redis = Pid::from_raw(shed.server.pid()).unwrap();
    kill_process(redis, Signal::STOP).unwrap();
    pause(LEASE * 3);
    let stopped = nodes.iter().any(|node| node.log().contains("exclusive runs are stopped"));
    kill_process(redis, Signal::CONT).unwrap();

    assert!(stopped, "the exclusive run went on although its lease may be over");
    for id in &ids {
        assert_eq!(shed.completed(id).await.crashes, 0, "{id}");
    }
    shed.completed("alone").await;
    let runs = shed.runs();
    let of = |id: &str| runs.iter().filter(|run| run.task == id).collect::<Vec<_>>();
    assert!(ids.iter().all(|id| of(id).len() == 1), "{runs:?}");
    let alone = of("alone");
    assert!(!alone[0].has_ended && alone.last().unwrap().has_ended, "{alone:?}");
}

/// Guards T3: a store clock that jumps ahead and back by an hour takes no run from its node.
#[tokio::test]
async fn a_redis_whose_clock_jumps_causes_no_false_reclaim() {
    let server = RedisServer::start_with_clock(&["--appendonly", "yes"]);
    let shed = Shed::on(server, &[("nap", "sleep 9")]).await;
    let nodes = [shed.node("a", &[]), shed.node("b", &[])];
    let ids: Vec<_> = (0..8).map(|number| format!("nap-{number}")).collect();
    shed.add(ids.iter().map(|id| nap(id))).await;
    until("all run", || shed.runs().len() == 8);

    for seconds in [3600, -3600] {
        shed.server.shift_clock(seconds);
        pause(Duration::from_secs(3));
    }

    for id in &ids {
        let task = shed.completed(id).await;
        assert_eq!((task.attempt, task.crashes), (1, 0), "{id}");
    }
    assert_eq!(shed.runs().len(), 8);
    assert!(nodes.iter().all(|node| !node.log().contains("its tasks run again")));
    shed.add([nap("late")]).await;
    shed.completed("late").await;
}
