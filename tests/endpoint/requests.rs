//! What is sent.

use std::time::Duration;

use taskshed::Task;
use taskshed::config::Secret;
use taskshed::domain::id::Callback;
use taskshed::domain::json::Kwargs;
use taskshed::domain::state::TaskState;
use taskshed::handlers::http::Http;

use super::receiver::Receiver;
use super::receiver::Reply;
use super::receiver::reply;
use super::shed::Shed;
use super::shed::task;
use super::shed::told;

#[tokio::test]
async fn a_run_is_a_post_with_the_arguments_and_the_facts() {
    let receiver =
        Receiver::new(|_| Reply::Bytes(reply("201 Created", "", " {\"n\": 1e400} \n"))).await;
    let http = Http::new(&receiver.url).unwrap().header("Authorization", "Bearer s3cret").unwrap();
    let mut shed = Shed::new(http).await;
    let kwargs = "{\"n\":  12345678901234567890123, \"ß\": [ ]}";
    let hook = Callback::parse("hook").unwrap();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let ask = Task::of(hook, Kwargs::parse(kwargs).unwrap())
        .id(" größe 100%")
        .group("tenant 1")
        .metadata("traceparent", trace)
        .retention(Duration::from_secs(60));

    let done = shed.run(ask).await;

    assert_eq!(told(&done), (TaskState::Completed, 1, ""));
    assert_eq!(done.result.unwrap().as_str(), "{\"n\": 1e400}");
    let request = receiver.seen.look().requests[0].clone();
    assert_eq!(request.line, "POST /hook?of=tests HTTP/1.1");
    assert_eq!(request.body, kwargs, "byte for byte");
    for (name, value) in [
        ("content-type", "application/json"),
        ("authorization", "Bearer s3cret"),
        ("taskshed-task-id", "%20gr%C3%B6%C3%9Fe 100%25"),
        ("taskshed-callback", "hook"),
        ("taskshed-attempt", "1"),
        ("taskshed-queue", "default"),
        ("taskshed-group-id", "tenant 1"),
        ("taskshed-node", "anna"),
        ("taskshed-run-at", &done.planned_at.to_string()),
        ("traceparent", trace),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
    assert!(request.header("taskshed-fence").unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(request.header("taskshed-signature"), None);
}

#[tokio::test]
async fn what_a_run_does_not_have_is_not_sent() {
    let receiver = Receiver::new(|_| Reply::Bytes(reply("204 No Content", "", ""))).await;
    let secret = Secret::new("s3cret".to_owned());
    let mut shed = Shed::new(Http::new(&receiver.url).unwrap().signed(secret)).await;

    let done = shed.run(task("plain")).await;

    assert_eq!(told(&done), (TaskState::Completed, 1, ""));
    assert!(done.result.is_none());
    let request = receiver.seen.look().requests[0].clone();
    assert_eq!(request.header("traceparent"), None);
    assert_eq!(request.header("taskshed-group-id"), None);
    let signature = request.header("taskshed-signature").unwrap();
    assert!(signature.starts_with("t=") && signature.contains(",v1="), "{signature}");
    assert!(!format!("{request:?}").contains("s3cret"));
}

#[tokio::test]
async fn each_run_of_a_task_has_a_higher_fence() {
    let receiver =
        Receiver::new(|_| Reply::Bytes(reply("503 Busy", "retry-after: 0\r\n", ""))).await;
    let mut shed = Shed::new(Http::new(&receiver.url).unwrap()).await;
    let id = shed.add(task("again")).await;

    shed.ended(&id).await;
    shed.ended(&id).await;

    let seen = receiver.seen.look();
    let [first, second] = [0, 1].map(|at| {
        let request = &seen.requests[at];
        assert_eq!(request.header("taskshed-attempt"), Some("1"), "a snooze is not charged");
        request.header("taskshed-fence").unwrap().parse::<u64>().unwrap()
    });
    assert!(second > first);
}
