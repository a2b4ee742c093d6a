//! What is carried arrives as it was sent.

use taskshed::domain::json::Json;
use taskshed::domain::state::Outcome;

use super::Shed;

/// Arguments that decoding and encoding again would change.
const ARGUMENTS: &[&str] = &[
    "{}",
    "{ }",
    r#"{"list":[],"object":{},"null":null}"#,
    r#"{"big":12345678901234567890123456789,"max":18446744073709551615,"min":-9223372036854775808}"#,
    r#"{"float":1.10,"exp":1E+400,"tiny":1e-400,"minus":-0.0,"pi":3.14159265358979323846}"#,
    r#"{"z":1,"a":2,"m":3}"#,
    r#"{"twice":1,"twice":2}"#,
    "{\n\t\"spaced\" : [ 1 , 2 ]\r\n}",
    r#"{"unicode":"größe \u00fc \ud83d\ude00 😀","lone":"\ud800","nul":"\u0000","slash":"\/"}"#,
    r#"{"ключ":"值","":""}"#,
];

fn kwargs_of(shown: &str) -> &str {
    let start = shown.find("\"kwargs\":").unwrap() + "\"kwargs\":".len();
    let end = shown.find(",\"run_at\":").unwrap();
    &shown[start..end]
}

#[tokio::test]
async fn arguments_come_back_byte_for_byte() {
    let shed = Shed::new().await;
    let mut client = shed.client().await;

    for (index, kwargs) in ARGUMENTS.iter().enumerate() {
        let task = format!(r#"{{"task_id":"t{index}","callback":"noop","kwargs":{kwargs}}}"#);
        assert_eq!(client.post("/v1/tasks", &task).await.status, 201, "{kwargs}");

        let shown = client.get(&format!("/v1/tasks/t{index}")).await;
        assert_eq!(kwargs_of(&shown.body), *kwargs);
        let listed = client.get(&format!("/v1/tasks?task_id=t{index}")).await;
        assert_eq!(kwargs_of(&listed.body), *kwargs);
    }
    let claimed = shed.claim(100).await;
    let mut handed: Vec<_> = claimed.tasks.iter().map(|task| task.spec.kwargs.as_str()).collect();
    handed.sort_by_key(|kwargs| ARGUMENTS.iter().position(|sent| sent == kwargs));
    assert_eq!(handed, ARGUMENTS);
}

#[tokio::test]
async fn deep_arguments_are_carried_and_break_nothing() {
    let shed = Shed::new().await;
    let mut client = shed.client().await;
    let deep = format!(r#"{{"deep":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));

    let task = format!(r#"{{"task_id":"deep","callback":"noop","kwargs":{deep}}}"#);
    assert_eq!(client.post("/v1/tasks", &task).await.status, 201);

    assert_eq!(kwargs_of(&client.get("/v1/tasks/deep").await.body), deep);
}

#[tokio::test]
async fn a_result_comes_back_byte_for_byte() {
    let shed = Shed::new().await;
    let mut client = shed.client().await;
    let result = r#"{"n":1.10,"list":[],"big":12345678901234567890123}"#;
    let task = r#"{"task_id":"t","callback":"noop","retention":"1h"}"#;
    assert_eq!(client.post("/v1/tasks", task).await.status, 201);

    let claimed = shed.claim(1).await;
    shed.ack(&claimed, &Outcome::Completed(Some(Json::parse(result).unwrap()))).await;

    let shown = client.get("/v1/tasks/t").await;
    assert!(shown.body.contains(&format!("\"result\":{result},")), "{shown:?}");
}

#[tokio::test]
async fn no_field_is_shown_twice() {
    let shed = Shed::new().await;
    let mut client = shed.client().await;
    client.post("/v1/tasks", r#"{"task_id":"t","callback":"noop"}"#).await;

    let shown = client.get("/v1/tasks/t").await;

    let names = shown.json().as_object().unwrap().len();
    assert_eq!(names, 34);
    assert_eq!(shown.body.matches("\":").count(), names + 4, "four more in backoff");
}
