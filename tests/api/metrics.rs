//! `/metrics`: open to whoever reaches the API, whatever the store does.

use std::time::Duration;

use serde_json::json;
use taskshed::metrics::Metrics;

use super::Shed;
use super::asked::Reply;
use super::claims::claim;
use super::exposition::Exposition;
use super::fixture::noop;

/// What a reply shows.
pub(crate) fn shown(reply: &Reply) -> Exposition {
    assert_eq!(reply.status, 200, "{reply:?}");
    let kind = "content-type: text/plain; version=0.0.4; charset=utf-8";
    assert!(reply.headers.contains(kind), "{reply:?}");
    Exposition::parse(&reply.body)
}

async fn counting() -> Shed {
    Shed::with(|api| api.metrics(Metrics::default())).await
}

/// A store that does not answer, whether it hangs or fails, is not asked.
#[tokio::test]
async fn a_scrape_costs_no_call_and_works_while_the_store_is_away() {
    let shed = counting().await;

    for away in [true, false] {
        shed.store.freeze(away);
        shed.store.cut(!away);
        for _ in 0..50 {
            shown(&shed.get("/metrics").await);
        }
    }

    for method in ["stats", "cluster", "now", "list", "fetch", "keep", "leases", "campaign"] {
        assert_eq!(shed.store.calls(method), 0, "{method}");
    }
}

/// Names that workers bring do not become labels: their runs share an empty one.
#[tokio::test]
async fn runs_of_remote_workers_are_counted_without_their_callback() {
    let shed = counting().await;
    for id in ["a", "b", "c"] {
        shed.add(noop(id)).await;
    }
    shed.clock.advance(Duration::from_secs(2));
    let claimed = claim(&shed, "w", json!({ "limit": 3, "claim_id": "c1" })).await.json();
    let fence = claimed["tasks"][0]["lease"]["fence"].clone();
    shed.clock.advance(Duration::from_secs(3));
    let item =
        |id: &str, outcome: &str| json!({ "task_id": id, "fence": fence, "outcome": outcome });
    let results = [item("a", "completed"), item("b", "failed"), item("c", "dead")];
    for _ in 0..2 {
        let reply = shed.post("/v1/claims/c1/ack", &json!({ "results": results })).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    let reply = shed.get("/metrics").await;
    let seen = shown(&reply);

    let of = |name: &str| seen.count(&format!("taskshed_{name}{{callback=\"\"}}"));
    let sum = |name: &str| seen.number(&format!("taskshed_{name}_sum{{callback=\"\"}}"));
    assert_eq!((of("tasks_started_total"), of("run_duration_seconds_count")), (3, 3));
    assert!((sum("task_lag_seconds") - 6.0).abs() < 1e-6, "{reply:?}");
    assert!((sum("run_duration_seconds") - 9.0).abs() < 1e-6, "{reply:?}");
    assert_eq!((of("tasks_completed_total"), of("tasks_failed_total")), (1, 2));
    assert_eq!(of("tasks_retried_total"), 1);
    assert_eq!(seen.count("taskshed_tasks_dead_total{callback=\"\",cause=\"failures\"}"), 1);
    assert_eq!(seen.count("taskshed_acks_stale_total{sender=\"remote\"}"), 3);
    assert!(!reply.body.contains("noop"), "{}", reply.body);
    seen.please_promtool();
}
