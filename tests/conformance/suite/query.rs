//! Finding tasks, and counting them.

use std::time::Duration;

use taskshed::domain::json::Json;
use taskshed::domain::state::Outcome;
use taskshed::domain::state::TaskState;
use taskshed::domain::task::Priority;
use taskshed::store::Action;
use taskshed::store::Error;
use taskshed::store::Fetch;
use taskshed::store::Filter;
use taskshed::store::Gate;
use taskshed::store::List;
use taskshed::store::WATCH_KEPT;

use crate::fixture::SECOND;
use crate::fixture::Shed;
use crate::fixture::almost;
use crate::fixture::sorted_ids;
use crate::fixture::start;
use crate::requests::add;
use crate::requests::claim;
use crate::requests::id;
use crate::requests::of;
use crate::requests::planned;
use crate::requests::queue;
use crate::requests::task;

async fn watch(shed: &Shed, text: &str, seconds: u32) {
    let fetch = Fetch { ids: vec![id(text), id("unknown")], watch: Some(seconds * SECOND) };
    assert!(shed.store.fetch(&fetch).await.unwrap()[1].is_none());
}

#[tokio::test]
async fn a_fetch_answers_one_reply_per_id_in_order() {
    let shed = super::shed().await;
    shed.add([task("a"), task("b")]).await;
    let ids = ["b", "unknown", "a", "b"].map(id).to_vec();

    let found = shed.store.fetch(&Fetch { ids, watch: None }).await.unwrap();

    let found: Vec<_> =
        found.iter().map(|task| task.as_ref().map(|task| task.id.as_str())).collect();
    assert_eq!(found, [Some("b"), None, Some("a"), Some("b")]);
    let none = Fetch { ids: Vec::new(), watch: None };
    assert!(shed.store.fetch(&none).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_completed_task_that_somebody_waits_for_is_kept_a_minute() {
    let shed = super::shed().await;
    let run = shed.running(task("a").group("g")).await;
    watch(&shed, "a", 30).await;
    shed.clock.advance(30 * SECOND);
    shed.end(&run, Outcome::Completed(Some(Json::parse("7").unwrap()))).await;

    shed.clock.advance(almost(WATCH_KEPT));
    shed.maintain().await;
    assert_eq!(shed.task("a").await.result, Some(Json::parse("7").unwrap()));
    shed.clock.advance(Duration::from_micros(1));
    shed.maintain().await;
    assert!(shed.find("a").await.is_none());
}

#[tokio::test]
async fn a_plain_task_that_somebody_waits_for_is_kept_with_its_result() {
    let shed = super::shed().await;
    shed.add([task("a"), task("b")]).await;
    watch(&shed, "a", 30).await;
    let runs = shed.claim(&claim()).await.tasks;
    let result = |text| Outcome::Completed(Some(Json::parse(text).unwrap()));
    let items = [
        crate::requests::ended(&runs[0], result("1"), start()),
        crate::requests::ended(&runs[1], result("2"), start()),
    ];
    shed.store.ack(&items).await.unwrap();

    let kept = shed.task("a").await;
    assert_eq!((kept.state, kept.attempt), (TaskState::Completed, 1));
    assert_eq!(kept.result, Some(Json::parse("1").unwrap()));
    assert!(shed.find("b").await.is_none());
}

#[tokio::test]
async fn who_waits_longest_counts_and_who_gave_up_does_not() {
    let shed = super::shed().await;
    shed.add([task("long"), task("short")]).await;
    watch(&shed, "long", 60).await;
    watch(&shed, "long", 1).await;
    watch(&shed, "short", 1).await;
    let runs = shed.claim(&claim()).await.tasks;
    shed.clock.advance(2 * SECOND);

    for run in &runs {
        shed.complete(run).await;
    }

    assert_eq!(shed.state("long").await, TaskState::Completed);
    assert!(shed.find("short").await.is_none());
}

#[tokio::test]
async fn a_longer_retention_is_not_cut_by_a_watch() {
    let shed = super::shed().await;
    let run = shed.running(task("a").retention(600 * SECOND)).await;
    watch(&shed, "a", 30).await;
    shed.complete(&run).await;

    shed.clock.advance(599 * SECOND);
    shed.maintain().await;
    assert!(shed.find("a").await.is_some());
}

#[tokio::test]
async fn a_list_gives_the_tasks_that_match_all_of_the_filter() {
    let shed = super::shed().await;
    shed.add([
        task("a").group("g"),
        task("b").group("g").queue("mail"),
        of("resize", "c").group("g"),
        task("d").group("other").retention(60 * SECOND),
        task("e").paused(),
        task("f").retention(60 * SECOND),
    ])
    .await;
    let runs = shed.claim(&claim()).await.tasks;
    shed.complete(runs.iter().find(|run| run.id.as_str() == "f").unwrap()).await;
    let none = Filter::default;
    let state = |state| Filter { state: Some(state), ..none() };
    let group = || Some("g".parse().unwrap());

    for (filter, expected) in [
        (none(), &["a", "b", "c", "d", "e", "f"][..]),
        (Filter { group: group(), ..none() }, &["a", "b", "c"]),
        (Filter { queue: Some(queue("mail")), ..none() }, &["b"]),
        (Filter { callback: Some("resize".parse().unwrap()), ..none() }, &["c"]),
        (state(TaskState::Running), &["a", "d"]),
        (state(TaskState::Scheduled), &["b", "c", "e"]),
        (state(TaskState::Completed), &["f"]),
        (state(TaskState::Dead), &[]),
        (Filter { group: group(), ..state(TaskState::Running) }, &["a"]),
        (Filter { group: group(), queue: Some(queue("default")), ..none() }, &["a", "c"]),
        (Filter { group: Some("nobody".parse().unwrap()), ..none() }, &[]),
    ] {
        let found = shed.list(filter.clone(), 2).await;
        assert_eq!(sorted_ids(&found), expected, "{filter:?}");
        for task in &found {
            assert_eq!(shed.task(task.id.as_str()).await, *task, "as a fetch shows it");
        }
    }
}

/// A task that is there throughout is on at least one page, whatever comes and goes.
#[tokio::test]
async fn pages_miss_no_task_that_is_there_throughout() {
    let shed = super::shed().await;
    for filter in
        [Filter::default(), Filter { group: Some("g".parse().unwrap()), ..Filter::default() }]
    {
        let mut asked = add([]);
        asked.tasks = (0..300).map(|n| planned(task(&format!("stays{n}")).group("g"))).collect();
        shed.store.add(&asked).await.unwrap();
        let mut list = List { filter, limit: 20, cursor: None };
        let mut found = Vec::new();
        let mut turn = 0;
        loop {
            let page = shed.store.list(&list).await.unwrap();
            assert!(page.corrupt.is_empty());
            found.extend(page.tasks.into_iter().map(|task| task.id));
            turn += 1;
            let mut more = add([]);
            let name = |n: u32| format!("comes{turn}-{n}");
            more.tasks = (0..50).map(|n| planned(task(&name(n)).group("g"))).collect();
            shed.store.add(&more).await.unwrap();
            let gone: Vec<String> = (0..25).map(name).collect();
            let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
            shed.change(Action::Remove, &gone).await;
            match page.next {
                Some(next) if turn < 500 => list.cursor = Some(next),
                Some(_) => panic!("the pages do not end"),
                None => break,
            }
        }
        let missed: Vec<_> =
            (0..300).map(|n| id(&format!("stays{n}"))).filter(|id| !found.contains(id)).collect();
        assert!(missed.is_empty(), "{missed:?}");
    }
}

#[tokio::test]
async fn a_cursor_that_the_store_did_not_give_is_refused() {
    let shed = super::shed().await;
    shed.add([task("a")]).await;
    for cursor in ["nonsense", "\u{7}", "-1"] {
        let list = List { filter: Filter::default(), limit: 10, cursor: Some(cursor.into()) };

        let refused = shed.store.list(&list).await;

        assert!(matches!(refused, Err(Error::Cursor)), "{cursor:?}: {refused:?}");
    }
}

#[tokio::test]
async fn stats_count_tasks_by_where_they_stand() {
    let shed = super::shed().await;
    let early = start().minus(9 * SECOND);
    shed.add([
        task("c1").priority(Priority::Critical),
        task("h1").priority(Priority::High).run_in(60 * SECOND),
        task("n1").run_at(early),
        task("n2"),
        task("l1").priority(Priority::Low),
        task("paused").paused(),
        task("m1").queue("mail").run_in(5 * SECOND),
    ])
    .await;

    let stats = shed.store.stats().await.unwrap();

    assert_eq!((stats.now, stats.next_run_at), (start(), Some(early)));
    let names: Vec<_> = stats.queues.iter().map(|queue| queue.queue.as_str()).collect();
    assert_eq!(names, ["default", "mail"]);
    let depth = &stats.queues[0];
    assert_eq!((depth.scheduled, depth.due, depth.held), ([1, 1, 2, 1], 4, 1));
    assert_eq!((depth.oldest_due_at, depth.paused), (Some(early), false));
    assert_eq!((stats.queues[1].due, stats.queues[1].oldest_due_at), (0, None));
    let runs = shed.claim(&claim()).await.tasks;
    shed.end(&runs[0], Outcome::Dead("no".into())).await;
    let depth = shed.queue("default").await;
    assert_eq!((depth.running, depth.dead, depth.scheduled), (3, 1, [0, 1, 0, 0]));
    let next = shed.store.stats().await.unwrap().next_run_at;
    assert_eq!(next, Some(start().plus(5 * SECOND)));
}

#[tokio::test]
async fn the_next_moment_leaves_out_what_is_paused_waits_or_runs() {
    let shed = super::shed().await;
    let run = shed.running(task("a")).await;
    shed.add([task("a"), task("paused").paused()]).await;
    assert_eq!(shed.store.stats().await.unwrap().next_run_at, None);

    shed.complete(&run).await;

    assert_eq!(shed.store.stats().await.unwrap().next_run_at, Some(start()));
}

#[tokio::test]
async fn a_queue_that_was_only_paused_is_listed() {
    let shed = super::shed().await;
    shed.store.set_queue(&queue("later"), Gate::Paused).await.unwrap();

    let depth = shed.queue("later").await;

    assert!(depth.paused);
    assert_eq!((depth.scheduled, depth.running), ([0; 4], 0));
}

#[tokio::test]
async fn the_same_store_apart_holds_the_same_tasks() {
    let shed = super::shed().await;
    shed.add([task("a")]).await;
    let apart = shed.store.apart();

    let fetch = Fetch { ids: vec![id("a")], watch: None };
    assert!(apart.fetch(&fetch).await.unwrap()[0].is_some());
    assert_eq!(apart.now().await.unwrap(), start());
    assert_eq!(apart.name(), shed.store.name());
    assert!(
        apart.check(10 * SECOND).await.unwrap().iter().all(|finding| !finding.found.is_empty())
    );
}

/// Guards T1: what is there is there when the store is made ready again.
#[tokio::test]
async fn a_store_can_be_made_ready_again_and_again() {
    let shed = super::shed().await;
    shed.add([task("a")]).await;

    shed.store.prepare().await.unwrap();
    shed.store.prepare().await.unwrap();

    assert_eq!(shed.state("a").await, TaskState::Scheduled);
}
