//! What each route does and answers when all is well.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use taskshed::domain::id::NodeName;
use taskshed::domain::id::ProcessId;
use taskshed::domain::state::Outcome;
use taskshed::http::Readiness;
use taskshed::store::Beat;
use taskshed::store::Campaign;
use taskshed::store::Keep;
use taskshed::store::Leadership;
use taskshed::store::Queue;

use super::Shed;
use super::claims::claim;
use super::fixture::START;
use super::fixture::beat_of;
use super::fixture::noop;

const NOTHING: [&str; 2] = ["missing", "skipped"];

/// Fails unless a change affected so many and met nothing else.
#[track_caller]
fn affected(reply: &super::asked::Reply, count: u64) {
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["affected"], count, "{reply:?}");
    for name in NOTHING {
        assert_eq!(reply.json()[name], json!([]), "{reply:?}");
    }
}

#[tokio::test]
async fn adding_tells_what_became_of_each_task() {
    let shed = Shed::new().await;
    shed.add(json!({ "task_id": "a", "callback": "noop", "unique_key": "k" })).await;
    let batch = |replace: bool| {
        json!({ "replace_existing": replace, "tasks": [
            { "task_id": "a", "callback": "noop", "unique_key": "k" },
            { "callback": "noop", "unique_key": "k" },
            { "task_id": "b", "callback": "noop" },
        ]})
    };

    let kept = shed.post("/v1/tasks", &batch(false)).await;
    let replaced = shed.post("/v1/tasks", &batch(true)).await;

    assert_eq!(kept.status, 201);
    let told = |third: &str, first: &str| {
        json!({ "tasks": [
            { "task_id": "a", "outcome": first },
            { "task_id": "a", "outcome": "duplicate" },
            { "task_id": "b", "outcome": third },
        ]})
    };
    assert_eq!(kept.json(), told("created", "kept"));
    assert_eq!(replaced.json(), told("replaced", "replaced"));
    assert_eq!(shed.count().await, 2);
}

#[tokio::test]
async fn a_batch_of_a_thousand_is_one_step_and_one_more_is_refused() {
    let shed = Shed::new().await;
    let batch = |count: usize| {
        let tasks: Vec<_> = (0..count).map(|index| noop(&format!("t{index}"))).collect();
        json!({ "tasks": tasks })
    };

    shed.post("/v1/tasks", &batch(1001)).await.fault(None, "tasks");
    shed.post("/v1/tasks", &batch(0)).await.fault(None, "tasks");
    assert_eq!(shed.count().await, 0);
    assert_eq!(shed.post("/v1/tasks", &batch(1000)).await.status, 201);
    assert_eq!(shed.count().await, 1000);
}

#[tokio::test]
async fn listing_filters_and_pages() {
    let shed = Shed::new().await;
    for index in 0..25 {
        shed.add(json!({
            "task_id": format!("t{index}"),
            "callback": if index % 2 == 0 { "even" } else { "odd" },
            "group_id": format!("g{}", index % 3),
            "queue": if index < 10 { "mail" } else { "default" },
        }))
        .await;
    }
    shed.post("/v1/tasks/cancel", &json!({ "task_ids": ["t0", "t1"] })).await;

    for (query, wanted) in [
        ("", 25),
        ("?group_id=g0", 9),
        ("?queue=mail", 10),
        ("?callback=even", 13),
        ("?state=cancelled", 2),
        ("?state=dead", 0),
        ("?queue=mail&callback=odd&state=scheduled", 4),
        ("?task_id=t3&task_id=t4&task_id=none", 2),
        ("?task_id=t3&task_id=t4&callback=even", 1),
        ("?task_id=t0&state=scheduled", 0),
    ] {
        let mut found = std::collections::BTreeSet::new();
        let mut cursor = String::new();
        loop {
            let join = if query.is_empty() { "?" } else { "&" };
            let path = format!("/v1/tasks{query}{join}limit=4{cursor}");
            let page = shed.get(&path).await.json();
            let tasks = page["tasks"].as_array().unwrap();
            found.extend(tasks.iter().map(|task| task["task_id"].as_str().unwrap().to_owned()));
            match &page["next_cursor"] {
                Value::Null => break,
                next => cursor = format!("&cursor={}", next.as_str().unwrap()),
            }
        }
        assert_eq!(found.len(), wanted, "{query}");
    }
}

