//! Housekeeping: what expires, what is forgotten, what is left at the end.

use std::time::Duration;

use taskshed::domain::state::Outcome;
use taskshed::domain::state::TaskState;
use taskshed::store::Action;
use taskshed::store::ENDED_CLAIM_KEPT;
use taskshed::store::Filter;
use taskshed::store::Keep;
use taskshed::store::Led;
use taskshed::store::Maintain;
use taskshed::store::Maintained;
use taskshed::store::Scope;

use crate::fixture::SECOND;
use crate::fixture::almost;
use crate::fixture::claim_id;
use crate::fixture::start;
use crate::requests::beat;
use crate::requests::claim;
use crate::requests::of;
use crate::requests::task;

/// Guards T8: whatever kept it from being claimed.
#[tokio::test]
async fn tasks_that_were_never_claimed_expire() {
    let shed = super::shed().await;
    let late = |id: &str| task(id).expires_in(SECOND).unique_key(id);
    shed.add([late("a"), late("paused").paused(), late("future").run_in(60 * SECOND), task("x")])
        .await;
    assert_eq!(shed.maintain().await.expired, 0);
    shed.clock.advance(SECOND);

    let done = shed.maintain().await;

    assert_eq!((done.expired, done.more), (3, false));
    for text in ["a", "paused", "future"] {
        let ended = shed.task(text).await;
        assert_eq!((ended.state, ended.finished_at), (TaskState::Expired, Some(shed.now().await)));
        assert_eq!((ended.paused_at, ended.attempt), (None, 0));
    }
    assert_eq!(shed.claim_ids(&claim()).await, ["x"]);
    assert_eq!(shed.maintain().await.expired, 0);
    let freed = shed.add([task("new").unique_key("a")]).await;
    assert_eq!(freed, [taskshed::store::AddOutcome::Created], "S2: its key is free");
}

#[tokio::test]
async fn ended_tasks_go_when_their_time_is_over() {
    let shed = super::shed().await;
    let day = 86_400 * SECOND;
    shed.add([task("completed").retention(SECOND), task("dead"), task("cancelled")]).await;
    shed.add([task("expired").run_in(SECOND).expires_in(Duration::ZERO)]).await;
    for run in shed.claim(&claim()).await.tasks {
        match run.id.as_str() {
            "completed" => shed.complete(&run).await,
            "dead" => shed.end(&run, Outcome::Dead("no".into())).await,
            _ => shed.end(&run, Outcome::Cancelled).await,
        };
    }
    shed.maintain().await;
    for (at, gone) in
        [(SECOND, "completed"), (day, "cancelled"), (day, "expired"), (90 * day, "dead")]
    {
        shed.clock.set_wall(start().plus(almost(at)));
        shed.maintain().await;
        let was_there = shed.find(gone).await.is_some();
        shed.clock.set_wall(start().plus(at));
        shed.maintain().await;

        assert!(was_there || gone == "expired", "{gone} went too early");
        assert!(shed.find(gone).await.is_none(), "{gone} stayed too long");
    }
    assert!(shed.list(Filter::default(), 10).await.is_empty());
}

#[tokio::test]
async fn a_batch_is_bounded_and_says_that_there_is_more() {
    let shed = super::shed().await;
    let late = |id: &str| task(id).expires_in(SECOND);
    shed.add([late("a"), late("b"), late("c")]).await;
    shed.clock.advance(SECOND);
    let house = Maintain { mandate: shed.lead().await, limit: 2 };

    let Led::Done(first) = shed.store.maintain(&house).await.unwrap() else { panic!("deposed") };
    let Led::Done(second) = shed.store.maintain(&house).await.unwrap() else { panic!("deposed") };

    assert_eq!((first.expired, first.more), (2, true));
    assert_eq!((second.expired, second.more), (1, false));
}

