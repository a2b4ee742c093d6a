//! Terms, looks at leases, reclaims, and the audit.

use std::time::Duration;

use taskshed::domain::state::Outcome;
use taskshed::domain::state::TaskState;
use taskshed::store::AckItem;
use taskshed::store::Acked;
use taskshed::store::Action;
use taskshed::store::Beat;
use taskshed::store::Campaign;
use taskshed::store::Claim;
use taskshed::store::Holder;
use taskshed::store::HolderKind;
use taskshed::store::Keep;
use taskshed::store::Leadership;
use taskshed::store::LeaseView;
use taskshed::store::Led;
use taskshed::store::Look;
use taskshed::store::Mandate;
use taskshed::store::Queue;
use taskshed::store::Reclaim;
use taskshed::store::ReclaimItem;
use taskshed::store::Resign;
use taskshed::store::Scope;

use super::shed::SECOND;
use super::shed::Shed;
use super::shed::ack;
use super::shed::claim;
use super::shed::holder;
use super::shed::planned;
use super::shed::task;

fn standing(node: &str) -> Campaign {
    let Holder { node, process, .. } = holder(node);
    Campaign { node, process, ttl: 10 * SECOND }
}

fn beat(node: &str) -> Beat {
    let Holder { node, process, .. } = holder(node);
    Beat {
        node,
        process,
        version: "1".into(),
        queues: Vec::new(),
        callbacks: std::sync::Arc::from([]),
        concurrency: 1,
        running: 1,
        draining: false,
        skew_us: -5,
        leaving: false,
    }
}

async fn look(shed: &Shed, mandate: &Mandate, scope: Scope) -> Vec<LeaseView> {
    let look = Look { mandate: mandate.clone(), scope };
    match shed.store.leases(&look).await.unwrap() {
        Led::Done(looked) => looked.leases,
        Led::Deposed => panic!("deposed"),
    }
}

/// Guards L1.
#[tokio::test]
async fn terms_grow_and_an_older_one_changes_nothing() {
    let shed = Shed::new().await;
    let first = shed.store.campaign(&standing("node-1")).await.unwrap().leader.unwrap();
    let refused = shed.store.campaign(&standing("node-2")).await.unwrap().leader.unwrap();
    assert_eq!(refused, first);

    let nobody = Resign { process: Some(holder("node-2").process) };
    assert_eq!(shed.store.resign(&nobody).await.unwrap(), None);
    let ended = shed.store.resign(&Resign { process: None }).await.unwrap();
    assert_eq!(ended, Some(first.clone()));
    assert_eq!(shed.store.campaign(&standing("node-1")).await.unwrap().leader, None);
    let second = shed.store.campaign(&standing("node-2")).await.unwrap().leader.unwrap();
    assert!(second.term > first.term);

    let old = Mandate { process: first.process, term: first.term };
    let deposed = Look { mandate: old.clone(), scope: Scope::Expired };
    assert_eq!(shed.store.leases(&deposed).await.unwrap(), Led::Deposed);
    let stale = Mandate { process: second.process, term: first.term };
    let deposed = Look { mandate: stale, scope: Scope::Expired };
    assert_eq!(shed.store.leases(&deposed).await.unwrap(), Led::Deposed);

    shed.clock.advance(11 * SECOND);
    let third = shed.store.campaign(&standing("node-2")).await.unwrap().leader.unwrap();
    assert!(third.term > second.term, "a term that has ended is not renewed");
}

/// Guards T5: a lease that was prolonged between the two looks is left alone.
#[tokio::test]
async fn a_lease_with_another_end_is_left_alone() {
    let shed = Shed::new().await;
    let mandate = shed.lead().await;
    shed.add(vec![planned(task("a")), planned(task("b"))]).await.unwrap();
    let wish = claim(2);
    let claimed = shed.store.claim(&wish).await.unwrap();
    assert!(look(&shed, &mandate, Scope::Expired).await.is_empty());
    shed.clock.advance(11 * SECOND);
    let seen = look(&shed, &mandate, Scope::Expired).await.remove(0);
    assert!(seen.tasks.is_empty());
    assert_eq!((seen.ttl, seen.grace), (wish.ttl, wish.grace));

    let keep = Keep { beat: None, claims: vec![wish.id.clone()], ttl: 10 * SECOND };
    assert!(shed.store.keep(&keep).await.unwrap().lost.is_empty());
    let lost = Outcome::Released;
    let items = claimed.tasks.iter().map(|task| {
        let AckItem { task, fence, spec, verdict, .. } = ack(task, lost.clone(), claimed.now);
        ReclaimItem { task, fence, spec, verdict }
    });
    let reclaim = Reclaim {
        mandate: mandate.clone(),
        claim: wish.id.clone(),
        expires_at: seen.expires_at,
        items: items.collect(),
    };
    assert_eq!(shed.store.reclaim(&reclaim).await.unwrap(), Led::Done(0));
    assert!(look(&shed, &mandate, Scope::Expired).await.is_empty());

    shed.clock.advance(11 * SECOND);
    assert_eq!(shed.reclaim(&mandate, &wish.id).await, 2);
    assert_eq!(shed.store.keep(&keep).await.unwrap().lost, [wish.id]);
    let late = shed.finish(&claimed, Outcome::Completed(None)).await.unwrap();
    assert_eq!(late, [Acked::Stale, Acked::Stale]);
    assert_eq!(shed.task("a").await.unwrap().state, TaskState::Scheduled);
}

