//! Tasks whose nodes die, kept apart from others.

use std::time::Duration;

use taskshed::domain::state::Outcome;
use taskshed::domain::task::Priority;
use taskshed::store::Action;
use taskshed::store::Claim;
use taskshed::store::SuspectRoom;

use crate::fixture::SECOND;
use crate::fixture::Shed;
use crate::fixture::almost;
use crate::fixture::ids;
use crate::requests::claim;
use crate::requests::claim_of;
use crate::requests::of;
use crate::requests::task;

fn room(two: usize, three: usize) -> Claim {
    Claim { suspects: SuspectRoom { two, three, idle: false }, ..claim() }
}

fn idle(node: &str) -> Claim {
    Claim { suspects: SuspectRoom { two: 0, three: 0, idle: true }, ..claim_of(node) }
}

/// A store in which the task `bad` has this many crashes and is due.
async fn with_crashes(count: u32) -> Shed {
    let shed = super::shed().await;
    shed.add([task("bad")]).await;
    shed.crash(count).await;
    shed
}

/// Guards N4.
#[tokio::test]
async fn after_one_crash_a_task_runs_among_the_others() {
    let shed = with_crashes(1).await;
    shed.add([task("good")]).await;

    assert_eq!(shed.claim_ids(&claim()).await, ["bad", "good"]);
}

/// Guards N4.
#[tokio::test]
async fn suspects_stand_apart_and_need_room() {
    for (crashes, without, with) in [(2, room(0, 9), room(1, 0)), (3, room(9, 0), room(0, 1))] {
        let shed = with_crashes(crashes).await;
        shed.add([task("good")]).await;
        let depth = shed.queue("default").await;
        assert_eq!((depth.suspects, depth.scheduled[2], depth.due), (1, 1, 1));

        let claimed = shed.claim(&without).await;
        assert_eq!(ids(&claimed.tasks), ["good"], "{crashes}");
        assert_eq!((claimed.more, claimed.next_run_at), (false, None), "{crashes}");
        assert_eq!(shed.claim_ids(&with).await, ["bad"], "{crashes}");
    }
}

/// Guards N4: no more of them than there is room for.
#[tokio::test]
async fn room_bounds_how_many_suspects_a_claim_takes() {
    let shed = super::shed().await;
    shed.add([task("a"), task("b"), task("c")]).await;
    shed.crash(2).await;
    shed.add([task("good")]).await;

    let first = shed.claim(&room(2, 0)).await;

    assert_eq!(first.tasks.len(), 3);
    assert!(!first.more, "there is no room for what was left");
    let suspects = first.tasks.iter().filter(|task| task.is_suspect()).count();
    assert_eq!(suspects, 2);
    assert_eq!(shed.claim(&room(2, 0)).await.tasks.len(), 1);
}

#[tokio::test]
async fn suspects_come_before_others_of_their_priority_most_crashes_first() {
    let shed = super::shed().await;
    shed.add([task("three")]).await;
    shed.crash(1).await;
    shed.add([of("noop", "two"), task("low").priority(Priority::Low)]).await;
    shed.crash(2).await;
    let early = shed.now().await.minus(3600 * SECOND);
    shed.add([task("good").run_at(early), task("high").priority(Priority::High)]).await;

    assert_eq!(shed.claim_ids(&room(9, 9)).await, ["high", "three", "two", "good", "low"]);
}

#[tokio::test]
async fn a_suspect_keeps_its_priority_its_queue_and_its_pause() {
    let shed = with_crashes(2).await;

    shed.change(Action::Pause, &["bad"]).await;
    assert!(shed.claim(&room(9, 9)).await.tasks.is_empty());
    assert_eq!(shed.queue("default").await.held, 1);
    shed.change(Action::Resume, &["bad"]).await;

    assert_eq!(shed.queue("default").await.suspects, 1);
    assert_eq!(shed.claim_ids(&room(9, 9)).await, ["bad"]);
}

#[tokio::test]
async fn a_suspect_is_only_given_to_who_has_its_callback() {
    let shed = with_crashes(2).await;
    let other = Claim { callbacks: Some(std::sync::Arc::from([])), ..room(9, 9) };

    let claimed = shed.claim(&other).await;

    assert_eq!((claimed.tasks.len(), claimed.more, claimed.next_run_at), (0, false, None));
    assert_eq!(shed.claim_ids(&room(9, 9)).await, ["bad"]);
}

#[tokio::test]
async fn a_suspect_that_ends_well_is_one_no_more() {
    let shed = super::shed().await;
    shed.add([task("bad").every(600 * SECOND)]).await;
    shed.crash(2).await;
    let run = shed.claim(&room(1, 0)).await.tasks.remove(0);
    shed.end(&run, Outcome::Released).await;
    assert_eq!(shed.queue("default").await.suspects, 1, "handed back, it proved nothing");
    let run = shed.claim(&room(1, 0)).await.tasks.remove(0);

    shed.complete(&run).await;

    let depth = shed.queue("default").await;
    assert_eq!((depth.suspects, depth.scheduled[2]), (0, 1));
}

/// Guards N4.
#[tokio::test]
async fn a_task_with_four_crashes_runs_alone_on_an_idle_claimer() {
    let shed = with_crashes(4).await;
    shed.add([task("good").priority(Priority::Critical)]).await;

    let claimed = shed.claim(&idle("node-a")).await;

    assert_eq!(ids(&claimed.tasks), ["bad"]);
    assert!(claimed.more && !claimed.isolate);
    assert_eq!(shed.claim_ids(&claim()).await, ["good"]);
}

/// Guards N4.
#[tokio::test]
async fn a_busy_claimer_is_told_to_become_idle_and_gets_nothing() {
    let shed = with_crashes(4).await;
    shed.add([task("good")]).await;

    let told = shed.claim(&claim_of("node-a")).await;
    let again = shed.claim(&claim_of("node-a")).await;
    let other = shed.claim(&Claim { limit: 1, ..claim_of("node-b") }).await;

    assert!(told.isolate && told.tasks.is_empty());
    assert!(again.isolate && again.tasks.is_empty(), "it holds the reservation");
    assert!(!other.isolate);
    assert_eq!(ids(&other.tasks), ["good"], "one process alone becomes idle");
    assert_eq!(shed.claim_ids(&idle("node-a")).await, ["bad"]);
}

#[tokio::test]
async fn a_reservation_lasts_thirty_seconds_and_nobody_gets_one_for_thirty_more() {
    let shed = with_crashes(4).await;
    shed.add([task("good")]).await;
    assert!(shed.claim(&claim_of("node-a")).await.isolate);

    shed.clock.advance(30 * SECOND);
    let lapsed = shed.claim(&Claim { limit: 1, ..claim_of("node-a") }).await;
    shed.clock.advance(almost(30 * SECOND));
    let early = shed.claim(&claim_of("node-b")).await;
    shed.clock.advance(Duration::from_micros(1));
    let next = shed.claim(&claim_of("node-b")).await;

    assert!(!lapsed.isolate);
    assert_eq!(ids(&lapsed.tasks), ["good"], "work goes on");
    assert!(!early.isolate);
    assert!(next.isolate);
}

#[tokio::test]
async fn nobody_becomes_idle_for_a_suspect_that_is_not_due() {
    let shed = with_crashes(4).await;
    shed.change(Action::Reschedule(taskshed::domain::time::Moment::In(SECOND)), &["bad"]).await;

    assert!(!shed.claim(&claim()).await.isolate);
    shed.clock.advance(SECOND);
    assert!(shed.claim(&claim()).await.isolate);
}
