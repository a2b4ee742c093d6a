//! Workers that are no nodes: claim, renew, hand back.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use taskshed::domain::time::Timestamp;

use super::Shed;
use super::asked::Reply;
use super::fixture::START;
use super::fixture::noop;

const SECOND: Duration = Duration::from_secs(1);

/// A claim of `worker`, with the other fields that are given.
pub(crate) async fn claim(shed: &Shed, worker: &str, with: Value) -> Reply {
    let mut body = json!({ "worker": worker });
    body.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    shed.post("/v1/claims", &body).await
}

pub(crate) fn task_ids(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 200, "{reply:?}");
    let reply = reply.json();
    let tasks = reply["tasks"].as_array().unwrap();
    tasks.iter().map(|task| task["task_id"].as_str().unwrap().to_owned()).collect()
}

/// Hands one outcome back under the claim of a reply, and gives what became of it.
async fn ack(shed: &Shed, claimed: &Reply, id: &str, with: Value) -> String {
    let claimed = claimed.json();
    let tasks = claimed["tasks"].as_array().unwrap();
    let task = tasks.iter().find(|task| task["task_id"] == id).unwrap();
    let mut item = json!({ "task_id": id, "fence": task["lease"]["fence"] });
    item.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    let path = format!("/v1/claims/{}/ack", claimed["claim_id"].as_str().unwrap());
    let reply = shed.post(&path, &json!({ "results": [item] })).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["results"][0]["task_id"], id);
    reply.json()["results"][0]["outcome"].as_str().unwrap().into()
}

async fn renew(shed: &Shed, claimed: &Reply, lease: &str) -> Reply {
    let path = format!("/v1/claims/{}/renew", claimed.json()["claim_id"].as_str().unwrap());
    shed.post(&path, &json!({ "lease": lease })).await
}

/// Moves the store's clock and that of requests.
fn pass(shed: &Shed, length: Duration) {
    shed.clock.advance(length);
    shed.request_clock.advance(length);
}

#[tokio::test]
async fn a_worker_gets_whole_tasks_under_a_lease_that_nodes_show() {
    let shed = Shed::new().await;
    shed.add(json!({ "task_id": "a", "callback": "noop", "kwargs": { "n": 1 } })).await;
    shed.add(json!({ "task_id": "b", "callback": "noop", "queue": "other" })).await;

    let claimed = claim(&shed, "py-1", json!({ "lease": "20s", "limit": 5 })).await;

    assert_eq!(task_ids(&claimed), ["a"], "only of the queue `default`");
    let shown = shed.task("a").await;
    let mut got = claimed.json()["tasks"][0].take();
    assert_eq!(got.as_object_mut().unwrap().remove("traceparent"), Some(Value::Null));
    assert_eq!(got, shown);
    assert_eq!(claimed.json()["claim_id"], shown["lease"]["claim_id"]);
    assert_eq!(claimed.json()["expires_at"], "2027-01-15T08:00:20.000000Z");
    assert_eq!(shown["state"], "running");
    assert_eq!(shown["lease"]["node"], "py-1");
    let nodes = shed.get("/v1/nodes").await.json();
    let worker = &nodes["nodes"][0];
    let wanted = json!(["py-1", "remote", 1, START]);
    assert_eq!(
        json!([worker["name"], worker["kind"], worker["running"], worker["beat_at"]]),
        wanted
    );
}

#[tokio::test]
async fn nothing_due_is_an_empty_answer() {
    let shed = Shed::new().await;

    let claimed = claim(&shed, "w", json!({})).await;

    assert_eq!(claimed.status, 200);
    let nothing = json!({ "claim_id": null, "expires_at": null, "tasks": [] });
    assert_eq!(claimed.json(), nothing);
    assert_eq!(shed.get("/v1/nodes").await.json()["nodes"], json!([]));
}