#[tokio::test]
async fn a_crash_is_a_process_that_fell_silent_with_its_lease() {
    let shed = Shed::new().await;
    let mandate = shed.lead().await;
    shed.add(["a", "b", "c"].map(|id| planned(task(id))).into()).await.unwrap();
    let kept = Claim { holder: holder("node-k"), ..claim(1) };
    let unknown = Claim { holder: holder("node-k"), ..claim(1) };
    let mut remote = claim(1);
    remote.holder.kind = HolderKind::Remote;
    for wish in [&kept, &unknown, &remote] {
        assert_eq!(shed.store.claim(wish).await.unwrap().tasks.len(), 1);
    }
    shed.clock.advance(SECOND);
    let keep = Keep { beat: Some(beat("node-k")), claims: vec![kept.id.clone()], ttl: 10 * SECOND };
    shed.store.keep(&keep).await.unwrap();
    shed.clock.advance(12 * SECOND);

    let views = look(&shed, &mandate, Scope::Expired).await;
    let crashed = |claim: &Claim| views.iter().find(|view| view.claim == claim.id).unwrap().crashed;
    assert!(crashed(&kept), "renewed with the last beat");
    assert!(!crashed(&unknown), "the process went on beating without it");
    assert!(crashed(&remote));

    let cluster = shed.store.cluster().await.unwrap();
    let names: Vec<_> = cluster.nodes.iter().map(|node| (node.node.as_str(), node.kind)).collect();
    assert_eq!(names, [("node-a", HolderKind::Remote), ("node-k", HolderKind::Node)]);
    assert_eq!(cluster.nodes[1].skew_us, -5);
    assert_eq!(cluster.leader.unwrap().term, mandate.term);

    shed.clock.advance(Duration::from_secs(61));
    assert_eq!(shed.maintain(&mandate).await.forgotten, 1);
    let leaving =
        Keep { beat: Some(Beat { leaving: true, ..beat("node-k") }), claims: vec![], ttl: SECOND };
    shed.store.keep(&Keep { beat: Some(beat("node-k")), ..leaving.clone() }).await.unwrap();
    assert_eq!(shed.store.cluster().await.unwrap().nodes.len(), 2);
    shed.store.keep(&leaving).await.unwrap();
    assert_eq!(shed.store.cluster().await.unwrap().nodes.len(), 1);
}

/// A reclaim yields to what was asked, and lets successors of replaced runs go on.
#[tokio::test]
async fn a_reclaim_yields_to_users() {
    let shed = Shed::new().await;
    let mandate = shed.lead().await;
    shed.add(["cancelled", "paused", "replaced"].map(|id| planned(task(id))).into()).await.unwrap();
    let wish = claim(5);
    shed.store.claim(&wish).await.unwrap();
    shed.change(Action::Cancel, &["cancelled"]).await;
    shed.change(Action::Pause, &["paused"]).await;
    shed.add(vec![planned(task("replaced"))]).await.unwrap();
    shed.clock.advance(11 * SECOND);

    assert_eq!(shed.reclaim(&mandate, &wish.id).await, 2);

    assert_eq!(shed.task("cancelled").await.unwrap().state, TaskState::Cancelled);
    assert!(shed.task("paused").await.unwrap().paused_at.is_some());
    let claimed = shed.claim(5).await.unwrap();
    assert_eq!(claimed.tasks.len(), 1);
    assert_eq!(claimed.tasks[0].crashes, 0, "a successor did not crash");
    assert!(look(&shed, &mandate, Scope::All { skip: 1 }).await.is_empty());
}

/// Guards T1 and T10: a record that stands nowhere is put back.
#[tokio::test]
async fn the_audit_puts_back_what_stands_nowhere() {
    let shed = Shed::new().await;
    let mandate = shed.lead().await;
    shed.add(["lane", "lease", "fine"].map(|id| planned(task(id))).into()).await.unwrap();
    shed.change(Action::Pause, &["fine"]).await;
    let wish = claim(1);
    assert_eq!(shed.store.claim(&wish).await.unwrap().tasks[0].id.as_str(), "lane");
    let _: i64 = shed.tell(&["ZREM", &shed.key("due:2:default"), "lease"]).await;
    let _: i64 = shed.tell(&["HDEL", &shed.key("lease"), wish.id.as_str()]).await;
    let _: i64 = shed.tell(&["ZREM", &shed.key("leases"), wish.id.as_str()]).await;

    assert_eq!(shed.maintain(&mandate).await.repaired, 2);
    assert_eq!(shed.maintain(&mandate).await.repaired, 0);
    assert_eq!(shed.claim(5).await.unwrap().tasks.len(), 2);
}

/// Guards T2 and T10: an entry in a lane without a record is dropped, and never leased.
#[tokio::test]
async fn what_stands_in_a_lane_and_was_not_added_does_not_run() {
    let shed = Shed::new().await;
    shed.add(vec![planned(task("a"))]).await.unwrap();
    for lane in ["due:2:default", "due:0:default"] {
        let _: i64 = shed.tell(&["ZADD", &shed.key(lane), "1", "unknown"]).await;
    }

    let claimed = shed.claim(10).await.unwrap();

    let ids: Vec<_> = claimed.tasks.iter().map(|task| task.id.as_str()).collect();
    assert_eq!(ids, ["a"]);
    shed.finish(&claimed, Outcome::Completed(None)).await.unwrap();
    assert_eq!(shed.claim(10).await.unwrap().tasks.len(), 0);
    assert_eq!(shed.leftovers().await, Vec::<String>::new());
}
