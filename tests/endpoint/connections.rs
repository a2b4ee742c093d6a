//! Connections: made, kept, bounded, closed.

use std::sync::Arc;
use std::time::Duration;

use taskshed::domain::id::TaskId;
use taskshed::domain::state::TaskState;
use taskshed::handlers::http::Http;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::receiver::Receiver;
use super::receiver::Reply;
use super::receiver::reply;
use super::shed::Shed;
use super::shed::task;
use super::shed::told;

#[tokio::test]
async fn nobody_there_is_a_retry() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let mut shed = Shed::new(Http::new(&url).unwrap()).await;

    let task = shed.run(task("t")).await;

    let (state, attempt, error) = told(&task);
    assert_eq!((state, attempt), (TaskState::Scheduled, 1));
    assert!(error.contains("Connection refused"), "{error}");
}

#[tokio::test]
async fn a_connection_is_used_again_whatever_the_answer() {
    let receiver = Receiver::new(|request| {
        let id = request.header("taskshed-task-id").unwrap();
        let (status, headers) = match id.parse::<usize>().unwrap() % 4 {
            0 => ("200 OK", ""),
            1 => ("404 Not Found", ""),
            2 => ("503 Busy", "retry-after: 100\r\n"),
            _ => ("500 Internal Server Error", ""),
        };
        Reply::Bytes(reply(status, headers, &"x".repeat(5000)))
    })
    .await;
    let mut shed = Shed::new(Http::new(&receiver.url).unwrap()).await;

    for index in 0..40 {
        shed.run(task(&index.to_string())).await;
    }

    let seen = receiver.seen.look();
    assert_eq!((seen.requests.len(), seen.connections), (40, 1));
}

#[tokio::test]
async fn no_more_requests_are_sent_at_once_than_allowed() {
    let turns = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&turns);
    let receiver =
        Receiver::new(move |_| Reply::When(Arc::clone(&held), reply("200 OK", "", ""))).await;
    let http = Http::new(&receiver.url).unwrap().concurrency(3);
    let mut shed = Shed::new(http).await;
    let mut ids: Vec<TaskId> = Vec::new();
    for index in 0..12 {
        ids.push(shed.add(task(&index.to_string())).await);
    }

    receiver.seen.until(|seen| seen.open == 3).await;
    turns.add_permits(12);

    for id in ids {
        assert_eq!(told(&shed.ended(&id).await), (TaskState::Completed, 1, ""));
    }
    assert_eq!(receiver.seen.look().open_max, 3);
}

#[tokio::test]
async fn a_run_that_does_not_get_its_turn_is_put_off_and_not_charged() {
    let turns = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&turns);
    let receiver =
        Receiver::new(move |_| Reply::When(Arc::clone(&held), reply("200 OK", "", ""))).await;
    let http = Http::new(&receiver.url).unwrap().concurrency(1).timeout(Duration::from_secs(60));
    let mut shed = Shed::new(http).await;
    let first = shed.add(task("first")).await;
    receiver.seen.until(|seen| seen.open == 1).await;

    let second = shed.run(task("second").timeout(Duration::from_millis(400))).await;

    assert_eq!(told(&second), (TaskState::Scheduled, 0, ""));
    assert_eq!(receiver.seen.look().requests.len(), 1);
    turns.add_permits(2);
    assert_eq!(told(&shed.ended(&first).await), (TaskState::Completed, 1, ""));
    assert_eq!(told(&shed.ended(&second.id).await), (TaskState::Completed, 1, ""));
}

#[tokio::test]
async fn a_run_that_takes_too_long_hangs_up_and_has_failed() {
    let receiver = Receiver::new(|_| Reply::Nothing).await;
    let http = Http::new(&receiver.url).unwrap().timeout(Duration::from_millis(200));
    let mut shed = Shed::new(http).await;

    let task = shed.run(task("slow")).await;

    let (state, attempt, error) = told(&task);
    assert_eq!((state, attempt), (TaskState::Scheduled, 1));
    assert!(error.contains("200ms"), "{error}");
    receiver.seen.until(|seen| seen.hung_up == 1).await;
}

#[tokio::test]
async fn a_cancelled_run_hangs_up() {
    let receiver = Receiver::new(|_| Reply::Nothing).await;
    let mut shed = Shed::new(Http::new(&receiver.url).unwrap()).await;
    let id = shed.add(task("slow")).await;
    receiver.seen.until(|seen| seen.open == 1).await;

    shed.scheduler.cancel(vec![id.clone()]).await.unwrap();

    receiver.seen.until(|seen| seen.hung_up == 1).await;
    assert_eq!(shed.ended(&id).await.state, TaskState::Cancelled);
}

/// Guards N1: after a drain that is clean nothing runs, and the store has its tasks back.
#[tokio::test]
async fn a_node_that_leaves_hangs_up_and_hands_its_tasks_back() {
    let receiver = Receiver::new(|_| Reply::Nothing).await;
    let mut shed = Shed::new(Http::new(&receiver.url).unwrap()).await;
    let id = shed.add(task("slow")).await;
    receiver.seen.until(|seen| seen.open == 1).await;

    assert!(shed.leave().await.is_clean());

    receiver.seen.until(|seen| seen.hung_up == 1).await;
    assert_eq!(told(&shed.find(&id).await), (TaskState::Scheduled, 0, ""));
}
