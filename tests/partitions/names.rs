//! Ids, unique keys, and how many partitions there are.

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;
use taskshed::Scheduler;
use taskshed::Task;
use taskshed::clock::SystemClock;
use taskshed::domain::arrival::Arrival;
use taskshed::domain::arrival::Unseen;
use taskshed::domain::id::RequestId;
use taskshed::scheduler;
use taskshed::store::Error;
use taskshed::store::Existing;
use taskshed::store::Fetch;
use taskshed::store::Options;
use taskshed::store::Restore;
use taskshed::store::RestoreOutcome;
use taskshed::store::Store;
use taskshed::store::Tasks;
use taskshed::store::open;
use taskshed::store::redis::ClusterStore;

use crate::fixture::PARTITIONS;
use crate::fixture::SECOND;
use crate::fixture::SERVERS;
use crate::fixture::Shed;
use crate::redis_server::RedisServer;
use crate::requests::id;
use crate::requests::task;

fn keyed(key: &str) -> Task {
    Task::new("noop", &json!({})).unwrap().unique_key(key)
}

fn scheduler(shed: &Shed) -> Scheduler {
    let store: Arc<dyn Store> = shed.store.clone();
    Scheduler::with(store, Arc::new(SystemClock), StdRng::seed_from_u64(7))
}

/// Guards S2: a fresh id is drawn to fit, so the key is looked up where the task is.
#[tokio::test]
async fn a_unique_key_has_one_live_task_in_all_partitions() {
    let shed = Shed::new().await;
    let scheduler = scheduler(&shed);
    for n in 0..20 {
        let key = format!("key-{n}");

        let first = scheduler.add(keyed(&key)).await.unwrap();
        let second = scheduler.add(keyed(&key)).await.unwrap();

        assert_eq!(shed.store.part(first.task_id.as_str()), shed.store.part(&key));
        assert_eq!(second.outcome, scheduler::Outcome::Duplicate);
        assert_eq!(second.task_id, first.task_id);
    }
}

/// Guards S2: a chosen id that does not fit its key is named, and nothing of its batch is stored.
#[tokio::test]
async fn a_chosen_id_away_from_its_unique_key_is_refused() {
    let shed = Shed::new().await;
    let (here, there) = (shed.id_in(0), shed.id_in(1));
    let fine = format!("{{{there}}}: fine");
    let tasks = [keyed(&there).id(&here), keyed(&there).id(&fine)];

    let refused = scheduler(&shed).add_all(tasks.clone(), Existing::Replace).await.unwrap_err();

    let scheduler::Error::Invalid { errors } = refused else { panic!("{refused:?}") };
    assert_eq!(errors.len(), 1);
    assert_eq!((errors[0].index, errors[0].fault.field.as_str()), (Some(0), "unique_key"));
    assert!(errors[0].fault.message.contains("another partition"), "{:?}", errors[0]);
    let refused = shed.try_add(tasks.to_vec()).await;
    assert!(matches!(refused, Err(Error::Unusable { .. })), "{refused:?}");
    let fetch = Fetch { ids: vec![id(&here), id(&fine)], watch: None };
    assert_eq!(shed.store.fetch(&fetch).await.unwrap(), [None, None]);
    shed.add(vec![tasks[1].clone()]).await;
}

/// Guards S2: of the tasks of another store those are left out, by name, that cannot be kept.
#[tokio::test]
async fn a_task_from_elsewhere_whose_key_does_not_fit_is_left_out() {
    let from = Shed::new().await;
    let names: Vec<_> = (0..PARTITIONS).map(|part| from.id_in(part)).collect();
    from.add(names.iter().map(|name| task(name).retention(SECOND)).collect()).await;
    let fetch = Fetch { ids: names.iter().map(|name| id(name)).collect(), watch: None };
    let found = from.store.fetch(&fetch).await.unwrap().into_iter().flatten();
    let tasks = found.map(|mut task| {
        let mut spec = taskshed::domain::task::Spec::clone(&task.spec);
        spec.unique_key = Some(names[1].parse().unwrap());
        task.spec = Arc::new(spec);
        Arrival::of(task, Unseen::default())
    });
    let to = Shed::new().await;

    let restore = Restore { request: RequestId::parse("r").unwrap(), tasks: tasks.collect() };
    let outcomes = to.store.restore(&restore).await.unwrap().outcomes;

    assert_eq!(outcomes[1], RestoreOutcome::Created);
    for at in [0, 2] {
        let RestoreOutcome::Refused(why) = &outcomes[at] else { panic!("{outcomes:?}") };
        assert!(why.contains("another partition") && why.contains(&names[at]), "{why}");
    }
}

fn problem(refused: Result<(), Error>) -> String {
    match refused {
        Err(Error::Unusable { problem }) => problem,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_namespace_keeps_its_number_of_partitions() {
    let shed = Shed::new().await;
    for other in [1, 2, 4, 8] {
        let store = ClusterStore::open(&SERVERS.url(other), shed.options.clone()).unwrap();

        for refused in [store.prepare().await, store.migrate().await.map(|_| ())] {
            let problem = problem(refused);
            assert!(
                problem.contains("partitions=3") && problem.contains("?partitions=3"),
                "{problem}"
            );
        }
        let key = shed.key(other.max(PARTITIONS) - 1, "schema");
        let server = SERVERS.owner(SERVERS.slot(&key));
        let note = SERVERS.tell(server, &format!("GET {key}"));
        assert_eq!(note.contains("1/"), other <= PARTITIONS, "nothing was written: {note}");
    }
    shed.store.prepare().await.unwrap();
}

#[tokio::test]
async fn a_cluster_and_a_server_alone_are_not_taken_for_each_other() {
    let alone = RedisServer::start(&[]);
    let open = |url: &str| open(url, Options::default()).unwrap();

    let url = format!("redis+cluster://127.0.0.1:{}", alone.port());
    assert!(problem(open(&url).prepare().await).contains("use redis://"), "{url}");
    let url = format!("redis://127.0.0.1:{}", SERVERS.port(0));
    assert!(problem(open(&url).prepare().await).contains("redis+cluster://"), "{url}");
}