#[tokio::test]
async fn queues_callbacks_and_limit_are_kept_to() {
    let shed = Shed::new().await;
    for index in 0..4 {
        shed.add(json!({ "task_id": format!("d{index}"), "callback": "noop" })).await;
    }
    shed.add(json!({ "task_id": "m", "callback": "mail", "queue": "mail" })).await;
    shed.add(json!({ "task_id": "x", "callback": "other", "queue": "mail" })).await;

    let queues =
        json!({ "queues": ["mail", "default"], "callbacks": ["mail", "noop"], "limit": 3 });
    let first = claim(&shed, "w", queues.clone()).await;
    let second = claim(&shed, "w", queues).await;

    // What others can run is parked for them and counts.
    assert_eq!(task_ids(&first), ["m", "d0"]);
    assert_eq!(task_ids(&second), ["d1", "d2", "d3"]);
    assert_eq!(shed.task("x").await["parked"], true);
}

/// Guards T3: a repeat is the same lease, not another one.
#[tokio::test]
async fn the_same_claim_id_gives_the_same_tasks() {
    let shed = Shed::new().await;
    shed.add(noop("a")).await;
    shed.add(noop("b")).await;
    let with = json!({ "claim_id": "mine", "limit": 1 });

    let first = claim(&shed, "w", with.clone()).await;
    let again = claim(&shed, "w", with.clone()).await;
    let foreign = claim(&shed, "thief", with.clone()).await;

    assert_eq!(task_ids(&first), ["a"]);
    assert_eq!(again.json(), first.json());
    foreign.problem(409, "conflict");
    assert_eq!(ack(&shed, &first, "a", json!({ "outcome": "completed" })).await, "done");
    assert!(task_ids(&claim(&shed, "w", with).await).is_empty(), "the claim has ended");
    assert_eq!(shed.task("b").await["state"], "scheduled");
}

#[tokio::test]
async fn each_outcome_does_what_it_says() {
    let shed = Shed::new().await;
    for id in ["c", "f", "d", "s", "r"] {
        shed.add(json!({ "task_id": id, "callback": "noop", "retention": "1h" })).await;
    }
    let claimed = claim(&shed, "w", json!({})).await;

    let result = json!({ "outcome": "completed", "result": { "n": [1, 2.5] } });
    assert_eq!(ack(&shed, &claimed, "c", result).await, "done");
    let failed = json!({ "outcome": "failed", "error": "out of paper" });
    assert_eq!(ack(&shed, &claimed, "f", failed).await, "done");
    let dead = json!({ "outcome": "dead", "error": "no such printer" });
    assert_eq!(ack(&shed, &claimed, "d", dead).await, "done");
    let snoozed = json!({ "outcome": "snoozed", "delay": "1m" });
    assert_eq!(ack(&shed, &claimed, "s", snoozed).await, "done");
    assert_eq!(ack(&shed, &claimed, "r", json!({ "outcome": "released" })).await, "done");

    let seen =
        |task: &Value| json!([task["state"], task["attempt"], task["last_error"]["message"]]);
    let completed = shed.task("c").await;
    assert_eq!(seen(&completed), json!(["completed", 1, null]));
    assert!(shed.get("/v1/tasks/c").await.body.contains("{\"n\":[1,2.5]}"));
    assert_eq!(seen(&shed.task("f").await), json!(["scheduled", 1, "out of paper"]));
    assert_eq!(shed.task("f").await["last_error"]["node"], "w");
    assert_eq!(seen(&shed.task("d").await), json!(["dead", 1, "no such printer"]));
    let snoozed = shed.task("s").await;
    assert_eq!(seen(&snoozed), json!(["scheduled", 0, null]));
    assert_eq!(snoozed["run_at"], "2027-01-15T08:01:00.000000Z");
    assert_eq!(seen(&shed.task("r").await), json!(["scheduled", 0, null]));
    assert_eq!(shed.get("/v1/nodes").await.json()["nodes"], json!([]), "the lease has ended");
}

