//! Which partition a claim takes from, and who hears of new work.

use std::collections::BTreeMap;

use taskshed::domain::lease::Fence;
use taskshed::store::Acked;
use taskshed::store::Claim;
use taskshed::store::Fetch;
use taskshed::store::HolderKind;
use taskshed::store::Keep;
use taskshed::store::Queue;
use taskshed::store::Store;
use taskshed::store::TaskRecord;
use taskshed::store::Tasks;
use tokio::time::timeout;

use crate::fixture::PARTITIONS;
use crate::fixture::SECOND;
use crate::fixture::Shed;
use crate::fixture::claim;
use crate::fixture::released;
use crate::requests::id;
use crate::requests::task;

/// A partition that always has work does not starve another one.
#[tokio::test]
async fn partitions_take_turns() {
    let shed = Shed::new().await;
    let rich = (0..60).map(|_| task(&shed.id_in(0)));
    let poor = [1, 2].map(|part| task(&shed.id_in(part)));
    shed.add(rich.chain(poor).collect()).await;

    let mut taken: BTreeMap<usize, usize> = BTreeMap::new();
    for _ in 0..10 {
        let claimed = shed.claim(&claim(1)).await;
        *taken.entry(shed.store.part(claimed.tasks[0].id.as_str())).or_default() += 1;
        assert!(claimed.more);
    }

    assert_eq!(taken.into_iter().collect::<Vec<_>>(), [(0, 8), (1, 1), (2, 1)]);
}

/// A claim says what is left in the others, so that its caller comes again.
#[tokio::test]
async fn a_claim_speaks_for_all_partitions() {
    let shed = Shed::new().await;
    let now = shed.store.now().await.unwrap();
    let later = now.plus(3600 * SECOND);
    let names: Vec<_> = (0..PARTITIONS).map(|part| shed.id_in(part)).collect();
    shed.add(vec![task(&names[0]), task(&names[1]), task(&names[2]).run_at(later)]).await;

    for wait in [false, true] {
        let store = shed.elsewhere();
        let mut claimed = Vec::new();
        for _ in 0..3 {
            claimed.push(store.claim(&Claim { wait, ..claim(10) }).await.unwrap());
        }

        let told: Vec<_> = claimed.iter().map(|one| (one.tasks.len(), one.more)).collect();
        assert_eq!(told, [(1, true), (1, false), (0, false)]);
        assert_eq!((claimed[1].next_run_at, claimed[2].next_run_at), (Some(later), Some(later)));
        for run in claimed.iter().flat_map(|one| &one.tasks) {
            let again = released(run);
            assert_eq!(store.ack(&[again]).await.unwrap(), [Acked::Done]);
        }
    }
}

/// Guards T3: whoever is asked again knows what the claim holds.
#[tokio::test]
async fn a_claim_that_is_repeated_at_another_process_answers_the_same() {
    let shed = Shed::new().await;
    let names: Vec<_> = (0..PARTITIONS).map(|part| shed.id_in(part)).collect();
    shed.add(names.iter().map(|name| task(name)).collect()).await;
    let mut wish = claim(10);
    wish.holder.kind = HolderKind::Remote;

    let first = shed.claim(&wish).await.tasks;
    for _ in 0..3 {
        let other = shed.elsewhere();
        let again = other.claim(&wish).await.unwrap().tasks;
        assert_eq!(runs(&again), runs(&first));
        let keep = Keep { beat: None, claims: vec![wish.id.clone()], ttl: 10 * SECOND };
        let kept = other.keep(&keep).await.unwrap();
        assert_eq!((kept.lost, kept.unanswered), (vec![], vec![]));
    }

    shed.complete(&first).await;
    assert_eq!(shed.elsewhere().claim(&wish).await.unwrap().tasks, [], "it has ended");
    let keep = Keep { beat: None, claims: vec![wish.id.clone()], ttl: 10 * SECOND };
    assert_eq!(shed.elsewhere().keep(&keep).await.unwrap().lost, [wish.id]);
}

/// Tasks and fences.
fn runs(tasks: &[TaskRecord]) -> Vec<(&str, Fence)> {
    tasks.iter().map(|task| (task.id.as_str(), task.lease.as_ref().unwrap().fence)).collect()
}

/// A process that waits is told of work in any partition, and only as many as there is work for.
#[tokio::test]
async fn hints_come_from_all_partitions() {
    let shed = Shed::new().await;
    let (first, second) = (shed.elsewhere(), shed.elsewhere());
    let named = |name: &str| {
        let mut wish = Claim { wait: true, ..claim(10) };
        wish.holder.node = name.parse().unwrap();
        wish.holder.process = crate::requests::process(name);
        wish
    };
    let mut heard = Vec::new();
    for (store, name) in [(&first, "node-1"), (&second, "node-2")] {
        heard.push(store.hints(&named(name).holder.process).await.unwrap().unwrap());
    }
    for part in 0..PARTITIONS {
        for (store, name) in [(&first, "node-1"), (&second, "node-2")] {
            assert!(store.claim(&named(name)).await.unwrap().tasks.is_empty());
        }
        let name = shed.id_in(part);

        shed.add(vec![task(&name)]).await;

        let (a, b) = heard.split_at_mut(1);
        let silence = SECOND / 5;
        let told = [timeout(silence, a[0].next()).await, timeout(silence, b[0].next()).await];
        assert_eq!(told.iter().filter(|told| told.is_ok()).count(), 1, "partition {part}");
        let claimed = first.claim(&named("node-1")).await.unwrap();
        assert_eq!(claimed.tasks.len(), 1);
        let claimed = shed.store.fetch(&Fetch { ids: vec![id(&name)], watch: None }).await;
        shed.complete(&[claimed.unwrap().remove(0).unwrap()]).await;
    }
}
