//! Which lane a task stands in: parked tasks, and what a claimer is told of the rest.

use std::sync::Arc;

use taskshed::domain::id::Callback;
use taskshed::domain::state::Outcome;
use taskshed::domain::task::Priority;
use taskshed::store::Action;
use taskshed::store::Claim;

use crate::fixture::SECOND;
use crate::fixture::ids;
use crate::fixture::start;
use crate::requests::claim;
use crate::requests::of;
use crate::requests::task;

fn claim_for(callbacks: &[&str]) -> Claim {
    let callbacks = callbacks.iter().map(|text| Callback::parse(text).unwrap()).collect();
    Claim { callbacks: Some(callbacks), ..claim() }
}

#[tokio::test]
async fn a_task_of_another_callback_is_parked_and_counts_against_the_limit() {
    let shed = super::shed().await;
    shed.add([of("resize", "a"), task("b")]).await;

    let first = shed.claim(&Claim { limit: 1, ..claim() }).await;
    assert!(first.tasks.is_empty() && first.more);
    let parked = shed.task("a").await;
    assert!(parked.parked);
    assert_eq!(parked.run_at, start());
    let second = shed.claim(&Claim { limit: 1, ..claim() }).await;

    assert_eq!(ids(&second.tasks), ["b"]);
    assert_eq!((second.more, second.next_run_at), (false, None), "it cannot take what is parked");
    let depth = shed.queue("default").await;
    assert_eq!((depth.parked, depth.scheduled, depth.due), (1, [0; 4], 0));
}

#[tokio::test]
async fn parked_tasks_wait_for_a_claimer_that_has_their_callback() {
    let shed = super::shed().await;
    shed.add([of("resize", "a"), of("upload", "b"), of("resize", "c").run_in(SECOND)]).await;
    shed.claim(&claim()).await;

    let claimed = shed.claim(&claim_for(&["noop", "resize"])).await;

    assert_eq!(ids(&claimed.tasks), ["a"]);
    assert!(!claimed.tasks[0].parked);
    assert_eq!(claimed.next_run_at, Some(start().plus(SECOND)));
    assert!(shed.task("b").await.parked);
    assert_eq!(shed.claim_ids(&Claim { callbacks: None, ..claim() }).await, ["b"]);
}

#[tokio::test]
async fn parked_tasks_of_a_priority_come_before_its_ordinary_lane_by_callback() {
    let shed = super::shed().await;
    let early = start().minus(9 * SECOND);
    shed.add([
        of("zip", "z"),
        of("upload", "u2").run_at(early),
        of("upload", "u1").run_at(early.minus(SECOND)),
        of("resize", "low").priority(Priority::Low).run_at(early),
    ])
    .await;
    shed.claim(&claim()).await;
    shed.add([task("ordinary").run_at(early), task("high").priority(Priority::High)]).await;

    let all = claim_for(&["noop", "resize", "upload", "zip"]);

    assert_eq!(shed.claim_ids(&all).await, ["high", "u1", "u2", "z", "ordinary", "low"]);
}

#[tokio::test]
async fn a_run_of_a_task_that_was_parked_goes_back_to_the_ordinary_lane() {
    let shed = super::shed().await;
    shed.add([of("resize", "a")]).await;
    shed.claim(&claim()).await;
    let run = shed.claim(&claim_for(&["resize"])).await.tasks.remove(0);

    shed.end(&run, Outcome::Released).await;

    assert!(!shed.task("a").await.parked);
    assert_eq!(shed.queue("default").await.scheduled[2], 1);
}

/// Guards T8 and T10.
#[tokio::test]
async fn parked_tasks_can_be_changed_and_expire_like_others() {
    let shed = super::shed().await;
    let parked = |id: &str| of("resize", id);
    shed.add([parked("p"), parked("c"), parked("r"), parked("m"), parked("x").expires_in(SECOND)])
        .await;
    shed.claim(&claim()).await;
    assert_eq!(shed.queue("default").await.parked, 5);

    shed.change(Action::Pause, &["p"]).await;
    shed.change(Action::Cancel, &["c"]).await;
    shed.change(Action::Remove, &["r"]).await;
    let later = start().plus(9 * SECOND);
    shed.change(Action::RescheduleEach(vec![later]), &["m"]).await;
    shed.clock.advance(SECOND);
    let claimed = shed.claim(&claim_for(&["resize"])).await;

    assert!(claimed.tasks.is_empty());
    assert_eq!(claimed.next_run_at, Some(later));
    let depth = shed.queue("default").await;
    assert_eq!((depth.parked, depth.held, depth.cancelled, depth.expired), (0, 1, 1, 1));
}

#[tokio::test]
async fn a_claimer_of_any_callback_parks_nothing() {
    let shed = super::shed().await;
    shed.add([of("resize", "a"), task("b")]).await;

    assert_eq!(shed.claim_ids(&Claim { callbacks: None, ..claim() }).await, ["a", "b"]);
}

#[tokio::test]
async fn the_next_moment_is_the_earliest_of_what_the_claimer_could_take() {
    let shed = super::shed().await;
    let at = |id: &str, seconds: u32| task(id).run_in(seconds * SECOND);
    shed.add([at("paused", 1), at("elsewhere", 2).queue("mail"), at("a", 5), at("b", 4)]).await;
    shed.change(Action::Pause, &["paused"]).await;
    let none = Claim { callbacks: Some(Arc::from([])), ..claim() };

    assert_eq!(shed.claim(&claim()).await.next_run_at, Some(start().plus(4 * SECOND)));
    shed.clock.advance(10 * SECOND);
    let parking = shed.claim(&none).await;
    assert_eq!((parking.next_run_at, parking.more), (None, false));
}