/// Guards T5 and T6: an outcome counts once, and only under the claim and fence of its run.
#[tokio::test]
async fn an_outcome_that_comes_twice_or_too_late_is_stale() {
    let shed = Shed::new().await;
    shed.add(json!({ "task_id": "t", "callback": "noop", "retention": "1h" })).await;
    let completed = json!({ "outcome": "completed" });

    let first = claim(&shed, "w", json!({})).await;
    assert_eq!(ack(&shed, &first, "t", json!({ "outcome": "released" })).await, "done");
    let second = claim(&shed, "w", json!({})).await;
    assert_eq!(ack(&shed, &first, "t", completed.clone()).await, "stale");
    assert_eq!(shed.task("t").await["state"], "running");
    let wrong_fence = json!({ "outcome": "completed", "fence": 1 });
    assert_eq!(ack(&shed, &second, "t", wrong_fence).await, "stale");
    assert_eq!(ack(&shed, &second, "t", completed.clone()).await, "done");
    assert_eq!(ack(&shed, &second, "t", completed).await, "stale");

    let unknown = json!({ "results": [{ "task_id": "t", "fence": 1, "outcome": "completed" }] });
    let reply = shed.post("/v1/claims/none/ack", &unknown).await;
    assert_eq!(reply.json()["results"], json!([{ "task_id": "t", "outcome": "stale" }]));
}

/// Guards T3: the successor of a run that was replaced waits until that run lets go.
#[tokio::test]
async fn an_outcome_of_a_replaced_task_is_stale_and_lets_its_successor_go() {
    let shed = Shed::new().await;
    shed.add(noop("t")).await;
    let first = claim(&shed, "w", json!({})).await;
    shed.add(json!({ "task_id": "t", "callback": "other", "queue": "mail" })).await;

    let renewed = renew(&shed, &first, "30s").await;
    assert_eq!(renewed.json()["cancelled"], json!(["t"]));
    assert!(task_ids(&claim(&shed, "v", json!({ "queues": ["mail"] })).await).is_empty());
    assert_eq!(ack(&shed, &first, "t", json!({ "outcome": "completed" })).await, "stale");

    let second = claim(&shed, "v", json!({ "queues": ["mail"] })).await;
    assert_eq!(task_ids(&second), ["t"]);
    assert_eq!(second.json()["tasks"][0]["callback"], "other");
}

#[tokio::test]
async fn a_renewal_moves_the_end_and_tells_what_was_cancelled() {
    let shed = Shed::new().await;
    shed.add(noop("a")).await;
    shed.add(noop("b")).await;
    let claimed = claim(&shed, "w", json!({ "lease": "10s" })).await;
    pass(&shed, 4 * SECOND);

    let renewed = renew(&shed, &claimed, "1m").await;
    let wanted = json!({
        "expires_at": "2027-01-15T08:01:04.000000Z", "cancelled": [], "timed_out": [],
    });
    assert_eq!(renewed.json(), wanted);
    assert_eq!(shed.task("a").await["lease"]["expires_at"], wanted["expires_at"]);
    shed.post("/v1/tasks/cancel", &json!({ "task_ids": ["a"] })).await;
    assert_eq!(renew(&shed, &claimed, "30s").await.json()["cancelled"], json!(["a"]));
    let failed = json!({ "outcome": "failed", "error": "told to stop" });
    assert_eq!(ack(&shed, &claimed, "a", failed).await, "done");

    assert_eq!(shed.task("a").await["state"], "cancelled");
    assert_eq!(ack(&shed, &claimed, "b", json!({ "outcome": "completed" })).await, "done");
    renew(&shed, &claimed, "30s").await.problem(410, "gone");
    shed.post("/v1/claims/none/renew", &json!({})).await.problem(410, "gone");
}

#[tokio::test]
async fn a_task_that_timed_out_is_told_and_later_taken_as_failed() {
    let shed = Shed::new().await;
    shed.add(json!({ "task_id": "slow", "callback": "noop", "timeout": "5s" })).await;
    shed.add(noop("other")).await;
    let claimed = claim(&shed, "w", json!({ "lease": "10m" })).await;
    let timed_out = async || renew(&shed, &claimed, "10m").await.json()["timed_out"].clone();

    pass(&shed, 4 * SECOND);
    assert_eq!(timed_out().await, json!([]));
    pass(&shed, 2 * SECOND);
    assert_eq!(timed_out().await, json!(["slow"]));
    pass(&shed, 28 * SECOND);
    assert_eq!(timed_out().await, json!(["slow"]), "not yet taken");
    pass(&shed, 2 * SECOND);
    while shed.task("slow").await["state"] == "running" {
        pass(&shed, SECOND);
    }

    let slow = shed.task("slow").await;
    assert_eq!(slow["attempt"], 1);
    assert_eq!(slow["last_error"]["message"], "timed out after 5s");
    assert_eq!(timed_out().await, json!([]));
    assert_eq!(ack(&shed, &claimed, "slow", json!({ "outcome": "completed" })).await, "stale");
    assert_eq!(shed.task("other").await["state"], "running");
}

