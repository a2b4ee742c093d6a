//! Elections, and mandates that are over.

use std::time::Duration;

use taskshed::domain::id::ProcessId;
use taskshed::domain::lease::Term;
use taskshed::domain::state::TaskState;
use taskshed::store::Campaign;
use taskshed::store::Declaration;
use taskshed::store::Declare;
use taskshed::store::Led;
use taskshed::store::Look;
use taskshed::store::Maintain;
use taskshed::store::Mandate;
use taskshed::store::Resign;
use taskshed::store::Scope;

use crate::fixture::SECOND;
use crate::fixture::Shed;
use crate::fixture::almost;
use crate::fixture::claim_id;
use crate::fixture::start;
use crate::requests::add;
use crate::requests::claim;
use crate::requests::id;
use crate::requests::node;
use crate::requests::process;
use crate::requests::standing;
use crate::requests::task;

async fn stand(shed: &Shed, node: &str) -> Option<taskshed::store::Leader> {
    shed.store.campaign(&standing(node)).await.unwrap().leader
}

async fn is_deposed(shed: &Shed, mandate: &Mandate) -> bool {
    let look = Look { mandate: mandate.clone(), scope: Scope::Expired };
    shed.store.leases(&look).await.unwrap() == Led::Deposed
}

#[tokio::test]
async fn a_free_place_goes_to_who_stands_first() {
    let shed = super::shed().await;

    let first = stand(&shed, "node-1").await.unwrap();
    let second = stand(&shed, "node-2").await.unwrap();

    assert_eq!((&first.node, &first.process), (&node("node-1"), &process("node-1")));
    assert_eq!(first.until, start().plus(10 * SECOND));
    assert_eq!(second, first, "the reply says who leads");
    assert_eq!(shed.store.cluster().await.unwrap().leader, Some(first));
}

#[tokio::test]
async fn a_leader_renews_its_own_term() {
    let shed = super::shed().await;
    let first = stand(&shed, "node-1").await.unwrap();
    shed.clock.advance(9 * SECOND);

    let renewed = stand(&shed, "node-1").await.unwrap();

    assert_eq!((renewed.term, renewed.until), (first.term, start().plus(19 * SECOND)));
}

/// Guards L1.
#[tokio::test]
async fn terms_only_grow() {
    let shed = super::shed().await;
    let mut last = Term(0);
    for (node, step) in [("node-1", 10), ("node-2", 10), ("node-2", 11), ("node-1", 10)] {
        let leader = stand(&shed, node).await.unwrap();
        assert_eq!(leader.node.as_str(), node);
        assert!(leader.term > last, "a term that has ended is not renewed");
        last = leader.term;
        shed.clock.advance(step * SECOND);
    }
    let resigned = stand(&shed, "node-1").await.unwrap();
    shed.store.resign(&Resign { process: Some(process("node-1")) }).await.unwrap();
    shed.clock.set_wall(start().minus(3600 * SECOND));

    assert!(stand(&shed, "node-1").await.unwrap().term > resigned.term, "also when clocks go back");
}

/// Guards L1: another process, an older term, a term that has ended.
#[tokio::test]
async fn a_mandate_that_is_over_changes_nothing() {
    let shed = super::shed().await;
    let old = shed.lead().await;
    let run = shed.running(task("a").expires_in(3600 * SECOND)).await;
    shed.add([task("late").run_in(3600 * SECOND).expires_in(SECOND)]).await;
    shed.clock.advance(11 * SECOND);
    assert!(is_deposed(&shed, &old).await, "nobody leads");
    let seen = shed.look(Scope::Claims(vec![claim_id(&run).clone()])).await.remove(0);
    let mut reclaim = shed.reclaim_of(&seen).await;
    let present = reclaim.mandate.clone();
    assert!(present.term > old.term);
    let other = Mandate { process: process("node-x"), term: present.term };
    let future = Mandate { term: Term(present.term.0 + 1), ..present.clone() };

    for mandate in [&old, &other, &future] {
        assert!(is_deposed(&shed, mandate).await);
        let house = Maintain { mandate: mandate.clone(), limit: 1000 };
        assert_eq!(shed.store.maintain(&house).await.unwrap(), Led::Deposed);
        reclaim.mandate = mandate.clone();
        assert_eq!(shed.store.reclaim(&reclaim).await.unwrap(), Led::Deposed);
    }
    assert_eq!(shed.state("a").await, TaskState::Running);
    assert_eq!(shed.state("late").await, TaskState::Scheduled);
    reclaim.mandate = present;
    assert_eq!(shed.store.reclaim(&reclaim).await.unwrap(), Led::Done(1));
    assert_eq!(shed.maintain().await.expired, 1);
}

