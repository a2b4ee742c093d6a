//! Each field of a task, right in every way and wrong in every way.

use serde_json::Value;
use serde_json::json;

use super::Shed;

/// Wrong values of a field, and the field that is named.
fn wrong() -> Vec<(&'static str, Value)> {
    let long = "x".repeat(256);
    let large = json!({ "x": "y".repeat(1 << 20) });
    let labels = json!({ "x": "y".repeat(16 << 10) });
    let ids =
        || vec![json!(""), json!("a\nb"), json!("a\u{7f}b"), json!(long), json!(1), json!([])];
    let texts = || vec![json!(1), json!(true), json!(null), json!({}), json!([])];
    let flags = || vec![json!(0), json!("true"), json!(null), json!([])];
    let moments = || {
        let texts = ["", "now", "2027-01-15", "2027-01-15T08:00:00", "2027-13-15T08:00:00Z"];
        let more = ["1969-12-31T23:59:59Z", "2256-01-01T00:00:00Z", "2027-01-15T08:00:00Z[UTC]"];
        let texts = texts.into_iter().chain(more).map(|text| json!(text));
        texts.chain([json!(1_800_000_000), json!([]), json!(true)]).collect()
    };
    let lengths = || {
        let texts = ["", "5", "s", "-5s", "5 s", "1s1h", "5w", "1e3s", "101000d", "1.2.3s"];
        let texts = texts.into_iter().map(|text| json!(text));
        texts.chain([json!(5), json!(0.5), json!([]), json!(true)]).collect()
    };

    let table: Vec<(&str, Vec<Value>)> = vec![
        ("task_id", [ids(), vec![json!(null)]].concat()),
        ("callback", [ids(), vec![json!(null)]].concat()),
        ("kwargs", vec![json!(null), json!([]), json!("{}"), json!(1), large]),
        ("run_at", [moments(), vec![json!(null)]].concat()),
        ("run_in", [lengths(), vec![json!(null)]].concat()),
        ("run_type", [texts(), vec![json!("twice"), json!("ONCE")]].concat()),
        (
            "interval",
            vec![json!(0), json!(-1), json!(0.0009), json!(1e300), json!("90"), json!("")],
        ),
        ("interval", vec![json!(null), json!([]), json!(true), json!("0s"), json!("40000d")]),
        ("group_id", ids()),
        ("paused", flags()),
        ("paused_at", moments()),
        ("coalesce", flags()),
        ("cron", [texts(), vec![json!(""), json!("61 * * * *"), json!("0 0 30 2 *")]].concat()),
        ("queue", [texts(), vec![json!(""), json!("a b"), json!("x".repeat(65))]].concat()),
        ("priority", [texts(), vec![json!("urgent"), json!("High")]].concat()),
        (
            "max_attempts",
            vec![json!(0), json!(1001), json!(-1), json!(1.5), json!("3"), json!(null)],
        ),
        ("backoff", vec![json!(null), json!("5s"), json!({ "base": 5 }), json!({ "bass": "5s" })]),
        ("backoff", vec![json!({ "factor": 0.5 }), json!({ "jitter": 2 }), json!({ "cap": "1s" })]),
        ("backoff", vec![json!(["5s", 2, "6h", 0.2]), json!({ "base": null })]),
        ("timeout", [lengths(), vec![json!("0s")]].concat()),
        ("expires_at", moments()),
        ("expires_in", lengths()),
        ("exclusive", flags()),
        ("unique_key", ids()),
        ("retention", [lengths(), vec![json!(null)]].concat()),
        ("metadata", vec![json!(null), json!([]), json!({ "a": 1 }), json!({ "a": null }), labels]),
    ];
    let flat = |(field, values): (&'static str, Vec<Value>)| {
        values.into_iter().map(move |value| (field, value))
    };
    table.into_iter().flat_map(flat).collect()
}

#[tokio::test]
async fn each_field_that_is_wrong_is_named_and_nothing_is_stored() {
    let shed = Shed::new().await;
    let mut client = shed.client().await;

    for (field, value) in wrong() {
        let mut task = json!({ "callback": "noop" });
        task[field] = value.clone();
        let alone = client.post("/v1/tasks", &task.to_string()).await;
        alone.fault(Some(0), field);

        let good = json!({ "callback": "noop", "task_id": "good" });
        let batch = json!({ "tasks": [good, task] });
        client.post("/v1/tasks", &batch.to_string()).await.fault(Some(1), field);
    }

    assert_eq!(shed.count().await, 0);
}

