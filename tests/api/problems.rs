//! Every documented error of every route that is not about a task's fields.

use serde_json::json;

use super::Shed;

const POSTS: [&str; 10] = [
    "/v1/tasks",
    "/v1/tasks/pause",
    "/v1/tasks/resume",
    "/v1/tasks/cancel",
    "/v1/tasks/retry",
    "/v1/tasks/remove",
    "/v1/tasks/reschedule",
    "/v1/claims",
    "/v1/claims/c/renew",
    "/v1/claims/c/ack",
];

#[tokio::test]
async fn a_body_that_is_not_json_is_told_so() {
    let shed = Shed::new().await;
    let mut client = shed.client().await;

    for path in POSTS {
        for body in ["", "{", "{\"a\":1}x", "{'a':1}", "{\"a\":01}", "nul", "{\"a\":\"\u{1}\"}"] {
            client.post(path, body).await.problem(400, "not-json");
        }
        client.ask("POST", path, Some(b"{\"a\":\"\xff\"}")).await.problem(400, "not-json");
    }
}

#[tokio::test]
async fn json_that_is_no_object_is_told_so() {
    let shed = Shed::new().await;
    let mut client = shed.client().await;

    for path in POSTS {
        for body in ["[]", "null", "1", "\"x\"", "[{\"callback\":\"noop\"}]"] {
            client.post(path, body).await.fault(None, "body");
        }
    }
}

#[tokio::test]
async fn a_bad_query_is_told_so() {
    let shed = Shed::new().await;
    let long = format!("group_id={}", "x".repeat(256));

    for query in [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=x",
        "limit=",
        "limit=1&limit=2",
        "state=sleeping",
        "state=Dead",
        "queue=a%20b",
        "queue=",
        "group_id=",
        "group_id=%0A",
        "callback=",
        "task_id=",
        "task_id=a&task_id=%00",
        "colour=red",
        "queue=a&queue=b",
        long.as_str(),
    ] {
        shed.get(&format!("/v1/tasks?{query}")).await.problem(400, "bad-query");
    }
    for query in ["wait=", "wait=5", "wait=x", "wait=11m", "wait=1s&wait=2s", "colour=red"] {
        shed.get(&format!("/v1/tasks/t?{query}")).await.problem(400, "bad-query");
    }
    let many: Vec<_> = (0..1001).map(|index| format!("task_id={index}")).collect();
    shed.get(&format!("/v1/tasks?{}", many.join("&"))).await.fault(None, "task_id");
}

#[tokio::test]
async fn what_is_not_there_is_told_so() {
    let shed = Shed::new().await;
    let long = format!("/v1/tasks/{}", "x".repeat(256));

    for path in ["/v1/tasks/none", "/v1/tasks/%FF", "/v1/tasks/%00", long.as_str()] {
        shed.get(path).await.problem(404, "not-found");
    }
    for path in ["/", "/v1", "/v1/tasks/", "/v1/tasks/a/b", "/v2/tasks", "/v1/queues/mail"] {
        shed.get(path).await.problem(404, "not-found");
    }
    shed.post("/v1/tasks/explode", &json!({})).await.problem(404, "not-found");
    shed.post("/v1/queues/%FF/pause", &json!({})).await.problem(404, "not-found");
    let ack = json!({ "results": [{ "task_id": "t", "fence": 1, "outcome": "released" }] });
    shed.post("/v1/claims/%FF/ack", &ack).await.problem(404, "not-found");
    shed.post("/v1/claims/%FF/renew", &json!({})).await.problem(410, "gone");
    shed.post("/v1/queues/a%20b/pause", &json!({})).await.fault(None, "queue");
}

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_told_so() {
    let shed = Shed::new().await;
    let mut client = shed.client().await;

    for (path, allowed) in [
        ("/v1/tasks", "get,head,post"),
        ("/v1/tasks/t", "get,head,post"),
        ("/v1/claims", "post"),
        ("/v1/claims/c/renew", "post"),
        ("/v1/claims/c/ack", "post"),
        ("/v1/next-wakeup", "get,head"),
        ("/v1/queues", "get,head"),
        ("/v1/queues/mail/pause", "post"),
        ("/v1/queues/mail/resume", "post"),
        ("/v1/events", "get,head"),
        ("/v1/nodes", "get,head"),
        ("/v1/leader", "get,head"),
        ("/v1/nodes/anna/drain", "post"),
        ("/v1/leader/resign", "post"),
        ("/healthz", "get,head"),
        ("/readyz", "get,head"),
    ] {
        let reply = client.ask("DELETE", path, None).await;
        reply.problem(405, "method-not-allowed");
        assert!(reply.headers.contains(&format!("allow: {allowed}\r\n")), "{path} {reply:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_on_every_route() {
    let shed = Shed::new().await;
    let body = format!("{{\"callback\":\"{}\"}}", "x".repeat(8 << 20));

    for path in POSTS {
        shed.client().await.post(path, &body).await.problem(413, "too-large");
    }
    assert_eq!(shed.count().await, 0);
}

#[tokio::test]
async fn a_large_body_that_comes_in_chunks_is_refused_too() {
    let shed = Shed::new().await;
    let chunk = format!("100000\r\n{}\r\n", "x".repeat(1 << 20));
    let head = "POST /v1/tasks HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    let request = format!("{head}{}0\r\n\r\n", chunk.repeat(9));

    shed.client().await.send(request.as_bytes()).await.problem(413, "too-large");
}

#[tokio::test]
async fn requests_on_behalf_of_another_site_are_refused() {
    let shed = Shed::new().await;

    for headers in [
        "host: evil.example",
        "host: localhost\r\norigin: http://evil.example",
        "host: localhost\r\norigin: null",
    ] {
        for line in ["POST /v1/tasks", "GET /v1/tasks", "POST /v1/leader/resign"] {
            let request = format!("{line} HTTP/1.1\r\n{headers}\r\ncontent-length: 0\r\n\r\n");
            let reply = shed.client().await.send(request.as_bytes()).await;
            reply.problem(403, "forbidden");
        }
    }
}