#[tokio::test]
async fn a_leader_gives_up_its_own_term_and_no_other() {
    let shed = super::shed().await;
    let leader = stand(&shed, "node-1").await.unwrap();
    let own = |node: &str| Resign { process: Some(process(node)) };

    assert_eq!(shed.store.resign(&own("node-2")).await.unwrap(), None);
    assert_eq!(stand(&shed, "node-2").await, Some(leader.clone()));
    assert_eq!(shed.store.resign(&own("node-1")).await.unwrap(), Some(leader.clone()));

    assert_eq!(shed.store.cluster().await.unwrap().leader, None);
    assert!(is_deposed(&shed, &Mandate { process: leader.process, term: leader.term }).await);
    assert_eq!(shed.store.resign(&own("node-1")).await.unwrap(), None, "a repeat ends nothing");
    assert!(stand(&shed, "node-2").await.unwrap().term > leader.term);
}

#[tokio::test]
async fn a_leader_that_leaves_by_itself_may_stand_again() {
    let shed = super::shed().await;
    let first = stand(&shed, "node-1").await.unwrap();
    shed.store.resign(&Resign { process: Some(process("node-1")) }).await.unwrap();

    assert!(stand(&shed, "node-1").await.unwrap().term > first.term);
}

#[tokio::test]
async fn who_was_told_to_resign_does_not_get_the_place_for_five_seconds() {
    let shed = super::shed().await;
    let told = stand(&shed, "node-1").await.unwrap();

    assert_eq!(shed.store.resign(&Resign { process: None }).await.unwrap(), Some(told.clone()));
    assert_eq!(shed.store.resign(&Resign { process: None }).await.unwrap(), None);

    shed.clock.advance(almost(5 * SECOND));
    assert_eq!(stand(&shed, "node-1").await, None, "nobody leads and it may not yet");
    shed.clock.advance(Duration::from_micros(1));
    assert!(stand(&shed, "node-1").await.unwrap().term > told.term);
}

#[tokio::test]
async fn another_process_gets_the_place_at_once() {
    let shed = super::shed().await;
    let told = stand(&shed, "node-1").await.unwrap();
    shed.store.resign(&Resign { process: None }).await.unwrap();
    let anew = ProcessId::parse("node-1-second").unwrap();

    let next =
        shed.store.campaign(&Campaign { process: anew, ..standing("node-1") }).await.unwrap();

    let leader = next.leader.unwrap();
    assert!(leader.term > told.term);
    assert_eq!(next.now, start());
}

async fn declares(shed: &Shed, mandate: &Mandate, what: Declaration) -> bool {
    let declare = Declare { mandate: mandate.clone(), what };
    shed.store.declare(&declare).await.unwrap() == Led::Done(())
}

#[tokio::test]
async fn a_leader_adds_replaces_and_removes_what_it_declares() {
    let shed = super::shed().await;
    let mandate = shed.lead().await;
    shed.add([task("a").queue("old"), task("gone"), task("other")]).await;

    let wanted = add([task("a").queue("new").run_in(60 * SECOND), task("b")]);
    assert!(declares(&shed, &mandate, Declaration::Add(wanted.clone())).await);
    assert!(declares(&shed, &mandate, Declaration::Add(wanted)).await, "it may be repeated");
    let gone = Declaration::Remove(vec![id("gone"), id("never")]);
    assert!(declares(&shed, &mandate, gone).await);

    let a = shed.task("a").await;
    assert_eq!((a.spec.queue.as_str(), a.run_at), ("new", start().plus(60 * SECOND)));
    assert_eq!(shed.find("gone").await, None);
    assert_eq!(shed.claim_ids(&claim()).await, ["b", "other"]);
}

/// Guards L1: another process, an older term, a term that has ended.
#[tokio::test]
async fn nobody_declares_without_a_mandate() {
    let shed = super::shed().await;
    let old = shed.lead().await;
    shed.add([task("a")]).await;
    shed.clock.advance(11 * SECOND);
    let ended = Declaration::Remove(vec![id("a")]);
    assert!(!declares(&shed, &old, ended).await, "nobody leads");
    let present = shed.lead().await;
    assert!(present.term > old.term);
    let stranger = Mandate { process: process("node-x"), term: present.term };

    for mandate in [&old, &stranger] {
        let added = Declaration::Add(add([task("a").queue("new"), task("b")]));
        assert!(!declares(&shed, mandate, added).await);
        assert!(!declares(&shed, mandate, Declaration::Remove(vec![id("a")])).await);
    }

    assert_eq!(shed.task("a").await.spec.queue.as_str(), "default");
    assert_eq!(shed.find("b").await, None);
}
