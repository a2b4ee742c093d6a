//! Who leads, and when no longer.

use std::time::Duration;

use taskshed::clock::Clock;
use taskshed::domain::id::NodeName;
use taskshed::domain::lease::TERM_TRUSTED_FOR;
use taskshed::domain::lease::TERM_TTL;
use taskshed::events::Event;
use taskshed::store::Leadership;
use taskshed::store::Led;
use taskshed::store::Look;
use taskshed::store::Mandate;
use taskshed::store::Resign;
use taskshed::store::Scope;

use super::faulty::Fault;
use super::fleet::Fleet;
use super::fleet::Node;
use super::fleet::SECOND;

/// How long it takes until nodes hear that nobody leads, and stand: a beat and a bid.
const HEARD: Duration = Duration::from_millis(1600);

fn leading<'a>(nodes: &'a [Node], name: &NodeName) -> (&'a Node, Vec<&'a Node>) {
    let (leaders, others): (Vec<_>, Vec<_>) = nodes.iter().partition(|node| node.name == *name);
    (leaders[0], others)
}

#[tokio::test]
async fn one_of_several_leads_and_the_others_make_no_calls() {
    let mut fleet = Fleet::new();
    let nodes = [fleet.node("a"), fleet.node("b"), fleet.node("c")];
    let (name, term) = fleet.elected().await;
    let (leader, followers) = leading(&nodes, &name);
    let bids: Vec<_> = followers.iter().map(|node| node.store.calls("campaign")).collect();
    fleet.pass(SECOND * 5).await;
    let before = leader.duties() + leader.store.calls("campaign");

    fleet.pass(SECOND * 60).await;

    assert_eq!(fleet.leader().await.map(|leader| (leader.node, leader.term)), Some((name, term)));
    for (node, bids) in followers.iter().zip(bids) {
        assert_eq!(node.store.calls("campaign"), bids);
        assert_eq!(node.duties(), 0);
    }
    let calls = leader.duties() + leader.store.calls("campaign") - before;
    assert!(calls <= 4 * 60, "{calls} calls in a minute with nothing to do");
}

/// Guards L1: terms only grow.
#[tokio::test]
async fn when_the_leader_dies_another_leads_a_higher_term_after_its_end() {
    let mut fleet = Fleet::new();
    let nodes = [fleet.node("a"), fleet.node("b")];
    let (name, term) = fleet.elected().await;
    fleet.pass(SECOND * 5).await;
    let (leader, others) = leading(&nodes, &name);

    leader.kill();
    let took = fleet
        .pass_until(SECOND * 12, async || {
            fleet.leader().await.is_some_and(|leader| leader.node == others[0].name)
        })
        .await;

    assert!(fleet.leader().await.unwrap().term > term);
    assert!(took > SECOND * 7, "the term of the old leader had not ended");
    assert!(took <= TERM_TTL + SECOND, "{took:?}");
}

/// Guards N2: the term of a dead leader does not go on for as long as the store's clock was set back.
#[tokio::test]
async fn a_dead_leader_is_followed_though_the_stores_clock_was_set_back() {
    let mut fleet = Fleet::new();
    let nodes = [fleet.node("a"), fleet.node("b"), fleet.node("c")];
    let (name, term) = fleet.elected().await;
    fleet.pass(SECOND * 5).await;
    let (leader, _) = leading(&nodes, &name);

    leader.kill();
    fleet.clock.set_wall(fleet.clock.wall().minus(SECOND * 3600));
    let took = fleet
        .pass_until(SECOND * 60, async || {
            fleet.leader().await.is_some_and(|leader| leader.node != name)
        })
        .await;

    assert!(fleet.leader().await.unwrap().term > term);
    assert!(took <= TERM_TTL + SECOND * 2, "{took:?}");
}

/// Guards L1: who still leads renews its term, so its record does not stand still.
#[tokio::test]
async fn a_leader_keeps_its_term_though_the_stores_clock_was_set_back() {
    let mut fleet = Fleet::new();
    let _nodes = [fleet.node("a"), fleet.node("b"), fleet.node("c")];
    let elected = fleet.elected().await;
    fleet.pass(SECOND * 5).await;

    fleet.clock.set_wall(fleet.clock.wall().minus(SECOND * 3600));
    fleet.pass(SECOND * 60).await;

    let leader = fleet.leader().await.unwrap();
    assert_eq!((leader.node, leader.term), elected);
}

#[tokio::test]
async fn a_leader_that_stops_resigns_and_another_leads_at_once() {
    let mut fleet = Fleet::new();
    let nodes = [fleet.node("a"), fleet.node("b")];
    let (name, term) = fleet.elected().await;
    fleet.pass(SECOND * 5).await;
    let (leader, others) = leading(&nodes, &name);

    leader.stop.cancel();
    let is_followed = async || {
        fleet.leader().await.is_some_and(|now| now.node == others[0].name && now.term > term)
    };
    fleet.pass_until(HEARD, is_followed).await;

    fleet.pass(SECOND * 20).await;
    assert_eq!(fleet.leader().await.unwrap().node, others[0].name);
}

