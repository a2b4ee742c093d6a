//! What was copied is what it was.

use serde_json::Value;
use taskshed::domain::id::TaskId;
use taskshed::scheduler::Copied;

use crate::life::fill;
use crate::shed::SECOND;
use crate::shed::Shed;
use crate::stores::KINDS;
use crate::stores::Kind;

async fn filled(kind: Kind) -> Shed {
    let mut shed = Shed::of(kind).await;
    fill(&mut shed).await;
    shed
}

async fn copy(from: &Shed, to: &Shed) -> Copied {
    from.scheduler.copy_to(&to.scheduler, |_| ()).await.unwrap()
}

/// A running task as it looks in a copy.
fn left_behind(shown: &str) -> String {
    let start = shown.find(",\"lease\":{").unwrap();
    let task: Value = serde_json::from_str(shown).unwrap();
    assert_eq!(task["attempt"], 1);
    format!("{},\"lease\":null}}", &shown[..start])
        .replace("\"state\":\"running\"", "\"state\":\"scheduled\"")
        .replace("\"attempt\":1,", "\"attempt\":0,")
}

#[tokio::test]
async fn a_copy_shows_every_task_to_the_byte_as_it_was() {
    for from_kind in KINDS {
        let mut from = filled(*from_kind).await;
        let shown = from.shown().await;
        for to_kind in KINDS {
            let mut to = Shed::of(*to_kind).await;
            to.clock.set_wall(from.store.now().await.unwrap().plus(SECOND));

            let dry = from.scheduler.would_copy_to(&to.scheduler, |_| ()).await.unwrap();
            assert!(to.shown().await.is_empty(), "a rehearsal writes nothing");
            let first = copy(&from, &to).await;
            let second = copy(&from, &to).await;

            let count = shown.len() as u64;
            assert_eq!((first.copied, first.kept), (count, 0), "{from_kind:?} to {to_kind:?}");
            assert_eq!((second.copied, second.kept), (0, count), "{from_kind:?} to {to_kind:?}");
            assert!(first.is_whole() && second.is_whole());
            assert_eq!(dry, first);
            assert_eq!(first.paused.len(), 1, "the queue that is paused");
            let copies = to.shown().await;
            for (id, task) in &shown {
                let is_running = task.contains("\"state\":\"running\"");
                let expected = if is_running { left_behind(task) } else { task.clone() };
                assert_eq!(copies.get(id), Some(&expected), "{from_kind:?} to {to_kind:?}");
            }
            assert_eq!(copies.len(), shown.len());
            assert_eq!(from.shown().await, shown, "the source is left as it was");
            let stats = to.store.stats().await.unwrap();
            assert!(
                stats.queues.iter().any(|queue| queue.queue.as_str() == "mail" && queue.paused)
            );
        }
    }
}

/// Guards S2, in a rehearsal, too.
#[tokio::test]
async fn what_is_left_out_is_named() {
    let [mut from, mut to] = [Shed::of(KINDS[0]).await, Shed::of(KINDS[KINDS.len() - 1]).await];
    let keyed = |id: &str, key: &str| {
        format!(r#"{{"task_id":"{id}","callback":"noop","unique_key":"{key}","run_in":"1h"}}"#)
    };
    for (id, key) in [("a", "one"), ("b", "two"), ("ended", "three")] {
        from.post("/v1/tasks", &keyed(id, key), 201).await;
    }
    from.post("/v1/tasks/cancel", r#"{"task_ids":["ended"]}"#, 200).await;
    for (id, key) in [("b", "other"), ("holder", "one"), ("third", "three")] {
        to.post("/v1/tasks", &keyed(id, key), 201).await;
    }

    let dry = from.scheduler.would_copy_to(&to.scheduler, |_| ()).await.unwrap();
    let real = copy(&from, &to).await;

    let id = |text: &str| TaskId::parse(text).unwrap();
    assert_eq!(real.duplicates, [(id("a"), id("holder"))]);
    assert_eq!((real.copied, real.kept), (1, 1));
    assert!(!real.is_whole());
    assert_eq!(dry, real);
}

/// Guards S2: what a store in several partitions cannot keep is named, in a rehearsal, too.
#[cfg(feature = "redis")]
#[tokio::test]
async fn a_key_away_from_its_task_is_left_out() {
    let [mut from, mut to] = [Shed::of(Kind::Memory).await, Shed::of(Kind::Cluster).await];
    for n in 0..9 {
        let keyed = format!(r#""callback":"noop","unique_key":"key {n}","run_in":"1h""#);
        from.post("/v1/tasks", &format!(r#"{{"task_id":"task {n}",{keyed}}}"#), 201).await;
    }

    let dry = from.scheduler.would_copy_to(&to.scheduler, |_| ()).await.unwrap();
    let real = copy(&from, &to).await;

    let fits =
        |n: &usize| to.store.part(&format!("task {n}")) == to.store.part(&format!("key {n}"));
    let fitting: Vec<_> = (0..9).filter(fits).collect();
    assert_eq!(real.copied, fitting.len() as u64);
    assert_eq!(real.refused.len(), 9 - fitting.len());
    assert!(real.refused.iter().all(|(id, why)| why.contains(id.as_str())), "{:?}", real.refused);
    assert_eq!(dry, real);
    assert_eq!(to.shown().await.len(), fitting.len());
}

/// A large store is walked in pages, and large tasks go in batches that fit.
#[tokio::test]
async fn many_and_large_tasks_are_copied() {
    let [mut from, mut to] = [Shed::of(KINDS[KINDS.len() - 1]).await, Shed::of(KINDS[0]).await];
    for first in [0, 1000, 2000] {
        let tasks: Vec<_> = (first..first + 1000)
            .map(|n| format!(r#"{{"task_id":"t{n}","callback":"noop","run_in":"1h"}}"#))
            .collect();
        let body = format!(r#"{{"tasks":[{}]}}"#, tasks.join(","));
        from.post("/v1/tasks", &body, 201).await;
    }
    let large = "x".repeat((1 << 20) - 100);
    for n in 0..12 {
        let body = format!(
            r#"{{"task_id":"large {n}","callback":"noop","kwargs":{{"v":"{large}"}},"run_in":"1h"}}"#
        );
        from.post("/v1/tasks", &body, 201).await;
    }

    let mut told = Vec::new();
    let copied = from.scheduler.copy_to(&to.scheduler, |so_far| told.push(so_far.copied)).await;

    assert_eq!(copied.unwrap().copied, 3012);
    assert!(told.len() > 15 && told.is_sorted(), "{told:?}");
    assert!(to.task("large 11").await.len() > 1 << 20);
    assert!(to.task("t2999").await.contains("noop"));
    let again = to.scheduler.copy_to(&from.scheduler, |_| ()).await.unwrap();
    assert_eq!((again.copied, again.kept), (0, 3012));
}