#[tokio::test]
async fn fields_that_do_not_fit_each_other_are_named() {
    let shed = Shed::new().await;
    let at = "2027-02-01T00:00:00Z";

    for (field, more) in [
        ("run_in", json!({ "run_at": at, "run_in": "5s" })),
        ("expires_in", json!({ "expires_at": at, "expires_in": "5s" })),
        ("paused_at", json!({ "paused_at": at })),
        ("cron", json!({ "cron": "@daily", "interval": 5 })),
        ("timezone", json!({ "timezone": "Europe/Rome" })),
        ("timezone", json!({ "cron": "@daily", "timezone": "Europe/Atlantis" })),
        ("timezone", json!({ "cron": "@daily", "timezone": 1 })),
        ("run_type", json!({ "run_type": "once", "interval": 5 })),
        ("run_type", json!({ "run_type": "once", "cron": "@daily" })),
        ("run_type", json!({ "run_type": "recurring" })),
        ("callback", json!({})),
        ("state", json!({ "state": "dead" })),
        ("colour", json!({ "colour": "red" })),
        ("replace_existing", json!({ "replace_existing": true })),
    ] {
        let mut task = more;
        if field != "callback" {
            task["callback"] = json!("noop");
        }
        shed.post("/v1/tasks", &task).await.fault(Some(0), field);
    }
    assert_eq!(shed.count().await, 0);
}

