//! Beats and renewals.

use taskshed::domain::id::ClaimId;
use taskshed::domain::id::ProcessId;
use taskshed::store::Acked;
use taskshed::store::Action;
use taskshed::store::Beat;
use taskshed::store::Claim;
use taskshed::store::HolderKind;
use taskshed::store::Keep;
use taskshed::store::Stop;
use taskshed::store::StopReason;

use crate::fixture::SECOND;
use crate::fixture::claim_id;
use crate::fixture::start;
use crate::requests::beat;
use crate::requests::claim;
use crate::requests::process;
use crate::requests::task;

fn beats(beat: Beat) -> Keep {
    Keep { beat: Some(beat), claims: Vec::new(), ttl: 10 * SECOND }
}

#[tokio::test]
async fn a_renewed_lease_ends_its_new_length_after_the_stores_now() {
    let shed = super::shed().await;
    let run = shed.running(task("a")).await;
    shed.clock.advance(4 * SECOND);

    let claims = vec![claim_id(&run).clone()];
    let kept = shed.store.keep(&Keep { beat: None, claims, ttl: 30 * SECOND }).await.unwrap();

    assert_eq!(kept.now, start().plus(4 * SECOND));
    assert!(kept.lost.is_empty() && kept.stop.is_empty() && kept.leader.is_none());
    let lease = shed.task("a").await.lease.unwrap();
    assert_eq!(lease.expires_at, start().plus(34 * SECOND));
    assert_eq!(lease.fence, run.lease.unwrap().fence);
}

/// Work is not thrown away when the store itself was slow.
#[tokio::test]
async fn a_lease_that_has_expired_but_was_not_reclaimed_is_prolonged() {
    let shed = super::shed().await;
    let run = shed.running(task("a")).await;
    shed.clock.advance(60 * SECOND);

    assert!(shed.keep(&[claim_id(&run)]).await.lost.is_empty());

    let expires_at = shed.task("a").await.lease.unwrap().expires_at;
    assert_eq!(expires_at, start().plus(70 * SECOND));
    assert_eq!(shed.complete(&run).await, Acked::Done);
}

/// Guards T5: a lease that is gone stays gone.
#[tokio::test]
async fn claims_that_are_gone_are_named_as_lost() {
    let shed = super::shed().await;
    let held = shed.running(task("a")).await;
    let done = shed.running(task("b")).await;
    shed.complete(&done).await;
    let unknown = ClaimId::parse("never-heard-of").unwrap();

    let kept = shed.keep(&[claim_id(&done), claim_id(&held), &unknown]).await;

    assert_eq!(kept.lost, [claim_id(&done).clone(), unknown]);
    let again = shed.keep(&[claim_id(&done)]).await;
    assert_eq!(again.lost, [claim_id(&done).clone()]);
}

#[tokio::test]
async fn runs_that_were_cancelled_replaced_or_removed_are_told_to_stop() {
    let shed = super::shed().await;
    shed.add([task("cancelled"), task("fine"), task("removed"), task("replaced")]).await;
    let runs = shed.claim(&claim()).await.tasks;
    shed.change(Action::Cancel, &["cancelled"]).await;
    shed.change(Action::Remove, &["removed"]).await;
    shed.add([task("replaced")]).await;

    let claim = claim_id(&runs[0]).clone();
    let mut told = shed.keep(&[&claim]).await.stop;
    told.sort_by(|a, b| a.task.cmp(&b.task));

    let stop =
        |task: &str, reason| Stop { claim: claim.clone(), task: crate::requests::id(task), reason };
    let expected = [
        stop("cancelled", StopReason::Cancelled),
        stop("removed", StopReason::Superseded),
        stop("replaced", StopReason::Superseded),
    ];
    assert_eq!(told, expected);
    assert_eq!(shed.keep(&[&claim]).await.stop.len(), 3, "until they have stopped");
    for run in &runs {
        shed.complete(run).await;
    }
    assert!(shed.keep(&[&claim]).await.stop.is_empty());
}

#[tokio::test]
async fn a_cancelled_run_that_is_removed_is_superseded() {
    let shed = super::shed().await;
    let run = shed.running(task("a")).await;
    shed.change(Action::Cancel, &["a"]).await;
    shed.change(Action::Remove, &["a"]).await;

    let told = shed.keep(&[claim_id(&run)]).await.stop;

    assert_eq!(told.len(), 1);
    assert_eq!(told[0].reason, StopReason::Superseded);
}

#[tokio::test]
async fn a_beat_shows_what_the_process_tells() {
    let shed = super::shed().await;
    shed.clock.advance(SECOND);
    shed.store.keep(&beats(beat("node-b"))).await.unwrap();
    shed.store.keep(&beats(beat("node-a"))).await.unwrap();

    let cluster = shed.store.cluster().await.unwrap();

    let names: Vec<_> = cluster.nodes.iter().map(|node| node.node.as_str()).collect();
    assert_eq!(names, ["node-a", "node-b"]);
    let (shown, told) = (&cluster.nodes[0], beat("node-a"));
    assert_eq!((&shown.process, &shown.version), (&told.process, &told.version));
    assert_eq!((&shown.queues, &shown.callbacks[..]), (&told.queues, &told.callbacks[..]));
    assert_eq!((shown.concurrency, shown.running, shown.draining), (64, 3, true));
    assert_eq!((shown.skew_us, shown.kind), (-250, HolderKind::Node));
    assert_eq!((shown.beat_at, cluster.now), (start().plus(SECOND), start().plus(SECOND)));
}