#[tokio::test]
async fn the_bound_of_a_batch_holds_for_all_queues_together() {
    let shed = super::shed().await;
    shed.add([task("a"), task("b"), task("z").queue("mail")]).await;
    shed.change(Action::Cancel, &["z"]).await;
    shed.clock.advance(SECOND);
    shed.change(Action::Cancel, &["a", "b"]).await;
    shed.clock.advance(86_400 * SECOND);
    let house = Maintain { mandate: shed.lead().await, limit: 2 };

    let done = shed.store.maintain(&house).await.unwrap();

    assert_eq!(done, Led::Done(Maintained { pruned: 2, more: true, ..Maintained::default() }));
    assert!(shed.find("z").await.is_none() && shed.find("a").await.is_none(), "first over first");
    let rest = shed.store.maintain(&house).await.unwrap();
    assert_eq!(rest, Led::Done(Maintained { pruned: 1, ..Maintained::default() }));
}

#[tokio::test]
async fn nodes_that_fell_silent_are_forgotten() {
    let shed = super::shed().await;
    let beats = |node: &str| Keep { beat: Some(beat(node)), claims: Vec::new(), ttl: SECOND };
    shed.store.keep(&beats("node-a")).await.unwrap();
    shed.clock.advance(SECOND);
    shed.store.keep(&beats("node-b")).await.unwrap();
    shed.clock.advance(59 * SECOND);

    assert_eq!(shed.maintain().await.forgotten, 1);

    let nodes = shed.store.cluster().await.unwrap().nodes;
    assert_eq!(nodes.len(), 1);
    assert_eq!(nodes[0].node.as_str(), "node-b");
}

#[tokio::test]
async fn ended_claims_are_forgotten_after_a_while() {
    let shed = super::shed().await;
    let run = shed.running(task("a")).await;
    shed.complete(&run).await;
    shed.add([task("b")]).await;
    let reused = taskshed::store::Claim { id: claim_id(&run).clone(), ..claim() };

    shed.clock.advance(ENDED_CLAIM_KEPT);
    shed.maintain().await;

    assert_eq!(shed.claim_ids(&reused).await, ["b"]);
}

/// Guards T10: every kind of task came by and went.
#[tokio::test]
async fn a_drained_store_is_empty() {
    let shed = super::shed().await;
    shed.add([
        task("keyed").unique_key("k").group("g").expires_in(60 * SECOND),
        task("every").every(SECOND),
        task("failing").max_attempts(1),
        task("removed"),
        task("replaced"),
        of("other", "parked"),
        task("paused").paused(),
    ])
    .await;
    let runs = shed.claim(&claim()).await.tasks;
    shed.add([task("replaced")]).await;
    shed.change(Action::Cancel, &["every", "paused", "parked"]).await;
    shed.change(Action::Remove, &["removed"]).await;
    for run in &runs {
        match run.id.as_str() {
            "failing" => shed.end(run, Outcome::Failed("no".into())).await,
            _ => shed.complete(run).await,
        };
    }
    let run = shed.claim(&claim()).await.tasks.remove(0);
    shed.complete(&run).await;
    shed.clock.advance(91 * 86_400 * SECOND);

    let done = shed.maintain().await;

    assert_eq!(done, Maintained { pruned: 4, ..Maintained::default() });
    assert!(shed.list(Filter::default(), 100).await.is_empty());
    assert!(shed.look(Scope::All { skip: 0 }).await.is_empty());
    let depth = shed.queue("default").await;
    let counts = [
        depth.due,
        depth.held,
        depth.parked,
        depth.suspects,
        depth.running,
        depth.completed,
        depth.dead,
        depth.cancelled,
        depth.expired,
    ];
    assert_eq!((depth.scheduled, counts, depth.oldest_due_at), ([0; 4], [0; 9], None));
    let anew = shed.add([task("new").unique_key("k").run_at(start())]).await;
    assert_eq!(anew, [taskshed::store::AddOutcome::Created]);
}
