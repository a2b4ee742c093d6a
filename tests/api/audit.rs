//! Each change leaves a line: who, what, which ids.

use std::fmt::Debug;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::Mutex;

use serde_json::Value;
use serde_json::json;
use tracing::Event;
use tracing::Metadata;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing::span;

use super::auth::ask;
use super::auth::locked;

/// Keeps the lines of the audit.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "audit"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if !matches!(field.name(), "from" | "request") {
            write!(self.0, "{}={value:?} ", field.name()).unwrap();
        }
    }
}

#[tokio::test]
async fn each_change_tells_who_did_what_to_which() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let shed = locked().await;
    let mut client = shed.client().await;
    let mut told = async |line: &str, role: &str, body: Value| {
        lines.0.lock().unwrap().clear();
        let reply = ask(&mut client, line, &format!("Bearer token-{role}"), &body).await;
        assert!(reply.status < 500, "{reply:?}");
        lines.0.lock().unwrap().join("|")
    };
    let changed = |who: &str, what: &str, ids: &str, affected: u64| {
        format!("message=changed who={who} what=\"{what}\" ids={ids} affected={affected} ")
    };

    let batch = json!({ "tasks": [
        { "task_id": "a", "callback": "noop", "group_id": "g" },
        { "task_id": "b \"c\"", "callback": "noop" },
    ]});
    let ids = "[\"a\",\"b \\\"c\\\"\"]";
    assert_eq!(
        told("POST /v1/tasks", "write", batch).await,
        changed("writeer", "tasks.add", ids, 2)
    );
    for (path, body, which, affected) in [
        ("pause", json!({ "task_ids": ["a", "none"] }), "[\"a\",\"none\"]", 1),
        ("resume", json!({ "group_id": "g" }), "group_id=\"g\"", 1),
        ("reschedule", json!({ "task_ids": ["a"], "run_in": "0s" }), "[\"a\"]", 1),
        ("cancel", json!({ "queue": "mail", "state": "dead" }), "queue=\"mail\" state=\"dead\"", 0),
        ("retry", json!({ "callback": "x" }), "callback=\"x\"", 0),
    ] {
        let line = told(&format!("POST /v1/tasks/{path}"), "work", body).await;
        assert_eq!(line, changed("worker", &format!("tasks.{path}"), which, affected));
    }
    let line = told("POST /v1/queues/mail/pause", "write", json!({})).await;
    assert_eq!(line, changed("writeer", "queues.pause", "[\"mail\"]", 1));
    let wish = json!({ "worker": "w", "limit": 1, "claim_id": "c" });
    let line = told("POST /v1/claims", "work", wish).await;
    assert_eq!(line, changed("worker", "claims.take", "[\"a\"]", 1));
    let ack = json!({ "results": [{ "task_id": "a", "fence": 1, "outcome": "released" }] });
    let line = told("POST /v1/claims/c/ack", "work", ack).await;
    assert_eq!(line, changed("worker", "claims.ack", "[\"a\"]", 0));
    let line = told("POST /v1/tasks/remove", "admin", json!({ "all": true })).await;
    assert_eq!(line, changed("adminer", "tasks.remove", "all", 2));

    let refused = told("POST /v1/tasks/remove", "read", json!({ "all": true })).await;
    assert_eq!(refused, "message=refused who=reader role=read needed=write ");
    assert_eq!(told("POST /v1/tasks/pause", "write", json!({})).await, "", "nothing was asked");
    assert_eq!(told("GET /v1/tasks", "read", json!({})).await, "");
    let wrong = told("GET /v1/tasks", "none", json!({})).await;
    assert_eq!(wrong, "message=a wrong token was refused ");
}

#[tokio::test]
async fn a_change_without_an_answer_is_told_as_perhaps() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let shed = locked().await;
    shed.store.cut(true);

    let body = json!({ "task_ids": ["a"] });
    let mut client = shed.client().await;
    ask(&mut client, "POST /v1/tasks/cancel", "Bearer token-write", &body).await;

    let told = lines.0.lock().unwrap().join("|");
    assert_eq!(told, "message=perhaps changed who=writeer what=\"tasks.cancel\" ids=[\"a\"] ");
}
