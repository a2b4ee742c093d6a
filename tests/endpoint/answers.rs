//! What comes of an answer.

use std::time::Duration;

use taskshed::domain::state::TaskState;
use taskshed::domain::time::Timestamp;
use taskshed::handlers::http::Http;

use super::receiver::Receiver;
use super::receiver::Reply;
use super::receiver::Request;
use super::receiver::reply;
use super::shed::Shed;
use super::shed::task;
use super::shed::told;

/// Which of the answers a task is for.
fn number(request: &Request) -> usize {
    request.header("taskshed-task-id").unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_status_decides_between_completed_dead_and_retry() {
    let answers = [
        ("200 OK", TaskState::Completed, ""),
        ("202 Accepted", TaskState::Completed, ""),
        ("299 Odd", TaskState::Completed, ""),
        ("400 Bad Request", TaskState::Dead, "400 Bad Request: why"),
        ("401 Unauthorized", TaskState::Dead, "401 Unauthorized: why"),
        ("404 Not Found", TaskState::Dead, "404 Not Found: why"),
        ("422 Unprocessable Entity", TaskState::Dead, "422 Unprocessable Entity: why"),
        ("408 Request Timeout", TaskState::Scheduled, "408 Request Timeout: why"),
        ("425 Too Early", TaskState::Scheduled, "425 Too Early: why"),
        ("429 Too Many Requests", TaskState::Scheduled, "429 Too Many Requests: why"),
        ("500 Internal Server Error", TaskState::Scheduled, "500 Internal Server Error: why"),
        ("503 Service Unavailable", TaskState::Scheduled, "503 Service Unavailable: why"),
        ("302 Found", TaskState::Scheduled, "302 Found: redirects are not followed"),
    ];
    let receiver = Receiver::new(move |request| {
        let here = format!("location: http://{}/\r\n", request.header("host").unwrap());
        Reply::Bytes(reply(answers[number(request)].0, &here, "why"))
    })
    .await;
    let mut shed = Shed::new(Http::new(&receiver.url).unwrap()).await;

    for (index, (status, state, error)) in answers.into_iter().enumerate() {
        let task = shed.run(task(&index.to_string())).await;
        assert_eq!(told(&task), (state, 1, error), "{status}");
    }
    assert_eq!(receiver.seen.look().requests.len(), answers.len(), "no redirect was followed");
}

#[tokio::test]
async fn who_has_too_much_to_do_is_left_alone_as_long_as_it_asks() {
    let date = "date: Sun, 06 Nov 1994 08:00:00 GMT\r\n";
    let answers = [
        ("503 Busy", "retry-after: 100\r\n".to_owned(), 100),
        ("429 Busy", "retry-after: 100\r\n".to_owned(), 100),
        ("503 Busy", format!("{date}retry-after: Sun, 06 Nov 1994 08:02:00 GMT\r\n"), 120),
        ("429 Busy", format!("{date}retry-after: Sunday, 06-Nov-94 08:02:00 GMT\r\n"), 120),
        ("503 Busy", "retry-after: Sun, 06 Nov 1994 08:02:00 GMT\r\n".to_owned(), 1),
        ("503 Busy", "retry-after: 99999999999999999999\r\n".to_owned(), 1 << 32),
    ];
    let replies = answers.clone();
    let receiver = Receiver::new(move |request| {
        let (status, headers, _) = &replies[number(request)];
        Reply::Bytes(reply(status, headers, ""))
    })
    .await;
    let mut shed = Shed::new(Http::new(&receiver.url).unwrap()).await;

    for (index, (status, headers, seconds)) in answers.into_iter().enumerate() {
        let added = shed.now().await;
        let task = shed.run(task(&index.to_string())).await;
        let later = shed.now().await;
        assert_eq!(told(&task), (TaskState::Scheduled, 0, ""), "{status} {headers}");
        let wait = Duration::from_secs(seconds);
        let least = added.plus(wait).min(Timestamp::MAX);
        let most = if seconds < 1 << 32 { later.plus(wait) } else { Timestamp::MAX };
        assert!((least..=most).contains(&task.run_at), "{status} {headers} {:?}", task.run_at);
    }
}

#[tokio::test]
async fn only_json_of_bounded_length_is_a_result() {
    let long = format!("\"{}\"", "x".repeat(64 << 10));
    let bodies = ["", "ok", "null", "[1,2] [3]", &long];
    let replies = bodies.map(|body| reply("200 OK", "", body));
    let receiver =
        Receiver::new(move |request| Reply::Bytes(replies[number(request)].clone())).await;
    let mut shed = Shed::new(Http::new(&receiver.url).unwrap()).await;

    for (index, body) in bodies.into_iter().enumerate() {
        let task = shed.run(task(&index.to_string())).await;
        assert_eq!(told(&task), (TaskState::Completed, 1, ""), "{body}");
        assert!(task.result.is_none(), "{body}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_none() {
    let halves =
        ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n[1,", "HTTP/9"];
    let receiver =
        Receiver::new(move |request| Reply::Last(halves[number(request)].to_owned())).await;
    let mut shed = Shed::new(Http::new(&receiver.url).unwrap()).await;

    for (index, half) in halves.into_iter().enumerate() {
        let task = shed.run(task(&index.to_string())).await;
        let (state, attempt, error) = told(&task);
        assert_eq!((state, attempt), (TaskState::Scheduled, 1), "{half}");
        assert!(error.starts_with("no answer from http://127.0.0.1:"), "{error}");
        assert!(!error.contains("of=tests"), "a query may hold a secret: {error}");
    }
}
