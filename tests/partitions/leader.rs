//! One leader over all partitions.

use std::collections::BTreeSet;

use taskshed::domain::id::ClaimId;
use taskshed::domain::id::NodeName;
use taskshed::store::Campaign;
use taskshed::store::Claim;
use taskshed::store::Leadership;
use taskshed::store::Led;
use taskshed::store::Look;
use taskshed::store::Maintain;
use taskshed::store::Mandate;
use taskshed::store::Queue;
use taskshed::store::Reclaim;
use taskshed::store::Resign;
use taskshed::store::Scope;

use crate::fixture::PARTITIONS;
use crate::fixture::SECOND;
use crate::fixture::SERVERS;
use crate::fixture::Shed;
use crate::fixture::claim;
use crate::requests::process;
use crate::requests::task;

fn standing(node: &str) -> Campaign {
    let (node, process) = (NodeName::parse(node).unwrap(), process(node));
    Campaign { node, process, ttl: 10 * SECOND }
}

pub(crate) async fn lead(shed: &Shed, node: &str) -> Mandate {
    let leader = shed.store.campaign(&standing(node)).await.unwrap().leader.unwrap();
    assert_eq!(leader.node.as_str(), node);
    Mandate { process: leader.process, term: leader.term }
}

/// The claims whose leases have ended.
pub(crate) async fn expired(shed: &Shed, mandate: &Mandate) -> BTreeSet<ClaimId> {
    let look = Look { mandate: mandate.clone(), scope: Scope::Expired };
    let Led::Done(looked) = shed.store.leases(&look).await.unwrap() else { panic!("deposed") };
    looked.leases.into_iter().map(|view| view.claim).collect()
}

fn reclaim(mandate: &Mandate, claim: &Claim, view: &taskshed::store::LeaseView) -> Reclaim {
    let now = view.expires_at;
    let items = view.tasks.iter().map(|task| {
        let jitter = taskshed::domain::retry::Jitter::NONE;
        let deciding = taskshed::domain::state::Deciding { now, jitter, node: &view.node };
        taskshed::store::ReclaimItem {
            task: task.id.clone(),
            fence: task.lease.as_ref().unwrap().fence,
            spec: task.spec.clone(),
            verdict: taskshed::domain::state::decide_reclaim(task, view.crashed, &deciding),
        }
    });
    Reclaim {
        mandate: mandate.clone(),
        claim: claim.id.clone(),
        expires_at: view.expires_at,
        items: items.collect(),
    }
}

/// Guards L1: in each partition an older term changes nothing once a newer one was given.
#[tokio::test]
async fn a_new_term_is_known_in_every_partition() {
    let shed = Shed::new().await;
    let old = lead(&shed, "node-old").await;
    let names: Vec<_> = (0..PARTITIONS).map(|part| shed.id_in(part)).collect();
    shed.add(names.iter().map(|name| task(name)).collect()).await;
    let mut leases = Vec::new();
    for _ in &names {
        let wish = claim(10);
        assert_eq!(shed.claim(&wish).await.tasks.len(), 1);
        let scope = Scope::Claims(vec![wish.id.clone()]);
        let look = Look { mandate: old.clone(), scope };
        let Led::Done(mut looked) = shed.store.leases(&look).await.unwrap() else { panic!() };
        leases.push((wish, looked.leases.remove(0)));
    }

    shed.store.resign(&Resign { process: Some(old.process.clone()) }).await.unwrap();
    let new = lead(&shed, "node-new").await;

    assert!(new.term > old.term);
    for (wish, view) in &leases {
        let late = shed.store.reclaim(&reclaim(&old, wish, view)).await.unwrap();
        assert_eq!(late, Led::Deposed);
    }
    for (wish, view) in &leases {
        let taken = shed.store.reclaim(&reclaim(&new, wish, view)).await.unwrap();
        assert_eq!(taken, Led::Done(1));
    }
    let house = Maintain { mandate: old, limit: 10 };
    assert_eq!(shed.store.maintain(&house).await.unwrap(), Led::Deposed);
}

/// Guards L1: the partition that elects lost its record, and the clock says less than a term that
/// another partition knows.
#[tokio::test]
async fn a_term_is_above_those_that_other_partitions_know() {
    let shed = Shed::new().await;
    let first = lead(&shed, "node-1").await;
    let ahead = first.term.0 + 3_600_000_000;
    for (partition, words) in [
        (0, format!("DEL {}", shed.key(0, "leader"))),
        (1, format!("HSET {} term {ahead} process other", shed.key(1, "leader"))),
    ] {
        let server = SERVERS.owner(SERVERS.slot(&shed.key(partition, "")));
        assert!(SERVERS.tell(server, &words).starts_with(':'));
    }

    let second = lead(&shed, "node-2").await;

    assert!(second.term.0 > ahead);
    assert_eq!(lead(&shed, "node-2").await, second, "and is renewed as it is");
    let look = Look { mandate: second, scope: Scope::Expired };
    let Led::Done(looked) = shed.store.leases(&look).await.unwrap() else { panic!("deposed") };
    assert_eq!(looked.leases, []);
}

/// All leases are shown in the order of their ends, whatever their partition.
#[tokio::test]
async fn leases_of_all_partitions_are_shown() {
    let shed = Shed::new().await;
    let mandate = lead(&shed, "node-l").await;
    let names: Vec<_> = (0..PARTITIONS).map(|part| shed.id_in(part)).collect();
    shed.add(names.iter().map(|name| task(name)).collect()).await;
    for ttl in [9, 7, 8] {
        let wish = Claim { ttl: ttl * SECOND, ..claim(1) };
        assert_eq!(shed.store.claim(&wish).await.unwrap().tasks.len(), 1);
    }

    let mut lengths = Vec::new();
    for skip in [0, 2] {
        let look = Look { mandate: mandate.clone(), scope: Scope::All { skip } };
        let Led::Done(looked) = shed.store.leases(&look).await.unwrap() else { panic!() };
        lengths.push(looked.leases.iter().map(|view| view.ttl.as_secs()).collect::<Vec<_>>());
    }

    assert_eq!(lengths, [vec![7, 8, 9], vec![9]]);
}