#[tokio::test]
async fn tasks_are_paused_and_resumed() {
    let shed = Shed::new().await;
    shed.add(json!({ "task_id": "a", "callback": "noop", "group_id": "g" })).await;
    shed.add(json!({ "task_id": "b", "callback": "noop", "group_id": "g" })).await;

    affected(&shed.post("/v1/tasks/pause", &json!({ "task_ids": ["a", "a"] })).await, 1);
    assert_eq!(shed.task("a").await["paused"], true);
    assert_eq!(shed.task("a").await["paused_at"], START);
    affected(&shed.post("/v1/tasks/pause", &json!({ "group_id": "g" })).await, 2);
    affected(&shed.post("/v1/tasks/resume", &json!({ "group_id": "g" })).await, 2);
    affected(&shed.post("/v1/tasks/pause", &json!({ "group_id": "nobody" })).await, 0);

    assert_eq!(shed.task("b").await["paused"], false);
}

#[tokio::test]
async fn tasks_are_cancelled_retried_and_removed() {
    let shed = Shed::new().await;
    for id in ["a", "b", "c"] {
        shed.add(json!({ "task_id": id, "callback": "noop", "queue": "mail" })).await;
    }

    let changed = shed.post("/v1/tasks/cancel", &json!({ "task_ids": ["a", "none"] })).await;
    let wanted = json!({ "affected": 1, "missing": ["none"], "skipped": [] });
    assert_eq!(changed.json(), wanted);
    let again = shed.post("/v1/tasks/cancel", &json!({ "task_ids": ["a"] })).await;
    let skipped = json!([{ "task_id": "a", "state": "cancelled" }]);
    assert_eq!(again.json(), json!({ "affected": 0, "missing": [], "skipped": skipped }));

    affected(&shed.post("/v1/tasks/cancel", &json!({ "queue": "mail" })).await, 2);
    assert_eq!(shed.task("c").await["state"], "cancelled");
    let dead = shed.post("/v1/tasks/retry", &json!({ "state": "dead" })).await;
    affected(&dead, 0);
    let filter = json!({ "state": "cancelled", "callback": "noop" });
    affected(&shed.post("/v1/tasks/retry", &filter).await, 3);
    assert_eq!(shed.task("a").await["state"], "scheduled");

    affected(&shed.post("/v1/tasks/remove", &json!({ "task_ids": ["a"] })).await, 1);
    affected(&shed.post("/v1/tasks/remove", &json!({ "callback": "other" })).await, 0);
    affected(&shed.post("/v1/tasks/remove", &json!({ "all": true })).await, 2);
    assert_eq!(shed.count().await, 0);
}

#[tokio::test]
async fn a_filter_reaches_more_than_one_page() {
    let shed = Shed::new().await;
    for part in 0..3 {
        let tasks: Vec<_> = (0..900)
            .map(|index| json!({ "task_id": format!("{part}-{index}"), "callback": "noop" }))
            .collect();
        shed.post("/v1/tasks", &json!({ "tasks": tasks })).await;
    }

    affected(&shed.post("/v1/tasks/cancel", &json!({ "callback": "noop" })).await, 2700);
    affected(&shed.post("/v1/tasks/remove", &json!({ "state": "cancelled" })).await, 2700);

    assert_eq!(shed.count().await, 0);
}

