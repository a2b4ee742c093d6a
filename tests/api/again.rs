//! Requests that come again, their names, and bodies that are compressed.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use super::Shed;
use super::asked::Reply;
use super::claims::task_ids;
use super::fixture::noop;

/// What `gzip` makes of `{"task_id":"z","callback":"noop"}`.
const GZIPPED: [u8; 51] = [
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 171, 86, 42, 73, 44, 206, 142, 207, 76, 81, 178, 82, 170, 82,
    210, 81, 74, 78, 204, 201, 73, 74, 76, 206, 6, 114, 243, 242, 243, 11, 148, 106, 1, 216, 150,
    100, 145, 33, 0, 0, 0,
];

async fn send(shed: &Shed, path: &str, headers: &str, body: &[u8]) -> Reply {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    shed.client().await.send(&[head.as_bytes(), body].concat()).await
}

async fn keyed(shed: &Shed, key: &str, path: &str, body: &Value) -> Reply {
    send(shed, path, &format!("idempotency-key: {key}"), body.to_string().as_bytes()).await
}

#[tokio::test]
async fn a_request_with_a_key_that_comes_again_gets_the_first_reply() {
    let shed = Shed::new().await;
    let add = json!({ "callback": "noop" });

    let first = keyed(&shed, "k1", "/v1/tasks", &add).await;
    let again = keyed(&shed, "k1", "/v1/tasks", &add).await;
    let other = keyed(&shed, "k2", "/v1/tasks", &add).await;

    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(again.body, first.body);
    assert!(again.headers.contains("idempotency-replayed: true"), "{again:?}");
    assert!(again.headers.contains("content-type: application/json"), "{again:?}");
    assert_ne!(other.body, first.body);
    assert_eq!((shed.count().await, shed.store.calls("add")), (2, 2));

    keyed(&shed, "k1", "/v1/tasks", &noop("x")).await.fault(None, "Idempotency-Key");
    assert_eq!(
        keyed(&shed, "k1", "/v1/tasks/pause", &json!({ "task_ids": ["x"] })).await.status,
        200
    );
    keyed(&shed, "k 1", "/v1/tasks", &add).await.fault(None, "Idempotency-Key");
    keyed(&shed, &"k".repeat(256), "/v1/tasks", &add).await.fault(None, "Idempotency-Key");
    let refused = keyed(&shed, "k3", "/v1/tasks", &json!({})).await;
    assert_eq!(keyed(&shed, "k3", "/v1/tasks", &json!({})).await.body, refused.body);
}

#[tokio::test]
async fn a_day_later_a_key_is_forgotten() {
    let shed = Shed::new().await;
    let ask = json!({ "group_id": "g" });
    keyed(&shed, "k", "/v1/tasks/pause", &ask).await;
    shed.request_clock.advance(Duration::from_secs(86_399));
    keyed(&shed, "k", "/v1/tasks/pause", &ask).await;
    assert_eq!(shed.store.calls("change"), 1);

    shed.request_clock.advance(Duration::from_secs(1));
    keyed(&shed, "k", "/v1/tasks/pause", &ask).await;
    assert_eq!(shed.store.calls("change"), 2);
}

/// Guards T6: an add that comes again through another node finds its own work, also what has ended.
#[tokio::test]
async fn an_add_with_a_key_is_one_add_through_every_node() {
    let shed = Shed::new().await;
    let other = shed.another().await;
    let batch =
        json!({ "tasks": [{ "callback": "noop" }, { "callback": "noop", "unique_key": "u" }] });

    let first = keyed(&shed, "k", "/v1/tasks", &batch).await;
    let claimed = shed.claim(1).await;
    shed.ack(&claimed, &taskshed::domain::state::Outcome::Completed(None)).await;
    let again = keyed(&other, "k", "/v1/tasks", &batch).await;

    assert_eq!(again.status, 201, "{again:?}");
    assert_eq!(again.body, first.body);
    assert_eq!(shed.count().await, 2);
    let ended = claimed.tasks[0].id.as_str();
    assert_eq!(shed.task(ended).await["state"], "completed", "it does not run again");
}