#[tokio::test]
async fn a_field_that_is_given_twice_is_named() {
    let shed = Shed::new().await;
    let mut client = shed.client().await;

    for (field, body) in [
        ("queue", r#"{"callback":"noop","queue":"a","queue":"b"}"#),
        ("callback", r#"{"callback":"noop","callback":"noop"}"#),
        ("kwargs", r#"{"callback":"noop","kwargs":{},"kwargs":{}}"#),
        ("metadata", r#"{"callback":"noop","metadata":{"a":"1","a":"2"}}"#),
        ("backoff", r#"{"callback":"noop","backoff":{"factor":2,"factor":3}}"#),
        ("max_attempts", r#"{"callback":"noop","max_attempts":1e1}"#),
        ("task_id", r#"{"callback":"noop","task_id":"\ud800"}"#),
    ] {
        client.post("/v1/tasks", body).await.fault(Some(0), field);
    }
    client.post("/v1/tasks", r#"{"tasks":[],"tasks":[]}"#).await.fault(None, "tasks");
}

#[tokio::test]
async fn every_fault_of_every_task_is_told_at_once() {
    let shed = Shed::new().await;
    let batch = json!({ "tasks": [
        { "callback": "noop", "task_id": "a", "queue": "not a queue", "priority": "urgent" },
        { "callback": "noop", "task_id": "fine" },
        { "callback": "noop", "task_id": "a", "interval": 0, "colour": "red" },
        7,
    ]});

    let reply = shed.post("/v1/tasks", &batch).await;

    let faults = [(0, "queue"), (0, "priority"), (2, "task_id"), (2, "interval"), (2, "colour")];
    for (index, field) in faults.into_iter().chain([(3, "task")]) {
        reply.fault(Some(index), field);
    }
    assert_eq!(reply.json()["errors"].as_array().unwrap().len(), 6);
    assert_eq!(shed.count().await, 0);
}

#[tokio::test]
async fn faults_of_the_batch_and_of_its_tasks_are_told_together() {
    let shed = Shed::new().await;
    let batch = json!({ "tasks": [{ "callback": "" }], "replace_existing": 1, "colour": "red" });

    let reply = shed.post("/v1/tasks", &batch).await;

    reply.fault(None, "replace_existing");
    reply.fault(None, "colour");
    reply.fault(Some(0), "callback");
}

#[tokio::test]
async fn each_field_that_is_right_comes_back() {
    let shed = Shed::new().await;
    let task = json!({
        "task_id": "Task 0 – größe/1", "callback": "noop", "kwargs": { "a": [] },
        "run_at": "2027-02-01T01:00:00.5+01:00", "run_type": "recurring", "interval": "90s",
        "group_id": "tenant 1", "paused": true, "paused_at": "2027-01-01T00:00:00Z",
        "coalesce": false, "queue": "mail", "priority": "critical", "max_attempts": 3,
        "backoff": { "base": "1s", "factor": 3, "cap": "1m" }, "timeout": "1h30m",
        "expires_at": "2027-03-01T00:00:00Z", "exclusive": true, "unique_key": "the one",
        "retention": "2d", "metadata": { "traceparent": "00-x" },
    });
    shed.add(task).await;

    let shown = shed.task("Task%200%20%E2%80%93%20gr%C3%B6%C3%9Fe%2F1").await;

    let wanted = json!({
        "task_id": "Task 0 – größe/1", "callback": "noop", "kwargs": { "a": [] },
        "run_at": "2027-02-01T00:00:00.500000Z", "run_type": "recurring", "interval": 90.0,
        "group_id": "tenant 1", "paused": true, "paused_at": "2027-01-01T00:00:00.000000Z",
        "coalesce": false, "cron": null, "timezone": null, "queue": "mail",
        "priority": "critical", "max_attempts": 3,
        "backoff": { "base": "1s", "factor": 3.0, "cap": "1m", "jitter": 0.2 },
        "timeout": "1h30m", "expires_at": "2027-03-01T00:00:00.000000Z", "exclusive": true,
        "unique_key": "the one", "retention": "2d", "metadata": { "traceparent": "00-x" },
        "state": "scheduled", "planned_at": "2027-02-01T00:00:00.500000Z", "attempt": 0,
        "crashes": 0, "suspect": false, "parked": false,
        "created_at": "2027-01-15T08:00:00.000000Z", "finished_at": null, "result": null,
        "last_error": null, "errors": [], "lease": null,
    });
    assert_eq!(shown, wanted);
}

#[tokio::test]
async fn what_is_left_out_or_null_has_its_default() {
    let shed = Shed::new().await;
    let nulls = json!({
        "task_id": "nulls", "callback": "noop", "group_id": null, "paused_at": null,
        "timeout": null, "expires_at": null, "expires_in": null, "unique_key": null,
    });
    shed.add(nulls).await;
    shed.add(json!({ "task_id": "bare", "callback": "noop" })).await;
    let given = shed.add(json!({ "callback": "noop" })).await;

    let (mut nulls, mut bare) = (shed.task("nulls").await, shed.task("bare").await);
    nulls["task_id"].take();
    bare["task_id"].take();

    assert_eq!(nulls, bare);
    assert_eq!(bare["backoff"], json!({ "base": "5s", "factor": 2.0, "cap": "6h", "jitter": 0.2 }));
    assert_eq!(bare["run_at"], super::fixture::START);
    assert_eq!(bare["max_attempts"], 20);
    assert_eq!(bare["coalesce"], true);
    assert_eq!(bare["retention"], "0s");
    assert_eq!(given.len(), 32);
    assert_eq!(given.as_bytes()[12], b'7');
}

#[tokio::test]
async fn lengths_count_from_the_stores_now_and_cron_finds_its_first_match() {
    let shed = Shed::new().await;
    shed.add(json!({ "task_id": "in", "callback": "noop", "run_in": "1m30s" })).await;
    shed.add(json!({ "task_id": "ends", "callback": "noop", "expires_in": "2d" })).await;
    let cron = json!({ "task_id": "cron", "callback": "noop", "cron": "30 9 * * *" });
    shed.add(cron.clone()).await;
    let mut rome = cron;
    rome["task_id"] = json!("rome");
    rome["timezone"] = json!("Europe/Rome");
    rome["run_at"] = json!("2027-07-01T00:00:00Z");
    shed.add(rome).await;
    shed.add(json!({ "task_id": "every", "callback": "noop", "interval": 0.1 })).await;

    assert_eq!(shed.task("in").await["run_at"], "2027-01-15T08:01:30.000000Z");
    assert_eq!(shed.task("ends").await["expires_at"], "2027-01-17T08:00:00.000000Z");
    assert_eq!(shed.task("cron").await["run_at"], "2027-01-15T09:30:00.000000Z");
    assert_eq!(shed.task("cron").await["timezone"], "UTC");
    assert_eq!(shed.task("rome").await["run_at"], "2027-07-01T07:30:00.000000Z");
    assert_eq!(shed.task("every").await["interval"], 0.1);
}
