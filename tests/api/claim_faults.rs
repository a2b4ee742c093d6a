//! What is wrong with claims, renewals and outcomes.

use serde_json::Value;
use serde_json::json;

use super::Shed;
use super::claims::claim;
use super::claims::task_ids;
use super::fixture::noop;

#[tokio::test]
async fn each_field_of_a_claim_that_is_wrong_is_named() {
    let shed = Shed::new().await;
    shed.add(noop("t")).await;
    let many: Vec<_> = (0..1001).map(|index| index.to_string()).collect();

    for (field, value) in [
        ("worker", json!("")),
        ("worker", json!("a\nb")),
        ("worker", json!(7)),
        ("queues", json!([])),
        ("queues", json!("default")),
        ("queues", json!(["a b"])),
        ("queues", json!(["a", "a"])),
        ("queues", json!([7])),
        ("queues", json!(many)),
        ("callbacks", json!([])),
        ("callbacks", json!([""])),
        ("callbacks", json!(many)),
        ("limit", json!(0)),
        ("limit", json!(1001)),
        ("limit", json!(1.5)),
        ("limit", json!("1")),
        ("lease", json!("999ms")),
        ("lease", json!("601s")),
        ("lease", json!(30)),
        ("wait", json!("11m")),
        ("wait", json!(1)),
        ("claim_id", json!("")),
        ("claim_id", json!("x".repeat(256))),
        ("colour", json!("red")),
    ] {
        let reply = claim(&shed, "w", json!({ field: value })).await;
        reply.fault(None, field);
    }
    shed.post("/v1/claims", &json!({})).await.fault(None, "worker");
    assert_eq!(shed.store.calls("claim"), 0);

    let nulls = json!({ "callbacks": null, "claim_id": null });
    assert_eq!(task_ids(&claim(&shed, "w", nulls).await), ["t"]);
}

#[tokio::test]
async fn each_field_of_a_renewal_that_is_wrong_is_named() {
    let shed = Shed::new().await;

    for lease in [json!("0s"), json!("11m"), json!(30), json!(null), json!("soon")] {
        let reply = shed.post("/v1/claims/c/renew", &json!({ "lease": lease })).await;
        reply.fault(None, "lease");
    }
    shed.post("/v1/claims/c/renew", &json!({ "x": 1 })).await.fault(None, "x");
    assert_eq!(shed.store.calls("keep"), 0);
}

#[tokio::test]
async fn each_field_of_an_outcome_that_is_wrong_is_named_and_nothing_is_done() {
    let shed = Shed::new().await;
    let good = json!({ "task_id": "a", "fence": 1, "outcome": "completed" });
    let with = |field: &str, value: Value| {
        let mut item = good.clone();
        item["task_id"] = json!("b");
        item[field] = value;
        item
    };

    for (field, item) in [
        ("task_id", with("task_id", json!(""))),
        ("task_id", with("task_id", json!("a"))),
        ("fence", with("fence", json!(-1))),
        ("fence", with("fence", json!("1"))),
        ("fence", with("fence", json!(1.5))),
        ("outcome", with("outcome", json!("done"))),
        ("outcome", with("outcome", json!(null))),
        ("delay", with("outcome", json!("snoozed"))),
        ("delay", with("delay", json!("1s"))),
        ("error", with("error", json!("x"))),
        ("result", with("result", json!("x".repeat(64 << 10)))),
        ("colour", with("colour", json!(1))),
        ("results", json!(7)),
        ("task_id", json!({})),
        ("fence", json!({})),
        ("outcome", json!({})),
        ("delay", json!({ "task_id": "b", "fence": 1, "outcome": "snoozed", "delay": 5 })),
        ("result", json!({ "task_id": "b", "fence": 1, "outcome": "failed", "result": 1 })),
        ("error", json!({ "task_id": "b", "fence": 1, "outcome": "failed", "error": 1 })),
    ] {
        let reply = shed.post("/v1/claims/c/ack", &json!({ "results": [good, item] })).await;
        reply.fault(Some(1), field);
    }
    for body in [json!({}), json!({ "results": [] }), json!({ "results": {} })] {
        shed.post("/v1/claims/c/ack", &body).await.fault(None, "results");
    }
    let many: Vec<_> = (0..1001).map(|_| &good).collect();
    shed.post("/v1/claims/c/ack", &json!({ "results": many })).await.fault(None, "results");
    assert_eq!(shed.store.calls("ack"), 0);
}
