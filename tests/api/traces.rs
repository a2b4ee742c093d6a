//! Trace context comes with an add and goes on with its tasks.

use serde_json::Value;
use serde_json::json;
use taskshed::domain::draft::METADATA_BYTES_MAX;

use super::Shed;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const OTHER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// Adds under these headers, which must be accepted.
async fn add(shed: &Shed, headers: &str, body: &Value) {
    let body = body.to_string();
    let length = body.len();
    let request = format!(
        "POST /v1/tasks HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {length}\r\n\r\n{body}"
    );
    let reply = shed.client().await.send(request.as_bytes()).await;
    assert_eq!(reply.status, 201, "{headers:?}: {reply:?}");
}

async fn metadata(shed: &Shed, id: &str) -> Value {
    shed.task(id).await["metadata"].clone()
}

#[tokio::test]
async fn the_trace_of_an_add_goes_with_each_task_that_names_none() {
    let shed = Shed::new().await;
    let named = json!({ "traceparent": OTHER });
    let batch = json!({ "tasks": [
        { "task_id": "a", "callback": "noop", "metadata": { "tenant": "7" } },
        { "task_id": "b", "callback": "noop", "metadata": named },
    ] });

    add(&shed, &format!("TraceParent: {TRACE}\r\nidempotency-key: k\r\n"), &batch).await;

    let given = json!({ "tenant": "7", "traceparent": TRACE });
    assert_eq!(metadata(&shed, "a").await, given);
    assert_eq!(metadata(&shed, "b").await, named);
    let claim = json!({ "worker": "anna" });
    let claimed = shed.post("/v1/claims", &claim).await.json();
    let traces: Vec<_> = claimed["tasks"].as_array().unwrap().iter().collect();
    assert!(traces.iter().any(|task| task["metadata"] == given), "{claimed}");
    for task in traces {
        assert_eq!(task["traceparent"], task["metadata"]["traceparent"], "{claimed}");
    }
}

#[tokio::test]
async fn a_malformed_trace_is_none_and_no_add_fails_for_it() {
    let shed = Shed::new().await;
    let body = json!({ "task_id": "a", "callback": "noop" });
    for headers in [
        String::new(),
        "traceparent:\r\n".into(),
        "traceparent: 00-ab-cd-01\r\n".into(),
        format!("traceparent: {}\r\n", TRACE.to_uppercase()),
        format!("traceparent: {TRACE}-x\r\n"),
        format!("traceparent: {TRACE}\r\ntraceparent: {OTHER}\r\n"),
        "traceparent: \u{fc}\r\n".into(),
    ] {
        add(&shed, &headers, &body).await;
        assert_eq!(metadata(&shed, "a").await, json!({}), "{headers:?}");
    }
    let claimed = shed.post("/v1/claims", &json!({ "worker": "anna" })).await.json();
    assert_eq!(claimed["tasks"][0]["traceparent"], Value::Null, "{claimed}");
}

#[tokio::test]
async fn metadata_that_is_full_stays_as_it_is() {
    let shed = Shed::new().await;
    let full = json!({ "k": "x".repeat(METADATA_BYTES_MAX - 1) });
    let body = json!({ "task_id": "a", "callback": "noop", "metadata": full });

    add(&shed, &format!("traceparent: {TRACE}\r\n"), &body).await;

    assert_eq!(metadata(&shed, "a").await, full);
}
