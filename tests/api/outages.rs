//! What is answered when the store is away, and what an add does about it.

use serde_json::json;
use taskshed::domain::draft::Task;
use taskshed::http::Api;
use taskshed::http::serve;
use taskshed::scheduler::ADD_TRIES;
use taskshed::scheduler::Error;
use taskshed::scheduler::Outcome;
use taskshed::store;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Shed;
use super::asked::Client;
use super::faulty::Fault;
use super::fixture::noop;

#[tokio::test]
async fn every_route_that_needs_the_store_says_when_it_is_away() {
    let shed = Shed::new().await;
    shed.store.cut(true);

    let gets = ["/v1/tasks", "/v1/tasks?task_id=t", "/v1/tasks/t", "/v1/tasks/t?wait=1s"];
    for path in gets.into_iter().chain(["/v1/next-wakeup", "/v1/queues", "/v1/nodes", "/v1/leader"])
    {
        let reply = shed.get(path).await;
        reply.problem(503, "store-away");
        assert!(reply.headers.contains("retry-after: 1\r\n"), "{reply:?}");
    }
    for (path, body) in [
        ("/v1/tasks", noop("t")),
        ("/v1/tasks", json!({ "callback": "noop", "cron": "@daily" })),
        ("/v1/tasks/pause", json!({ "group_id": "g" })),
        ("/v1/tasks/cancel", json!({ "queue": "mail" })),
        ("/v1/tasks/remove", json!({ "all": true })),
        ("/v1/queues/mail/pause", json!({})),
        ("/v1/queues/mail/resume", json!({})),
        ("/v1/leader/resign", json!({})),
        ("/v1/nodes/anna/drain", json!({})),
        ("/v1/claims", json!({ "worker": "w" })),
        ("/v1/claims", json!({ "worker": "w", "wait": "20s" })),
        ("/v1/claims/c/renew", json!({})),
        (
            "/v1/claims/c/ack",
            json!({ "results": [{ "task_id": "t", "fence": 1, "outcome": "released" }] }),
        ),
    ] {
        shed.post(path, &body).await.problem(503, "store-away");
    }
    assert_eq!(shed.get("/healthz").await.status, 200);

    shed.store.cut(false);
    assert_eq!(shed.get("/v1/tasks").await.status, 200);
}

/// A store that nobody has looked at may be none of ours.
#[tokio::test]
async fn a_store_that_is_not_prepared_is_asked_nothing() {
    let prepared = CancellationToken::new();
    let shed = Shed::with(|api| api.prepared(prepared.clone())).await;

    shed.post("/v1/tasks", &noop("t")).await.problem(503, "store-away");
    shed.get("/v1/tasks/t").await.problem(503, "store-away");
    shed.post("/v1/claims", &json!({ "worker": "w", "wait": "20s" }))
        .await
        .problem(503, "store-away");
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        assert_eq!(shed.get(path).await.status, 200, "{path}");
    }
    shed.get("/v1/nothing").await.problem(404, "not-found");
    assert_eq!(shed.store.all_calls(), 0);

    prepared.cancel();
    assert_eq!(shed.post("/v1/tasks", &noop("t")).await.status, 201);
}

#[tokio::test]
async fn a_request_that_is_wrong_is_refused_although_the_store_is_away() {
    let shed = Shed::new().await;
    shed.store.cut(true);

    let task = json!({ "callback": "noop", "queue": "not a queue" });

    shed.post("/v1/tasks", &task).await.fault(Some(0), "queue");
}

/// Guards T1 and T6: the repeat finds its own work and answers as the first time would have.
#[tokio::test]
async fn an_add_whose_reply_was_lost_is_repeated_and_adds_once() {
    let shed = Shed::new().await;

    shed.store.plan("add", Fault::Reply, 2);
    let reply = shed.post("/v1/tasks", &json!({ "callback": "noop" })).await;

    assert_eq!(reply.status, 201, "{reply:?}");
    assert_eq!(reply.json()["tasks"][0]["outcome"], "created");
    assert_eq!(shed.store.calls("add"), 3);
    assert_eq!(shed.count().await, 1);
}

#[tokio::test]
async fn an_add_is_repeated_so_often_and_no_more() {
    let shed = Shed::new().await;
    let task = || Task::new("noop", &json!({})).unwrap();

    shed.store.plan("add", Fault::Request, 2);
    let added = shed.scheduler.add(task()).await.unwrap();
    assert_eq!(added.outcome, Outcome::Created);
    shed.store.plan("add", Fault::Request, usize::MAX);
    let refused = shed.scheduler.add(task()).await.unwrap_err();

    assert!(matches!(refused, Error::Store(store::Error::Unavailable { .. })), "{refused:?}");
    assert!(refused.is_transient());
    assert_eq!(shed.store.calls("add"), 3 + ADD_TRIES as usize);
    assert_eq!(shed.count().await, 1);
}

#[tokio::test]
async fn a_wait_outlasts_a_short_outage() {
    let shed = Shed::new().await;
    shed.add(noop("t")).await;
    let mut waiting = shed.client().await;

    let (reply, ()) = tokio::join!(waiting.get("/v1/tasks/t?wait=30s"), async {
        while shed.store.calls("fetch") < 1 {
            tokio::task::yield_now().await;
        }
        shed.store.cut(true);
        while shed.store.calls("fetch") < 3 {
            tokio::task::yield_now().await;
        }
        shed.store.cut(false);
        let claimed = shed.claim(1).await;
        shed.ack(&claimed, &taskshed::domain::state::Outcome::Completed(None)).await;
    });

    assert_eq!(reply.json()["state"], "completed", "{reply:?}");
}

#[tokio::test]
async fn the_server_closes_although_the_store_hangs() {
    let mut shed = Shed::new().await;
    let mut servers = std::mem::take(&mut shed.servers);
    stuck(&shed).await;

    shed.shutdown.cancel();
    let ended = shed.while_time_passes(servers.join_next()).await;

    ended.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_store_that_hangs_is_answered_for_in_the_end() {
    let shed = Shed::new().await;
    let mut waiting = stuck(&shed).await;

    let reply = shed.while_time_passes(waiting.reply()).await;

    reply.problem(503, "store-away");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for_for_ever() {
    let shed = Shed::new().await;
    let mut slow = shed.client().await;
    let head = "POST /v1/tasks HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{";

    let reply = shed.while_time_passes(slow.send(head.as_bytes())).await;

    reply.problem(408, "body-too-slow");
}

#[tokio::test]
async fn a_panic_costs_one_request_and_not_the_connection() {
    let shed = Shed::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let api = Api::new(shed.scheduler.clone()).readiness(|| panic!("a fault of ours"));
    let mut servers = JoinSet::new();
    servers.spawn(serve(listener, api, std::future::pending()));

    let mut client = Client::connect(address).await;
    client.get("/readyz").await.problem(500, "internal");
    assert_eq!(client.get("/healthz").await.status, 200);
}

/// A connection whose request waits for a store that hangs.
async fn stuck(shed: &Shed) -> Client {
    let mut client = shed.client().await;
    shed.store.freeze(true);
    client.start("GET", "/v1/queues").await;
    while shed.store.calls("stats") < 1 {
        tokio::task::yield_now().await;
    }
    client
}
