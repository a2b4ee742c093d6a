//! Tasks of every kind, in every state.

use taskshed::domain::json::Json;
use taskshed::domain::state::Outcome;

use crate::shed::SECOND;
use crate::shed::Shed;

/// JSON that decoding and encoding again would change, or that a store might refuse.
pub(crate) const VALUES: &[&str] = &[
    "1.0",
    "-0.0",
    "1.50",
    "1E+2",
    "1e400",
    "1e-400",
    "3.14159265358979323846",
    "18446744073709551615",
    "18446744073709551616",
    "-123456789012345678901234567890",
    "[]",
    "{}",
    "[[],{},[{}]]",
    "null",
    "true",
    r#""""#,
    r#""größe 😀 \ud83d\ude00 \u00fc \/ \\ \" \t""#,
    r#""\u0000 \u0001 \u001f \u007f""#,
    r#""\ud800 alone""#,
    r#"{"b":1,"a":2,"b":3}"#,
    r#"{"":"","ключ":"值"}"#,
    "[ 1 ,\t2 ]",
    r#"{"$1":"%s","quote":"'","back":"`","semi":"; DROP"}"#,
];

/// Bodies of tasks that use every field, apart from their id.
const FIELDS: &[&str] = &[
    r#""callback":"noop""#,
    r#""callback":"größe 😀","queue":"mail","priority":"low""#,
    r#""callback":"noop","run_at":"2100-01-01T01:02:03.456789+05:30","priority":"critical""#,
    r#""callback":"noop","run_in":"1h30m","group_id":"tenant 'ü'","priority":"high""#,
    r#""callback":"noop","interval":0.001,"run_in":"1s""#,
    r#""callback":"noop","interval":86399.999999,"coalesce":false,"run_in":"1s""#,
    r#""callback":"noop","interval":"90s","run_at":"1970-01-01T00:00:00Z","group_id":"g""#,
    r#""callback":"noop","cron":"0 30 2 * * MON","timezone":"Europe/Rome""#,
    r#""callback":"noop","cron":"@daily","unique_key":"schlüssel {field 8}""#,
    r#""callback":"noop","paused":true"#,
    r#""callback":"noop","paused":true,"paused_at":"2020-02-29T23:59:59.999999Z""#,
    r#""callback":"noop","max_attempts":1000,"timeout":"1ms","exclusive":true,"run_in":"1s""#,
    r#""callback":"noop","backoff":{"base":"250ms","factor":1.5,"cap":"1d","jitter":0.05},"run_in":"1s""#,
    r#""callback":"noop","expires_in":"2d","run_in":"1s""#,
    r#""callback":"noop","expires_at":"2099-12-31T00:00:00Z","retention":"36500d","run_in":"1s""#,
    r#""callback":"noop","metadata":{"traceparent":"00-ab-cd-01","ü":"\u0000 😀","":""},"run_in":"1s""#,
];

/// Ids that a careless store would fold together or cut.
const IDS: &[&str] = &["a", "A", "ä", "a ", "Task 0", "%", "_", "ß", "ss", "😀", "a'b\\\"`", "🦀"];

/// Puts tasks of every kind into a store, and lets some of them live.
pub(crate) async fn fill(shed: &mut Shed) {
    for (index, fields) in FIELDS.iter().enumerate() {
        let body = format!(r#"{{"task_id":"field {index}",{fields}}}"#);
        shed.post("/v1/tasks", &body, 201).await;
    }
    for (index, value) in VALUES.iter().enumerate() {
        let body = format!(
            r#"{{"task_id":"value {index}","callback":"noop","run_in":"1s","kwargs":{{"v":{value}}}}}"#
        );
        shed.post("/v1/tasks", &body, 201).await;
    }
    let long = "é".repeat(127);
    for id in IDS.iter().chain([&long.as_str()]) {
        let id = serde_json::to_string(id).unwrap();
        let body = format!(r#"{{"task_id":{id},"callback":"noop","run_in":"1s"}}"#);
        shed.post("/v1/tasks", &body, 201).await;
    }
    live(shed).await;
}

async fn live(shed: &mut Shed) {
    for run in shed.claim().await {
        match run.id.as_str() {
            "field 0" => shed.end(&run, Outcome::Failed("größe \0 😀\n'\"\\".into())).await,
            "field 6" => shed.end(&run, Outcome::Failed(String::new())).await,
            _ => shed.end(&run, Outcome::Snoozed(3600 * SECOND)).await,
        }
    }
    for (index, value) in VALUES.iter().enumerate() {
        let body = format!(r#"{{"task_id":"result {index}","callback":"noop","retention":"1h"}}"#);
        shed.post("/v1/tasks", &body, 201).await;
        let mut runs = shed.claim().await;
        let result = Json::parse(value).unwrap();
        shed.end(&runs.remove(0), Outcome::Completed(Some(result))).await;
    }
    for end in ["dead", "cancelled", "paused", "running", "asked"] {
        let body = format!(r#"{{"task_id":"{end}","callback":"noop","interval":"1h"}}"#);
        shed.post("/v1/tasks", &body, 201).await;
    }
    shed.clock.advance(SECOND / 2);
    shed.post("/v1/tasks/pause", r#"{"task_ids":["paused"]}"#, 200).await;
    shed.post("/v1/tasks/cancel", r#"{"task_ids":["cancelled"]}"#, 200).await;
    for run in shed.claim().await {
        match run.id.as_str() {
            "dead" => shed.end(&run, Outcome::Dead("x".repeat(5000))).await,
            "asked" => {
                let times = r#"{"tasks":[{"task_id":"asked","run_at":"2098-01-01T00:00:00Z"}]}"#;
                shed.post("/v1/tasks/reschedule", times, 200).await;
            }
            _ => {}
        }
    }
    shed.post("/v1/queues/mail/pause", "", 200).await;
}