#[tokio::test]
async fn tasks_are_moved_to_another_time() {
    let shed = Shed::new().await;
    shed.add(json!({ "task_id": "a", "callback": "noop", "group_id": "g" })).await;
    shed.add(json!({ "task_id": "b", "callback": "noop", "group_id": "g" })).await;
    let ask = |body: Value| {
        let shed = &shed;
        async move { affected(&shed.post("/v1/tasks/reschedule", &body).await, 2) }
    };
    let (may, june) = ("2027-05-01T00:00:00.000000Z", "2027-06-01T00:00:00.000000Z");

    let each =
        [json!({ "task_id": "a", "run_at": may }), json!({ "task_id": "b", "run_at": june })];
    ask(json!({ "tasks": each })).await;
    assert_eq!(shed.task("a").await["run_at"], may);
    assert_eq!(shed.task("b").await["planned_at"], june);
    ask(json!({ "group_id": "g", "run_at": may })).await;
    assert_eq!(shed.task("b").await["run_at"], may);
    ask(json!({ "group_id": "g", "run_in": "1h" })).await;
    assert_eq!(shed.task("a").await["run_at"], "2027-01-15T09:00:00.000000Z");
    ask(json!({ "task_ids": ["a", "b"], "run_in": "0" })).await;
    assert_eq!(shed.task("a").await["run_at"], START);
}

#[tokio::test]
async fn the_next_wakeup_is_that_of_the_earliest_task_that_may_run() {
    let shed = Shed::new().await;
    assert_eq!(shed.get("/v1/next-wakeup").await.json(), json!({ "run_at": null }));

    shed.add(json!({ "task_id": "a", "callback": "noop", "run_in": "1h", "paused": true })).await;
    shed.add(json!({ "task_id": "b", "callback": "noop", "run_in": "2h" })).await;

    let next = shed.get("/v1/next-wakeup").await.json();
    assert_eq!(next, json!({ "run_at": "2027-01-15T10:00:00.000000Z" }));
}

#[tokio::test]
async fn queues_show_their_depth_and_are_paused_and_resumed() {
    let shed = Shed::new().await;
    shed.add(json!({ "callback": "noop", "queue": "mail", "priority": "high" })).await;
    shed.add(json!({ "callback": "noop", "queue": "mail", "run_in": "1h" })).await;
    shed.add(json!({ "callback": "noop", "queue": "mail", "paused": true })).await;
    shed.clock.advance(Duration::from_millis(61_500));

    let paused = shed.client().await.post("/v1/queues/mail/pause", "").await;
    assert_eq!(paused.json(), json!({ "queue": "mail", "paused": true }));
    assert!(shed.claim(10).await.tasks.is_empty());
    let shown = shed.get("/v1/queues").await.json();

    assert_eq!(shown["now"], "2027-01-15T08:01:01.500000Z");
    let mail = json!({
        "queue": "mail", "paused": true,
        "scheduled": { "critical": 0, "high": 1, "normal": 1, "low": 0 },
        "due": 1, "held": 1, "parked": 0, "suspects": 0, "running": 0, "backlog": 0,
        "completed": 0, "dead": 0, "cancelled": 0, "expired": 0,
        "oldest_due_at": START, "oldest_due_age": "1m1s500ms",
    });
    let queues = shown["queues"].as_array().unwrap();
    assert_eq!(queues.iter().find(|queue| queue["queue"] == "mail"), Some(&mail));
    let resumed = shed.post("/v1/queues/mail/resume", &json!({})).await;
    assert_eq!(resumed.json(), json!({ "queue": "mail", "paused": false }));
    shed.add(json!({ "callback": "noop", "queue": "mail" })).await;
    let shown = async || shed.get("/v1/queues").await.json()["queues"][0].clone();
    assert_eq!((&shown().await["due"], &shown().await["backlog"]), (&json!(2), &json!(2)));
    assert_eq!(shed.claim(1).await.tasks.len(), 1);
    assert_eq!((&shown().await["due"], &shown().await["backlog"]), (&json!(1), &json!(2)));
    shed.post("/v1/queues/mail/pause", &json!({})).await;
    assert_eq!((&shown().await["due"], &shown().await["backlog"]), (&json!(1), &json!(1)));
}

