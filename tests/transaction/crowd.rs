//! Many transactions at once.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use mysql_async::IsolationLevel;
use mysql_async::Pool;
use mysql_async::TxOpts;
use mysql_async::prelude::Queryable;
use serde_json::Value;
use serde_json::json;
use taskshed::Context;
use taskshed::Node;
use taskshed::Task;
use taskshed::TaskError;
use tokio::task::JoinSet;

use crate::mariadb::Place;
use crate::mariadb::commit;
use crate::mariadb::effect;
use crate::shop::until;

const ADDERS: usize = 8;

/// Orders of each of them.
const EACH: usize = 60;

/// Guards T1 and T6: whoever meets whom, each order is there and is mailed once, and no lease is left.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_places_and_mails_each_order_once() {
    for level in [IsolationLevel::RepeatableRead, IsolationLevel::ReadCommitted] {
        let place = Arc::new(Place::new(level).await);
        let mut adders: JoinSet<()> =
            (0..ADDERS).map(|adder| place_orders(Arc::clone(&place), adder)).collect();
        while let Some(done) = adders.join_next().await {
            done.unwrap();
        }

        let refused = Arc::new(AtomicUsize::new(0));
        mail_all(&place, level, &refused).await;

        let effects = place.effects().await;
        let count = |name: &str| effects.iter().filter(|effect| *effect == name).count();
        assert_eq!((count("order"), count("mail")), (ADDERS * EACH, ADDERS * EACH));
        assert_eq!(place.shop.lease_count().await, 0);
        println!("{level:?}: {} completions were refused", refused.load(Ordering::Relaxed));
    }
}

/// Half of the orders have ids and unique keys that were chosen.
async fn place_orders(place: Arc<Place>, adder: usize) {
    for number in 0..EACH {
        let mut tx = place.begin().await;
        effect(&mut tx, "order").await;
        let task = Task::new("mail", &json!({})).unwrap();
        let name = format!("{adder}-{number}");
        let task = if number % 2 == 0 { task } else { task.id(&name).unique_key(&name) };
        place.shop.scheduler.add_in(&mut tx, task).await.unwrap();
        commit(tx).await;
    }
}

async fn mail_all(place: &Place, level: IsolationLevel, refused: &Arc<AtomicUsize>) {
    let (pool, refused) = (Pool::from_url(&place.url).unwrap(), Arc::clone(refused));
    let handler = move |ctx: Context, _args: Value| {
        let (pool, refused) = (pool.clone(), Arc::clone(&refused));
        async move {
            let mut opts = TxOpts::default();
            opts.with_isolation_level(level);
            let mut tx = pool.start_transaction(opts).await?;
            tx.query_drop("INSERT INTO effect (name) VALUES ('mail')").await?;
            let completed = ctx.complete_in(&mut tx).await;
            refused.fetch_add(usize::from(completed.is_err()), Ordering::Relaxed);
            completed?;
            tx.commit().await?;
            Ok::<_, TaskError>(())
        }
    };
    let node = Node::builder(Arc::clone(&place.shop.store)).handler("mail", handler);
    let node = node.concurrency(32).build().unwrap();
    let all_mailed = until("all are mailed", async || {
        let queues = place.shop.store.stats().await.unwrap().queues;
        let waits = queues.iter().map(|queue| queue.scheduled.iter().sum::<u64>() + queue.running);
        waits.sum::<u64>() == 0
    });
    assert!(node.run_until(all_mailed).await.unwrap().is_clean());
}