#[tokio::test]
async fn a_process_may_serve_nothing() {
    let shed = super::shed().await;
    let idle = Beat { queues: Vec::new(), callbacks: [].into(), ..beat("node-a") };
    shed.store.keep(&beats(idle)).await.unwrap();

    let node = shed.store.cluster().await.unwrap().nodes.remove(0);

    assert!(node.queues.is_empty() && node.callbacks.is_empty());
}

#[tokio::test]
async fn a_node_that_starts_anew_takes_the_place_of_its_old_process() {
    let shed = super::shed().await;
    let renewed = ProcessId::parse("node-a-second").unwrap();
    shed.store.keep(&beats(beat("node-a"))).await.unwrap();
    shed.store.keep(&beats(Beat { process: renewed.clone(), ..beat("node-a") })).await.unwrap();
    shed.store.keep(&beats(Beat { leaving: true, ..beat("node-a") })).await.unwrap();

    let nodes = shed.store.cluster().await.unwrap().nodes;

    assert_eq!(nodes.len(), 1, "the old process takes only itself away");
    assert_eq!(nodes[0].process, renewed);
}

#[tokio::test]
async fn a_process_that_leaves_is_forgotten_at_once() {
    let shed = super::shed().await;
    shed.store.keep(&beats(beat("node-a"))).await.unwrap();
    let last = beats(Beat { leaving: true, ..beat("node-a") });

    shed.store.keep(&last).await.unwrap();
    shed.store.keep(&last).await.unwrap();

    assert!(shed.store.cluster().await.unwrap().nodes.is_empty());
}

#[tokio::test]
async fn a_keep_says_who_leads() {
    let shed = super::shed().await;
    let mandate = shed.lead().await;

    let leader = shed.keep(&[]).await.leader.unwrap();
    assert_eq!((leader.process, leader.term), (process("node-l"), mandate.term));
    shed.clock.advance(10 * SECOND);
    assert!(shed.keep(&[]).await.leader.is_none(), "the term has ended");
}

#[tokio::test]
async fn remote_workers_are_shown_by_the_claims_that_they_hold() {
    let shed = super::shed().await;
    shed.add([task("a"), task("b"), task("c")]).await;
    let remote = |limit| {
        let mut wish = Claim { limit, ..claim() };
        wish.holder.kind = HolderKind::Remote;
        wish
    };
    let first = shed.claim(&remote(1)).await.tasks;
    shed.clock.advance(SECOND);
    shed.claim(&remote(2)).await;

    let nodes = shed.store.cluster().await.unwrap().nodes;
    assert_eq!(nodes.len(), 1);
    assert_eq!((nodes[0].kind, nodes[0].running), (HolderKind::Remote, 3));
    assert_eq!(nodes[0].beat_at, start().plus(SECOND));
    shed.complete(&first[0]).await;
    assert_eq!(shed.store.cluster().await.unwrap().nodes[0].running, 2);
}

#[tokio::test]
async fn a_process_that_was_told_to_drain_hears_so_with_each_beat() {
    let shed = super::shed().await;
    let drain = async |name: &str| shed.store.drain(&crate::requests::node(name)).await.unwrap();
    let hears = async |name: &str| shed.store.keep(&beats(beat(name))).await.unwrap().drain;
    assert!(!hears("anna").await);
    hears("berta").await;

    assert!(drain("anna").await);
    assert!(drain("anna").await, "told twice is told once");
    assert!(!drain("nobody").await);

    for _ in 0..3 {
        assert!(hears("anna").await);
        assert!(!hears("berta").await, "nobody else hears it");
        shed.clock.advance(SECOND);
    }
    let leases = Keep { beat: None, claims: Vec::new(), ttl: 10 * SECOND };
    assert!(!shed.store.keep(&leases).await.unwrap().drain, "a remote worker is no node");
}

#[tokio::test]
async fn who_takes_a_name_later_is_not_told_to_drain() {
    let shed = super::shed().await;
    let hears = async |beat: Beat| shed.store.keep(&beats(beat)).await.unwrap().drain;
    let of = |number: &str| Beat { process: process(number), ..beat("anna") };
    hears(of("first")).await;
    assert!(shed.store.drain(&beat("anna").node).await.unwrap());

    assert!(!hears(of("second")).await);
    assert!(hears(of("first")).await, "it is the process that was told");
    hears(Beat { leaving: true, ..of("first") }).await;
    assert!(!hears(of("first")).await, "who has left was told for the last time");
    hears(Beat { leaving: true, ..of("first") }).await;
    assert!(!shed.store.drain(&beat("anna").node).await.unwrap(), "nobody is there");
}

#[tokio::test]
async fn an_order_to_drain_is_forgotten_with_its_process() {
    let shed = super::shed().await;
    let hears = async |beat: Beat| shed.store.keep(&beats(beat)).await.unwrap().drain;
    let of = |number: &str| Beat { process: process(number), ..beat("anna") };
    hears(of("first")).await;
    shed.store.drain(&beat("anna").node).await.unwrap();
    shed.maintain().await;
    assert!(hears(of("first")).await, "it is still there");

    shed.clock.advance(60 * SECOND);
    assert_eq!(shed.maintain().await.forgotten, 1);
    assert!(!hears(of("first")).await, "it fell silent, and was forgotten");

    shed.store.drain(&beat("anna").node).await.unwrap();
    hears(of("second")).await;
    shed.maintain().await;
    assert!(!hears(of("first")).await, "its name went to another one");
}
