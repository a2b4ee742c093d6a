//! Bodies of changes, wrong in every way.

use serde_json::Value;
use serde_json::json;

use super::Shed;

/// Fails unless the body is refused on these paths because of this field.
async fn refused(shed: &Shed, changes: &[&str], body: Value, index: Option<usize>, field: &str) {
    for change in changes {
        let reply = shed.post(&format!("/v1/tasks/{change}"), &body).await;
        reply.fault(index, field);
    }
}

const ALL: &[&str] = &["pause", "resume", "cancel", "retry", "remove", "reschedule"];
const BY_FILTER: &[&str] = &["cancel", "retry", "remove"];
const BY_TARGET: &[&str] = &["pause", "resume", "reschedule"];

#[tokio::test]
async fn a_change_must_say_for_what() {
    let shed = Shed::new().await;
    let long: Vec<_> = (0..1001).map(|index| index.to_string()).collect();

    refused(&shed, ALL, json!({}), None, "body").await;
    refused(&shed, ALL, json!({ "task_ids": "a" }), None, "task_ids").await;
    refused(&shed, ALL, json!({ "task_ids": null }), None, "task_ids").await;
    refused(&shed, ALL, json!({ "task_ids": long }), None, "task_ids").await;
    refused(&shed, ALL, json!({ "task_ids": ["a", ""] }), Some(1), "task_ids").await;
    refused(&shed, ALL, json!({ "task_ids": ["a", "b", 3] }), Some(2), "task_ids").await;
    refused(&shed, ALL, json!({ "group_id": "" }), None, "group_id").await;
    refused(&shed, ALL, json!({ "group_id": null }), None, "group_id").await;
    refused(&shed, ALL, json!({ "group_id": "g", "colour": "red" }), None, "colour").await;
    let empty = json!({ "task_ids": [], "run_in": "5s" });
    refused(&shed, &["reschedule"], empty, None, "task_ids").await;
    refused(&shed, &["pause", "resume", "cancel"], json!({ "task_ids": [] }), None, "task_ids")
        .await;
}

#[tokio::test]
async fn only_some_changes_take_a_filter() {
    let shed = Shed::new().await;

    for (field, body) in [
        ("queue", json!({ "queue": "mail" })),
        ("state", json!({ "state": "dead" })),
        ("callback", json!({ "callback": "noop" })),
        ("all", json!({ "all": true })),
    ] {
        refused(&shed, BY_TARGET, body, None, field).await;
    }
    refused(&shed, &["cancel", "retry"], json!({ "all": true }), None, "all").await;
    refused(&shed, BY_FILTER, json!({ "queue": "a b" }), None, "queue").await;
    refused(&shed, BY_FILTER, json!({ "state": "asleep" }), None, "state").await;
    refused(&shed, BY_FILTER, json!({ "state": 1 }), None, "state").await;
    refused(&shed, BY_FILTER, json!({ "callback": [] }), None, "callback").await;
    let both = json!({ "task_ids": ["a"], "queue": "mail" });
    refused(&shed, BY_FILTER, both, None, "task_ids").await;
    let both = json!({ "task_ids": ["a"], "group_id": "g" });
    refused(&shed, &["pause", "resume", "reschedule"], both.clone(), None, "group_id").await;
    refused(&shed, BY_FILTER, both, None, "task_ids").await;
}

#[tokio::test]
async fn everything_is_removed_only_if_that_alone_is_asked() {
    let shed = Shed::new().await;
    shed.add(super::fixture::noop("t")).await;

    refused(&shed, &["remove"], json!({ "all": false }), None, "body").await;
    refused(&shed, &["remove"], json!({ "all": "yes" }), None, "all").await;
    refused(&shed, &["remove"], json!({ "all": true, "queue": "mail" }), None, "all").await;
    refused(&shed, &["remove"], json!({ "all": true, "task_ids": ["t"] }), None, "all").await;

    assert_eq!(shed.count().await, 1);
}

#[tokio::test]
async fn a_reschedule_must_say_when() {
    let shed = Shed::new().await;
    let at = "2027-05-01T00:00:00Z";
    let path = &["reschedule"];

    refused(&shed, path, json!({ "group_id": "g" }), None, "body").await;
    refused(&shed, path, json!({ "run_at": at }), None, "body").await;
    refused(&shed, path, json!({ "group_id": "g", "run_at": "soon" }), None, "run_at").await;
    refused(&shed, path, json!({ "group_id": "g", "run_in": 5 }), None, "run_in").await;
    let both = json!({ "group_id": "g", "run_at": at, "run_in": "5s" });
    refused(&shed, path, both, None, "run_in").await;
    let item = json!({ "task_id": "a", "run_at": at });
    refused(&shed, path, json!({ "tasks": [item], "run_at": at }), None, "run_at").await;
    refused(&shed, path, json!({ "tasks": [] }), None, "tasks").await;
    refused(&shed, path, json!({ "tasks": {} }), None, "tasks").await;
    refused(&shed, path, json!({ "tasks": [item, 1] }), Some(1), "task").await;
    refused(&shed, path, json!({ "tasks": [item, item] }), Some(1), "task_id").await;
    refused(&shed, path, json!({ "tasks": [{ "run_at": at }] }), Some(0), "task_id").await;
    refused(&shed, path, json!({ "tasks": [{ "task_id": "a" }] }), Some(0), "run_at").await;
    let bad = json!({ "task_id": "a", "run_at": "soon" });
    refused(&shed, path, json!({ "tasks": [bad] }), Some(0), "run_at").await;
    let more = json!({ "task_id": "a", "run_at": at, "run_in": "5s" });
    refused(&shed, path, json!({ "tasks": [more] }), Some(0), "run_in").await;
}
