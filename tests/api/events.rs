//! What happens, as a stream.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use super::Shed;
use super::asked::Client;
use super::claims::claim;
use super::fixture::START;
use super::fixture::noop;

/// One who follows, from after an event if its id is given.
async fn follow(shed: &Shed, last: Option<&str>) -> Client {
    let mut client = shed.client().await;
    let last = last.map(|last| format!("last-event-id: {last}\r\n")).unwrap_or_default();
    let request = format!("GET /v1/events HTTP/1.1\r\nhost: localhost\r\n{last}\r\n");
    let head = client.send(request.as_bytes()).await;
    assert_eq!(head.status, 200, "{head:?}");
    assert!(head.headers.contains("content-type: text/event-stream"), "{head:?}");
    client.until("\nretry: 1000\n\n").await;
    client
}

/// Id, name and data of the next event.
async fn next(client: &mut Client) -> (String, String, Value) {
    client.until("id: ").await;
    let id = client.until("\nevent: ").await;
    let name = client.until("\ndata: ").await;
    let data = client.until("\n\n").await;
    (id, name, serde_json::from_str(&data).unwrap())
}

#[tokio::test]
async fn each_step_of_a_task_is_told() {
    let shed = Shed::new().await;
    let mut follower = follow(&shed, None).await;
    shed.add(json!({ "task_id": "t", "callback": "noop", "interval": 5 })).await;
    let claimed = claim(&shed, "w", json!({ "claim_id": "c" })).await.json();
    let fence = &claimed["tasks"][0]["lease"]["fence"];
    let ack = async |outcome: &str| {
        let item = json!({ "task_id": "t", "fence": fence, "outcome": outcome });
        shed.post("/v1/claims/c/ack", &json!({ "results": [item] })).await;
    };
    ack("completed").await;

    let (_, name, data) = next(&mut follower).await;
    let wanted = json!({ "task_id": "t", "at": START });
    assert_eq!((name.as_str(), data), ("task.added", wanted));
    let (_, name, data) = next(&mut follower).await;
    assert_eq!(
        (name.as_str(), &data["task_id"], &data["fence"]),
        ("task.started", &json!("t"), fence)
    );
    let (_, name, data) = next(&mut follower).await;
    assert_eq!((name.as_str(), &data["state"]), ("task.completed", &json!("scheduled")));
    assert_eq!((&data["node"], &data["attempt"]), (&json!("w"), &json!(1)));
}

#[tokio::test]
async fn a_stream_is_not_held_back_to_be_compressed() {
    let shed = Shed::new().await;
    let mut client = shed.client().await;
    let request = "GET /v1/events HTTP/1.1\r\nhost: localhost\r\naccept-encoding: gzip\r\n\r\n";

    let head = client.send(request.as_bytes()).await;

    assert!(!head.headers.contains("content-encoding"), "{head:?}");
    client.until("\nretry: 1000\n\n").await;
}

#[tokio::test]
async fn who_was_cut_off_goes_on_where_it_was() {
    let shed = Shed::new().await;
    let mut first = follow(&shed, None).await;
    shed.add(noop("a")).await;
    shed.add(noop("b")).await;
    let (id, ..) = next(&mut first).await;
    drop(first);
    shed.add(noop("c")).await;

    let mut second = follow(&shed, Some(&id)).await;
    shed.add(noop("d")).await;

    for wanted in ["b", "c", "d"] {
        let (_, name, data) = next(&mut second).await;
        assert_eq!((name.as_str(), &data["task_id"]), ("task.added", &json!(wanted)));
    }
}

#[tokio::test]
async fn who_was_cut_off_before_the_first_event_goes_on_from_the_greeting() {
    let shed = Shed::new().await;
    let mut first = shed.client().await;
    first.start("GET", "/v1/events").await;
    first.until("\r\n\r\n").await;
    first.until("id: ").await;
    let id = first.until("\nretry: 1000\n\n").await;
    drop(first);
    shed.add(noop("a")).await;

    let mut second = follow(&shed, Some(&id)).await;

    assert_eq!(next(&mut second).await.2["task_id"], "a");
}

#[tokio::test]
async fn a_follower_that_is_too_slow_is_told_to_look_anew() {
    let shed = Shed::new().await;
    let (mut slow, mut quick) = (follow(&shed, None).await, follow(&shed, None).await);
    let long = |index: usize| noop(&format!("{index}{}", "x".repeat(240)));
    for round in 0..40 {
        let tasks: Vec<_> = (0..1000).map(|index| long(round * 1000 + index)).collect();
        shed.post("/v1/tasks", &json!({ "tasks": tasks })).await;
        let last = long(round * 1000 + 999);
        while next(&mut quick).await.2["task_id"] != last["task_id"] {}
    }

    let mut seen = 0;
    loop {
        match next(&mut slow).await.1.as_str() {
            "task.added" => seen += 1,
            name => break assert_eq!(name, "reset"),
        }
    }
    shed.add(noop("b")).await;
    assert_eq!(next(&mut slow).await.2["task_id"], "b", "after {seen}");
}

#[tokio::test]
async fn who_missed_events_is_told_to_look_anew() {
    let shed = Shed::new().await;
    for last in ["other-0", "other-7", "nonsense", "", "x-99999999999999999999"] {
        let mut follower = follow(&shed, Some(last)).await;
        assert_eq!(next(&mut follower).await.1, "reset", "{last}");
    }

    let mut first = follow(&shed, None).await;
    shed.add(noop("a")).await;
    let (id, ..) = next(&mut first).await;
    let tasks: Vec<_> = (0..1000).map(|index| noop(&index.to_string())).collect();
    shed.post("/v1/tasks", &json!({ "tasks": tasks })).await;
    shed.add(noop("b")).await;
    while next(&mut first).await.2["task_id"] != "b" {}
    let mut late = follow(&shed, Some(&id)).await;

    let (reset, name, _) = next(&mut late).await;
    assert_eq!(name, "reset");
    shed.add(noop("c")).await;
    assert_eq!(next(&mut late).await.2["task_id"], "c");
    drop(late);
    let mut again = follow(&shed, Some(&reset)).await;
    assert_eq!(next(&mut again).await.2["task_id"], "c", "the id of a reset is one to go on from");
}

#[tokio::test]
async fn a_stream_gives_signs_of_life_and_ends_with_the_server() {
    let shed = Shed::new().await;
    let mut follower = follow(&shed, None).await;
    shed.while_time_passes(follower.until(":\n\n")).await;

    shed.add(noop("last")).await;
    shed.shutdown.cancel();

    let rest = follower.end().await;
    assert!(rest.contains("task.added") && rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
}

#[tokio::test]
async fn a_minute_after_the_last_follower_all_is_forgotten() {
    let shed = Shed::new().await;
    let mut first = follow(&shed, None).await;
    shed.add(noop("a")).await;
    let (id, ..) = next(&mut first).await;
    drop(first);
    for _ in 0..200 {
        shed.get("/healthz").await;
    }
    shed.request_clock.advance(Duration::from_secs(61));
    for _ in 0..10 {
        shed.get("/healthz").await;
    }

    let mut late = follow(&shed, Some(&id)).await;

    assert_eq!(next(&mut late).await.1, "reset");
    shed.get("/v1/events?colour=red").await.problem(400, "bad-query");
}
