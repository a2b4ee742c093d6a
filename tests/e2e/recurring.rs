//! Recurring tasks while nodes and leaders are killed and started.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use serde_json::json;
use taskshed::Task;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::domain::time::Timestamp;
use tokio::runtime::Builder;

use crate::mariadb_server::MariadbServer;
use crate::program::pause;
use crate::redis_cluster::RedisCluster;
use crate::witness::File;
use crate::witness::Server;
use crate::witness::Shed;
use crate::witness::durable_redis;

const TASKS: usize = 20;
const KILLS: usize = 8;

/// Guards S1 and T6, on each store. They mostly wait, so all of them do it at once.
#[test]
fn recurring_tasks_keep_their_grid_while_nodes_and_leaders_die() {
    thread::scope(|scope| {
        scope.spawn(|| on(File));
        scope.spawn(|| on(durable_redis()));
        scope.spawn(|| on(RedisCluster::start(0, &["--appendonly", "yes"])));
        scope.spawn(|| on(MariadbServer::start(&[])));
    });
}

fn on(server: impl Server) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(keep_the_grid(server));
}

/// Each planned time lies on the grid and ends well at most once; what is missing was coalesced while
/// its task was held by the dead.
async fn keep_the_grid(server: impl Server) {
    let shed = Shed::on(server, &[("tick", "true")]).await;
    let names = ["a", "b", "c"];
    let mut nodes = names.map(|name| shed.node(name, &["--concurrency", "8"]));
    let start = SystemClock.wall().plus(Duration::from_secs(1));
    let second = Duration::from_secs(1);
    shed.add((0..TASKS).map(|number| {
        let task = Task::new("tick", &json!({})).unwrap().id(&format!("tick-{number}"));
        task.every(second).run_at(start)
    }))
    .await;

    for turn in 0..KILLS {
        pause(Duration::from_secs(6));
        let turn = turn % nodes.len();
        nodes[turn].kill();
        pause(Duration::from_secs(1));
        nodes[turn] = shed.node(names[turn], &["--concurrency", "8"]);
    }
    pause(Duration::from_secs(6));
    let lasted = SystemClock.wall().since(start).as_secs();
    for node in &mut nodes {
        assert_eq!(node.leave(), Some(0), "{}", node.log());
    }

    let mut ended: BTreeMap<(String, i64), usize> = BTreeMap::new();
    for run in shed.runs().iter().filter(|run| run.has_ended) {
        let planned_us = Timestamp::parse(&run.planned_at).unwrap().as_us();
        assert_eq!((planned_us - start.as_us()) % 1_000_000, 0, "off the grid: {run:?}");
        *ended.entry((run.task.clone(), planned_us)).or_default() += 1;
    }
    let least = lasted - KILLS as u64 * 6;
    for number in 0..TASKS {
        let name = format!("tick-{number}");
        let count = ended.keys().filter(|(task, _)| *task == name).count() as u64;
        assert!(
            count >= least,
            "{name}: {count} of {lasted} planned times ended, {least} at least"
        );
    }
    let repeated = ended.values().filter(|count| **count > 1).count();
    println!("{} planned times ended, {repeated} of them twice by a lost ack", ended.len());
    assert!(repeated <= KILLS * 8, "more than were in flight at the kills");
}