#[tokio::test]
async fn a_claim_with_a_key_is_one_claim_through_every_node() {
    let shed = Shed::new().await;
    let other = shed.another().await;
    shed.add(noop("a")).await;
    shed.add(noop("b")).await;
    let wish = json!({ "worker": "w", "limit": 1 });

    let first = keyed(&shed, "k", "/v1/claims", &wish).await;
    let again = keyed(&other, "k", "/v1/claims", &wish).await;

    assert_eq!(task_ids(&first), ["a"]);
    assert_eq!(again.json(), first.json());
}

#[tokio::test]
async fn what_met_an_absent_store_is_tried_again() {
    let shed = Shed::new().await;
    shed.store.cut(true);
    let add = json!({ "callback": "noop" });
    keyed(&shed, "k", "/v1/tasks", &add).await.problem(503, "store-away");

    shed.store.cut(false);

    assert_eq!(keyed(&shed, "k", "/v1/tasks", &add).await.status, 201);
}

#[tokio::test]
async fn while_the_first_is_under_way_the_second_is_told_so() {
    let shed = Shed::new().await;
    shed.store.hang("change", true);
    let ask = json!({ "group_id": "g" });

    let (first, ()) = tokio::join!(keyed(&shed, "k", "/v1/tasks/pause", &ask), async {
        while shed.store.calls("change") < 1 {
            tokio::task::yield_now().await;
        }
        let second = keyed(&shed, "k", "/v1/tasks/pause", &ask).await;
        second.problem(409, "conflict");
        assert!(second.headers.contains("retry-after: 1"), "{second:?}");
        shed.store.hang("change", false);
    });

    assert_eq!(first.status, 200);
}

#[tokio::test]
async fn every_reply_names_its_request() {
    let shed = Shed::new().await;
    let name = |reply: &Reply| {
        let rest = reply.headers.split("x-request-id: ").nth(1).unwrap().to_owned();
        rest.split("\r\n").next().unwrap().to_owned()
    };

    let own = send(&shed, "/v1/tasks", "x-request-id: abc-1", b"{}").await;
    assert_eq!(name(&own), "abc-1");
    let (first, second) = (shed.get("/v1/tasks").await, shed.get("/nowhere").await);
    assert_ne!(name(&first), name(&second));
    let bad = send(&shed, "/v1/tasks", &format!("x-request-id: {}", "x".repeat(129)), b"{}").await;
    assert!(name(&bad).len() < 64, "{bad:?}");
}

#[tokio::test]
async fn bodies_and_replies_may_be_compressed() {
    let shed = Shed::new().await;
    let body: &[u8] = &GZIPPED;

    let added = send(&shed, "/v1/tasks", "content-encoding: gzip", body).await;
    assert_eq!(added.status, 201, "{added:?}");
    assert_eq!(shed.task("z").await["callback"], "noop");
    let wrong = send(&shed, "/v1/tasks", "content-encoding: br", body).await;
    wrong.problem(415, "unknown-encoding");
    let broken = send(&shed, "/v1/tasks", "content-encoding: gzip", &body[..20]).await;
    broken.problem(400, "not-json");

    let request = "GET /openapi.json HTTP/1.1\r\nhost: localhost\r\naccept-encoding: gzip\r\n\
                   connection: close\r\n\r\n";
    let mut client = shed.client().await;
    client.write(request.as_bytes()).await;
    let large = client.end().await;
    assert!(large.contains("content-encoding: gzip"), "{large}");
    let small = send(&shed, "/v1/tasks", "accept-encoding: gzip", b"{}").await;
    assert!(!small.headers.contains("content-encoding"), "{small:?}");
}

#[tokio::test]
async fn who_waits_is_answered_when_the_node_drains() {
    let leaving = tokio_util::sync::CancellationToken::new();
    let told = leaving.clone();
    let shed = Shed::with(|api| api.leaving(leaving)).await;
    shed.add(json!({ "task_id": "t", "callback": "noop", "run_in": "1h" })).await;
    let (mut waiting, mut claiming) = (shed.client().await, shed.client().await);
    waiting.start("GET", "/v1/tasks/t?wait=10m").await;
    claiming.begin("/v1/claims", &json!({ "worker": "w", "wait": "10m" })).await;
    while shed.store.calls("fetch") < 2 || shed.store.calls("claim") < 2 {
        tokio::task::yield_now().await;
    }

    told.cancel();

    assert_eq!(waiting.reply().await.json()["state"], "scheduled");
    assert!(task_ids(&claiming.reply().await).is_empty());
    assert_eq!(shed.get("/v1/tasks/t").await.status, 200, "it still serves");
}