/// A worker may ask another node each time: what a node knows of a claim it finds in the store.
#[tokio::test]
async fn another_node_goes_on_with_a_claim() {
    let shed = Shed::new().await;
    let other = shed.another().await;
    shed.add(json!({ "task_id": "t", "callback": "noop", "timeout": "5s" })).await;
    let claimed = claim(&shed, "w", json!({ "lease": "10m" })).await;
    pass(&shed, 6 * SECOND);

    assert_eq!(renew(&other, &claimed, "10m").await.json()["timed_out"], json!(["t"]));
    assert_eq!(ack(&other, &claimed, "t", json!({ "outcome": "completed" })).await, "done");

    assert_eq!(ack(&shed, &claimed, "t", json!({ "outcome": "completed" })).await, "stale");
}

#[tokio::test]
async fn who_waits_gets_a_task_as_soon_as_it_comes() {
    let shed = Shed::new().await;
    let wait = json!({ "wait": "20s" });

    let (claimed, ()) = tokio::join!(claim(&shed, "w", wait), async {
        while shed.store.calls("claim") < 2 {
            tokio::task::yield_now().await;
        }
        shed.add(noop("t")).await;
    });

    assert_eq!(task_ids(&claimed), ["t"]);
}

/// Guards T8: not before its `run_at`, by the store's clock.
#[tokio::test]
async fn who_waits_gets_a_task_when_it_is_due() {
    let shed = Shed::new().await;
    shed.add(json!({ "task_id": "t", "callback": "noop", "run_in": "3s" })).await;

    let (claimed, ()) = tokio::join!(claim(&shed, "w", json!({ "wait": "20s" })), async {
        while shed.store.calls("claim") < 2 {
            tokio::task::yield_now().await;
        }
        for _ in 0..30 {
            pass(&shed, Duration::from_millis(100));
            tokio::task::yield_now().await;
        }
    });

    assert_eq!(task_ids(&claimed), ["t"]);
    let run_at = Timestamp::parse(claimed.json()["tasks"][0]["run_at"].as_str().unwrap()).unwrap();
    assert!(claimed.json()["tasks"][0]["lease"]["fence"].as_i64().unwrap() >= run_at.as_us());
}

#[tokio::test]
async fn a_store_that_gives_no_hints_is_asked_again_and_again() {
    let shed = Shed::new().await;
    shed.store.mute();

    let (claimed, ()) = tokio::join!(claim(&shed, "w", json!({ "wait": "20s" })), async {
        while shed.store.calls("claim") < 2 {
            tokio::task::yield_now().await;
        }
        shed.add(noop("t")).await;
        shed.request_clock.advance(SECOND);
    });

    assert_eq!(task_ids(&claimed), ["t"]);
}

#[tokio::test]
async fn a_wait_that_is_over_answers_with_nothing() {
    let shed = Shed::new().await;

    let waiting = claim(&shed, "w", json!({ "wait": "20s" }));
    let claimed = shed.while_time_passes(waiting).await;

    assert!(task_ids(&claimed).is_empty());
}

#[tokio::test]
async fn a_client_that_went_away_while_it_waited_claims_nothing() {
    let shed = Shed::new().await;
    let mut waiting = shed.client().await;
    waiting.begin("/v1/claims", &json!({ "worker": "gone", "wait": "10m" })).await;
    while shed.store.calls("claim") < 2 {
        tokio::task::yield_now().await;
    }

    drop(waiting);
    shed.add(noop("t")).await;
    let claimed = claim(&shed, "there", json!({ "wait": "20s" })).await;

    assert_eq!(task_ids(&claimed), ["t"]);
    assert_eq!(claimed.json()["tasks"][0]["crashes"], 0);
}

