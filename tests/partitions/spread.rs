//! Calls that touch several partitions.

use std::collections::BTreeSet;

use taskshed::domain::id::QueueName;
use taskshed::domain::state::TaskState;
use taskshed::store::Acked;
use taskshed::store::Action;
use taskshed::store::AddOutcome;
use taskshed::store::Change;
use taskshed::store::Fetch;
use taskshed::store::Filter;
use taskshed::store::Gate;
use taskshed::store::List;
use taskshed::store::Queue;
use taskshed::store::Store;
use taskshed::store::Target;
use taskshed::store::Tasks;

use crate::fixture::PARTITIONS;
use crate::fixture::SECOND;
use crate::fixture::Shed;
use crate::fixture::claim;
use crate::requests::add;
use crate::requests::completed;
use crate::requests::id;
use crate::requests::task;

/// Guards T1 and T6: what is added in one batch is where its ids say, and ends once.
#[tokio::test]
async fn a_batch_is_spread_and_drained() {
    let shed = Shed::new().await;
    let names: Vec<String> = (0..100).map(|n| format!("task-{n}")).collect();
    let asked = add(names.iter().map(|name| task(name)));

    let added = shed.store.add(&asked).await.unwrap().outcomes;
    let again = shed.store.add(&asked).await.unwrap().outcomes;
    let claims = shed.drain().await;

    assert_eq!(added, vec![AddOutcome::Created; 100]);
    assert_eq!(again, added, "a repeat finds its work done");
    let parts = |tasks: &[taskshed::store::TaskRecord]| {
        tasks.iter().map(|task| shed.store.part(task.id.as_str())).collect::<BTreeSet<_>>()
    };
    assert!(claims.iter().all(|tasks| parts(tasks).len() == 1), "a claim takes from one");
    let all = claims.concat();
    assert_eq!((all.len(), parts(&all).len()), (100, PARTITIONS));
    assert_eq!(shed.complete(&all).await, vec![Acked::Done; 100]);
    assert_eq!(shed.complete(&all).await, vec![Acked::Stale; 100]);
}

#[tokio::test]
async fn answers_come_in_the_order_of_what_was_asked() {
    let shed = Shed::new().await;
    let names: Vec<String> = (0..30).map(|n| format!("task-{n}")).collect();
    shed.add(names.iter().step_by(2).map(|name| task(name)).collect()).await;
    let ids: Vec<_> = names.iter().map(|name| id(name)).collect();

    let found = shed.store.fetch(&Fetch { ids: ids.clone(), watch: None }).await.unwrap();
    let mut moments: Vec<_> = (0..30).map(|_| shed_now()).collect();
    moments[4] = moments[4].plus(SECOND);
    let change = Change {
        target: Target::Ids(ids.clone()),
        action: Action::RescheduleEach(moments.clone()),
    };
    let changed = shed.store.change(&change).await.unwrap();

    for (at, task) in found.iter().enumerate() {
        assert_eq!(task.as_ref().map(|task| &task.id), (at % 2 == 0).then_some(&ids[at]));
    }
    let odd: Vec<_> = ids.iter().skip(1).step_by(2).cloned().collect();
    assert_eq!((changed.affected, changed.missing), (15, odd));
    let fetch = Fetch { ids: vec![ids[4].clone()], watch: None };
    let moved = shed.store.fetch(&fetch).await.unwrap().remove(0).unwrap();
    assert_eq!(moved.run_at, moments[4], "each gets its own moment");
}

fn shed_now() -> taskshed::domain::time::Timestamp {
    "2030-01-01T00:00:00Z".parse().unwrap()
}

#[tokio::test]
async fn a_group_and_a_listing_are_whole() {
    let shed = Shed::new().await;
    shed.add((0..50).map(|n| task(&format!("task-{n}")).group("g")).collect()).await;
    let group = || "g".parse().unwrap();

    let change = Change { target: Target::Group(group()), action: Action::Cancel };
    let changed = shed.store.change(&change).await.unwrap();
    for limit in [1, 7, 1000] {
        let filter =
            Filter { group: Some(group()), state: Some(TaskState::Cancelled), ..Filter::default() };
        let mut list = List { filter, limit, cursor: None };
        let mut seen = BTreeSet::new();
        loop {
            let page = shed.store.list(&list).await.unwrap();
            seen.extend(page.tasks.into_iter().map(|task| task.id));
            list.cursor = page.next;
            if list.cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), 50, "in pages of {limit}");
    }

    assert_eq!(changed.affected, 50);
    let stats = shed.store.stats().await.unwrap();
    assert_eq!((stats.queues.len(), stats.queues[0].cancelled), (1, 50));
    let list = List { filter: Filter::default(), limit: 1000, cursor: None };
    assert_eq!(shed.store.list(&list).await.unwrap().next, None, "all fits on one page");
    for wrong in ["7", "3-", "9-0", "x-0", "0-x"] {
        let list = List { filter: Filter::default(), limit: 1, cursor: Some(wrong.into()) };
        assert!(shed.store.list(&list).await.is_err(), "{wrong}");
    }
}

/// Guards T8.
#[tokio::test]
async fn a_paused_queue_is_paused_everywhere() {
    let shed = Shed::new().await;
    let queue = QueueName::default();
    let names: Vec<_> = (0..PARTITIONS).map(|part| shed.id_in(part)).collect();
    shed.add(names.iter().map(|name| task(name)).collect()).await;

    shed.store.set_queue(&queue, Gate::Paused).await.unwrap();
    let elsewhere = shed.elsewhere();
    assert!(elsewhere.claim(&claim(10)).await.unwrap().tasks.is_empty());
    assert!(shed.store.stats().await.unwrap().queues[0].paused);
    shed.store.set_queue(&queue, Gate::Open).await.unwrap();

    assert_eq!(shed.drain().await.concat().len(), PARTITIONS);
}

/// Guards T10: nothing is left but what stays between tasks, in any partition.
#[tokio::test]
async fn drained_partitions_are_empty() {
    let shed = Shed::new().await;
    let hour = 3600 * SECOND;
    let rich = |n: usize| {
        let id = format!("{{{n}}} task");
        task(&id).unique_key(&format!("key of {{{n}}}")).group("g").expires_in(hour)
    };
    shed.add((0..40).map(rich).collect()).await;
    for tasks in shed.drain().await {
        let items: Vec<_> = tasks.iter().map(completed).collect();
        shed.store.ack(&items).await.unwrap();
    }

    let list = List { filter: Filter::default(), limit: 1000, cursor: None };
    assert_eq!(shed.store.list(&list).await.unwrap().tasks, []);
    let stays = ["queues", "schema", "ended_claims"];
    for partition in 0..PARTITIONS {
        let start = shed.key(partition, "");
        let slot = crate::fixture::SERVERS.slot(&start);
        let server = crate::fixture::SERVERS.owner(slot);
        let keys = crate::fixture::SERVERS.tell(server, &format!("KEYS {start}*"));
        let keys = keys.lines().filter_map(|line| line.strip_prefix(&start));
        let left: Vec<_> = keys.filter(|key| !stays.contains(key)).collect();
        assert!(left.is_empty(), "partition {partition}: {left:?}");
    }
}