#[tokio::test]
async fn a_node_that_stops_gives_back_a_term_of_which_it_never_heard() {
    let mut fleet = Fleet::new();
    let node = fleet.bare("a");
    node.store.plan("campaign", Fault::Reply, 1);
    let node = fleet.stand(node);
    fleet.pass(Duration::from_millis(100)).await;
    assert!(fleet.leader().await.is_some());

    node.stop.cancel();
    fleet.pass(Duration::from_millis(100)).await;

    assert_eq!(fleet.leader().await, None);
}

#[tokio::test]
async fn a_leader_that_was_told_to_resign_lets_others_lead_first() {
    let mut fleet = Fleet::new();
    let nodes = [fleet.node("a"), fleet.node("b")];
    let (name, _) = fleet.elected().await;
    fleet.pass(SECOND * 5).await;
    let (_, others) = leading(&nodes, &name);

    fleet.store.resign(&Resign { process: None }).await.unwrap();
    fleet.pass(HEARD).await;

    assert_eq!(fleet.leader().await.unwrap().node, others[0].name);
}

#[tokio::test]
async fn a_leader_that_was_told_to_resign_leads_again_if_nobody_else_does() {
    let mut fleet = Fleet::new();
    let _alone = fleet.node("a");
    fleet.elected().await;

    fleet.store.resign(&Resign { process: None }).await.unwrap();
    let took = fleet.pass_until(SECOND * 7, async || fleet.leader().await.is_some()).await;

    assert!(took > SECOND * 4, "{took:?}");
}

/// Guards L1: a leader that slept through its term does nothing when it wakes, and could not.
#[tokio::test]
async fn a_leader_that_was_frozen_beyond_its_term_acts_no_more() {
    let mut fleet = Fleet::new();
    let nodes = [fleet.node("a"), fleet.node("b")];
    let (name, term) = fleet.elected().await;
    fleet.pass(SECOND * 5).await;
    let (old, others) = leading(&nodes, &name);
    let before = old.duties();

    old.freeze();
    fleet.pass(TERM_TTL + SECOND * 2).await;
    assert_eq!(fleet.leader().await.unwrap().node, others[0].name);
    old.thaw();
    fleet.pass(SECOND * 5).await;

    assert_eq!(old.duties(), before);
    assert_eq!(fleet.leader().await.unwrap().node, others[0].name);
    let look =
        Look { mandate: Mandate { process: old.process.clone(), term }, scope: Scope::Expired };
    assert_eq!(fleet.store.leases(&look).await.unwrap(), Led::Deposed);
}

/// Guards L1: trust ends a second before the term does at the store.
#[tokio::test]
async fn a_leader_that_cannot_renew_stops_before_its_term_ends() {
    let mut fleet = Fleet::new();
    let node = fleet.node("a");
    fleet.elected().await;
    fleet.pass(SECOND).await;

    node.store.plan("campaign", Fault::Request, usize::MAX);
    let until = fleet.leader().await.unwrap().until;
    fleet.pass(TERM_TRUSTED_FOR - Duration::from_millis(2500)).await;
    let still = node.duties();
    fleet.pass(SECOND * 2).await;
    let stopped = node.duties();
    assert!(fleet.leader().await.is_some_and(|leader| leader.until == until));
    fleet.pass(SECOND * 20).await;

    assert!(stopped > still, "it stopped too early");
    assert_eq!(node.duties(), stopped);
}

/// Guards L1: trust counts from before the request was sent.
#[tokio::test]
async fn a_slow_answer_does_not_extend_trust() {
    let mut fleet = Fleet::new();
    let node = fleet.bare("a");
    node.store.hang("campaign", true);
    let node = fleet.stand(node);
    fleet.pass(TERM_TRUSTED_FOR - SECOND * 2).await;

    node.store.hang("campaign", false);
    fleet.pass(Duration::from_millis(50)).await;
    let at_first = node.duties();
    node.store.plan("campaign", Fault::Request, usize::MAX);
    fleet.pass(SECOND * 2).await;
    let until_trust_ended = node.duties();
    fleet.pass(SECOND * 20).await;

    assert!(at_first > 0 && until_trust_ended > at_first);
    assert_eq!(node.duties(), until_trust_ended);
}

#[tokio::test]
async fn every_node_tells_who_leads() {
    let mut fleet = Fleet::new();
    let mut nodes = [fleet.node("a"), fleet.node("b")];
    let (name, term) = fleet.elected().await;
    fleet.pass(SECOND * 2).await;

    for node in &mut nodes {
        let event = node.told.try_recv().unwrap();
        assert_eq!(event, Event::LeaderChanged { node: Some(name.clone()), term });
        assert!(node.told.try_recv().is_err());
        assert_eq!(node.seen.leader().map(|leader| leader.node), Some(name.clone()));
    }
}