/// Guards T1: what a call brought that was under way when its client left is put back at once.
#[tokio::test]
async fn what_comes_for_a_client_that_went_away_is_put_back() {
    let shed = Shed::new().await;
    shed.add(noop("t")).await;
    shed.store.hang("claim", true);
    let mut waiting = shed.client().await;
    waiting.begin("/v1/claims", &json!({ "worker": "gone" })).await;
    while shed.store.calls("claim") < 1 {
        tokio::task::yield_now().await;
    }

    drop(waiting);
    // Another request on the same server: by then it has seen the end of the connection.
    for _ in 0..100 {
        shed.get("/healthz").await;
    }
    shed.store.hang("claim", false);
    while shed.store.calls("ack") < 1 {
        tokio::task::yield_now().await;
    }

    let claimed = claim(&shed, "there", json!({ "wait": "20s" })).await;
    assert_eq!(task_ids(&claimed), ["t"]);
    assert_eq!(claimed.json()["tasks"][0]["attempt"], 1);
}

#[tokio::test]
async fn who_waits_is_answered_when_the_server_closes() {
    let mut shed = Shed::new().await;
    let mut servers = std::mem::take(&mut shed.servers);
    let mut waiting = shed.client().await;
    waiting.begin("/v1/claims", &json!({ "worker": "w", "wait": "10m" })).await;
    while shed.store.calls("claim") < 2 {
        tokio::task::yield_now().await;
    }

    shed.shutdown.cancel();

    assert!(task_ids(&waiting.reply().await).is_empty());
    servers.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_wait_outlasts_a_short_outage() {
    let shed = Shed::new().await;

    let waiting = claim(&shed, "w", json!({ "wait": "10m" }));
    let (claimed, ()) = tokio::join!(waiting, async {
        while shed.store.calls("claim") < 2 {
            tokio::task::yield_now().await;
        }
        shed.store.cut(true);
        let calls = shed.store.calls("claim");
        while shed.store.calls("claim") < calls + 3 {
            shed.request_clock.advance(SECOND);
            tokio::task::yield_now().await;
        }
        shed.store.cut(false);
        shed.add(noop("t")).await;
        shed.request_clock.advance(SECOND);
    });

    assert_eq!(task_ids(&claimed), ["t"]);
}

/// Guards N2 and N4: a worker that falls silent loses its tasks to others, and its crash is counted;
/// a task with four crashes is given to a worker that has nothing else, and alone.
#[tokio::test]
async fn a_lapsed_claim_is_reclaimed_and_suspects_run_alone() {
    let shed = Shed::new().await;
    shed.add(json!({ "task_id": "bad", "callback": "noop", "priority": "critical" })).await;
    for crashes in 0..4 {
        assert_eq!(shed.task("bad").await["crashes"], crashes);
        pass(&shed, 20 * SECOND);
        let claimed = claim(&shed, "w", json!({ "lease": "10s" })).await;
        assert_eq!(task_ids(&claimed), ["bad"]);
        pass(&shed, 16 * SECOND);
        shed.reclaim().await;
        renew(&shed, &claimed, "10s").await.problem(410, "gone");
        let late = ack(&shed, &claimed, "bad", json!({ "outcome": "completed" })).await;
        assert_eq!(late, "stale");
    }

    pass(&shed, 20 * SECOND);
    shed.add(noop("good")).await;
    shed.add(json!({ "task_id": "first", "callback": "noop", "queue": "mail" })).await;
    let busy = claim(&shed, "w", json!({ "queues": ["mail"] })).await;
    assert_eq!(task_ids(&busy), ["first"]);
    assert!(task_ids(&claim(&shed, "w", json!({})).await).is_empty(), "it is to become idle first");
    assert_eq!(ack(&shed, &busy, "first", json!({ "outcome": "completed" })).await, "done");
    assert_eq!(task_ids(&claim(&shed, "w", json!({})).await), ["bad"]);
    assert_eq!(task_ids(&claim(&shed, "v", json!({})).await), ["good"]);
}