/// Whoever scales nodes by a queue finds a number from the first node on.
#[tokio::test]
async fn a_queue_that_a_node_serves_is_shown_before_its_first_task() {
    let shed = Shed::new().await;
    let names = async || {
        let shown = shed.get("/v1/queues").await.json();
        let queues = shown["queues"].as_array().unwrap().clone();
        queues.iter().map(|queue| queue["queue"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let queues = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
    let ttl = Duration::from_secs(10);
    assert!(names().await.is_empty());

    for (name, served) in [("n1", &["mail", "bill"][..]), ("n2", &["mail"]), ("n3", &[])] {
        let process = ProcessId::parse(name).unwrap();
        let beat = Beat { process, queues: queues(served), ..beat_of(name) };
        shed.store.keep(&Keep { beat: Some(beat), claims: Vec::new(), ttl }).await.unwrap();
    }
    shed.add(json!({ "callback": "noop", "queue": "far" })).await;

    assert_eq!(names().await, ["bill", "far", "mail"]);
    let bill = json!({
        "queue": "bill", "paused": false,
        "scheduled": { "critical": 0, "high": 0, "normal": 0, "low": 0 },
        "due": 0, "held": 0, "parked": 0, "suspects": 0, "running": 0, "backlog": 0,
        "completed": 0, "dead": 0, "cancelled": 0, "expired": 0,
        "oldest_due_at": null, "oldest_due_age": null,
    });
    assert_eq!(shed.get("/v1/queues").await.json()["queues"][0], bill);

    let named = shed.get("/v1/queues?queue=far&queue=never").await.json();
    assert_eq!(named["backlog"], 1);
    let names = named["queues"].as_array().unwrap().iter().map(|queue| &queue["queue"]);
    assert_eq!(names.collect::<Vec<_>>(), ["far", "never"]);
    assert_eq!(shed.get("/v1/queues?queue=never").await.json()["backlog"], 0);
    shed.get("/v1/queues?queue=a%20b").await.problem(400, "bad-query");
    shed.get("/v1/queues?name=far").await.problem(400, "bad-query");
}

#[tokio::test]
async fn a_running_task_shows_its_lease_and_a_failed_one_its_errors() {
    let shed = Shed::new().await;
    shed.add(json!({ "task_id": "t", "callback": "noop", "max_attempts": 1 })).await;

    let claimed = shed.claim(1).await;
    let running = shed.task("t").await;
    shed.ack(&claimed, &Outcome::Failed("out of paper".into())).await;
    let dead = shed.task("t").await;

    let lease = claimed.tasks[0].lease.clone().unwrap();
    assert_eq!(running["state"], "running");
    assert_eq!(running["attempt"], 1);
    let shown = json!({
        "node": "node", "claim_id": lease.claim_id.as_str(), "fence": lease.fence.0,
        "expires_at": "2027-01-15T08:00:10.000000Z",
    });
    assert_eq!(running["lease"], shown);
    assert_eq!(dead["state"], "dead");
    assert_eq!(dead["lease"], json!(null));
    assert_eq!(dead["finished_at"], START);
    let error = json!({ "message": "out of paper", "at": START, "node": "node", "attempt": 1 });
    assert_eq!(dead["last_error"], error);
    assert_eq!(dead["errors"], json!([error]));
}

#[tokio::test]
async fn a_wait_answers_when_the_task_ends() {
    let shed = Shed::new().await;
    shed.add(noop("t")).await;
    let mut waiting = shed.client().await;

    let (reply, ()) = tokio::join!(waiting.get("/v1/tasks/t?wait=30s"), async {
        while shed.store.calls("fetch") < 2 {
            tokio::task::yield_now().await;
        }
        let claimed = shed.claim(1).await;
        shed.ack(&claimed, &Outcome::Completed(None)).await;
    });

    assert_eq!(reply.status, 200, "kept for who waits, although it has no retention: {reply:?}");
    assert_eq!(reply.json()["state"], "completed");
}

#[tokio::test]
async fn a_wait_that_is_over_shows_the_task_as_it_is() {
    let shed = Shed::new().await;
    shed.add(noop("t")).await;

    let reply = shed.get("/v1/tasks/t?wait=30ms").await;

    assert_eq!(reply.json()["state"], "scheduled");
    shed.get("/v1/tasks/none?wait=30s").await.problem(404, "not-found");
}

#[tokio::test]
async fn who_waits_is_answered_when_the_server_closes() {
    let mut shed = Shed::new().await;
    let mut servers = std::mem::take(&mut shed.servers);
    shed.add(noop("t")).await;
    let mut waiting = shed.client().await;
    waiting.start("GET", "/v1/tasks/t?wait=10m").await;
    while shed.store.calls("fetch") < 2 {
        tokio::task::yield_now().await;
    }

    shed.shutdown.cancel();
    let reply = shed.while_time_passes(waiting.reply()).await;

    assert_eq!(reply.json()["state"], "scheduled", "{reply:?}");
    servers.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn nodes_and_the_leader_are_shown_and_the_leader_resigns() {
    let shed = Shed::new().await;
    let none = shed.get("/v1/leader").await.json();
    assert_eq!(none, json!({ "now": START, "leader": null }));
    assert_eq!(shed.get("/v1/nodes").await.json(), json!({ "now": START, "nodes": [] }));
    shed.post("/v1/leader/resign", &json!({})).await.problem(409, "conflict");

    let (node, process) = (NodeName::parse("n 1").unwrap(), ProcessId::parse("p1").unwrap());
    let beat = Beat { process: process.clone(), ..beat_of("n 1") };
    let ttl = Duration::from_secs(10);
    shed.store.keep(&Keep { beat: Some(beat), claims: Vec::new(), ttl }).await.unwrap();
    let leading = shed.store.campaign(&Campaign { node, process, ttl }).await.unwrap();

    let leader = json!({
        "node": "n 1", "process_id": "p1", "term": leading.leader.unwrap().term.0,
        "until": "2027-01-15T08:00:10.000000Z",
    });
    assert_eq!(shed.get("/v1/leader").await.json()["leader"], leader);
    let shown = json!({
        "name": "n 1", "process_id": "p1", "kind": "node", "version": "1.2.3", "leader": true,
        "queues": ["mail"], "callbacks": ["noop"], "concurrency": 8, "running": 2,
        "draining": false, "beat_at": START, "clock_skew_us": -1500,
    });
    assert_eq!(shed.get("/v1/nodes").await.json()["nodes"], json!([shown]));
    let resigned = shed.client().await.post("/v1/leader/resign", "").await;
    assert_eq!(resigned.json(), json!({ "resigned": leader }));
    assert_eq!(shed.get("/v1/leader").await.json()["leader"], json!(null));
}

#[tokio::test]
async fn the_probes_tell_life_from_readiness() {
    let shed = Shed::new().await;
    assert_eq!(shed.get("/healthz").await.json(), json!({ "status": "alive" }));
    assert_eq!(shed.get("/readyz").await.json(), json!({ "status": "ready" }));

    for state in [Readiness::StoreAway, Readiness::Draining] {
        shed.readiness.send_replace(state);
        shed.get("/readyz").await.problem(503, "not-ready");
        assert_eq!(shed.get("/healthz").await.status, 200);
    }
}

#[tokio::test]
async fn a_task_may_be_called_like_a_change() {
    let shed = Shed::new().await;
    for id in ["pause", "resume", "cancel", "retry", "remove", "reschedule"] {
        shed.add(noop(id)).await;

        assert_eq!(shed.task(id).await["task_id"], id);
    }
}

#[tokio::test]
async fn a_node_is_told_to_drain_by_its_name() {
    let shed = Shed::new().await;
    let drain = async |name: &str| shed.post(&format!("/v1/nodes/{name}/drain"), &json!({})).await;
    drain("anna").await.problem(404, "not-found");
    assert!(!shed.beat("anna").await);

    let told = drain("anna").await;

    assert_eq!((told.status, told.json()), (200, json!({ "node": "anna" })));
    assert!(shed.beat("anna").await);
    assert!(!shed.beat("berta").await);
    drain("a%0Ab").await.problem(404, "not-found");
    claim(&shed, "w", json!({})).await;
    drain("w").await.problem(404, "not-found");
}
