//! An order and its mail, by one commit; the mail and the word that it was sent, by another.
//!
//! ```sh
//! cargo run --example order_mail      # in a file of SQLite; nothing to install
//! cargo run --example order_mail -- mysql://USER:PASSWORD@HOST/DATABASE
//! ```
//!
//! Two customers order, and a third changes their mind. The first attempt to mail Ben fails just
//! before its commit, so Ben gets two mails: what leaves the database can happen twice. But what is
//! in it happens once: each order that was placed is noted as mailed one time.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use taskshed::Context;
use taskshed::Node;
use taskshed::Scheduler;
use taskshed::Task;
use taskshed::TaskError;
use taskshed::domain::id::TaskId;
use taskshed::domain::retry::Backoff;
use taskshed::store::Options;
use taskshed::store::Store;
use taskshed::store::mysql::mysql_async;
use taskshed::store::mysql::mysql_async::prelude::Queryable;
use taskshed::store::open;
use taskshed::store::sqlite::rusqlite;

type Anything<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What the handler gets.
#[derive(Debug, Serialize, Deserialize)]
struct Mail {
    order: i64,
    to: String,
}

/// An order, and how often it was noted that its mail was sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) customer: String,
    pub(crate) mailed: i64,
}

const CUSTOMERS: [&str; 3] = ["Ada", "Ben", "Cleo"];

#[tokio::main]
async fn main() -> Anything<()> {
    let folder = tempfile::tempdir()?;
    let file = format!("sqlite:{}", folder.path().join("shop.db").display());
    let url = std::env::args().nth(1).unwrap_or(file);
    for Order { customer, mailed } in run(&url).await? {
        println!("{customer}'s order is noted as mailed {mailed} time(s)");
    }
    Ok(())
}

/// Places the orders, sends the mails, and answers all orders of this run.
pub(crate) async fn run(url: &str) -> Anything<Vec<Order>> {
    let store = open(url, Options::default())?;
    store.migrate().await?;
    store.prepare().await?;
    match url.strip_prefix("sqlite:") {
        Some(path) => in_file(path, store).await,
        None => on_server(url, store).await,
    }
}

fn mail(order: i64, customer: &str) -> Anything<Task> {
    let backoff = Backoff { base: Duration::from_millis(100), ..Backoff::default() };
    let mail = Mail { order, to: format!("{customer}@example.org") };
    Ok(Task::new("mail", &mail)?.backoff(backoff).retention(Duration::from_secs(3600)))
}

/// Cleo changes their mind.
fn is_kept(customer: &str) -> bool {
    customer != "Cleo"
}

fn send(ctx: &Context, mail: &Mail) {
    println!("attempt {} mails {}", ctx.attempt(), mail.to);
}

/// The first attempt for Ben goes no further.
fn stumble(ctx: &Context, mail: &Mail) -> Result<(), TaskError> {
    let stumbles = mail.to.starts_with("Ben") && ctx.attempt() == 1;
    if stumbles { Err(TaskError::retry("something went wrong before the commit")) } else { Ok(()) }
}

/// Waits for the tasks to end, while a node runs.
async fn wait(scheduler: &Scheduler, tasks: &[TaskId], node: Node) -> Anything<()> {
    let ended = async {
        for task in tasks {
            let _shown_in_the_table = scheduler.wait(task, Duration::from_secs(30)).await;
        }
    };
    let _handed_back = node.run_until(ended).await?;
    Ok(())
}

// On a server: everything is awaited.

async fn on_server(url: &str, store: Arc<dyn Store>) -> Anything<Vec<Order>> {
    let pool = mysql_async::Pool::from_url(url)?;
    let mut conn = pool.get_conn().await?;
    conn.query_drop(
        "CREATE TABLE IF NOT EXISTS orders (id BIGINT AUTO_INCREMENT PRIMARY KEY,
         customer VARCHAR(64) NOT NULL, mailed BIGINT NOT NULL) ENGINE = InnoDB",
    )
    .await?;
    let last: i64 = conn.query_first("SELECT COALESCE(MAX(id), 0) FROM orders").await?.unwrap_or(0);

    let scheduler = Scheduler::new(Arc::clone(&store));
    let mut tasks = Vec::new();
    for customer in CUSTOMERS {
        let mut tx = pool.start_transaction(mysql_async::TxOpts::default()).await?;
        tx.exec_drop("INSERT INTO orders (customer, mailed) VALUES (?, 0)", (customer,)).await?;
        let order = i64::try_from(tx.last_insert_id().unwrap_or_default())?;
        let added = scheduler.add_in(&mut tx, mail(order, customer)?).await?;
        if is_kept(customer) {
            tx.commit().await?;
            tasks.push(added.task_id);
        } else {
            tx.rollback().await?;
        }
    }

    // Connections belong to the runtime that made them, and handlers run on one of their own.
    let post = mysql_async::Pool::from_url(url)?;
    let handler = move |ctx: Context, mail: Mail| {
        let post = post.clone();
        async move {
            send(&ctx, &mail);
            let mut tx = post.start_transaction(mysql_async::TxOpts::default()).await?;
            let noted = "UPDATE orders SET mailed = mailed + 1 WHERE id = ?";
            tx.exec_drop(noted, (mail.order,)).await?;
            ctx.complete_in(&mut tx).await?;
            stumble(&ctx, &mail)?;
            tx.commit().await?;
            Ok(())
        }
    };
    wait(&scheduler, &tasks, Node::builder(store).handler("mail", handler).build()?).await?;

    let order = |(customer, mailed)| Order { customer, mailed };
    let found = "SELECT customer, mailed FROM orders WHERE id > ? ORDER BY id";
    Ok(conn.exec_map(found, (last,), order).await?)
}

// In a file: nothing is awaited while a transaction is open, and handlers step aside to do so.

async fn in_file(path: &str, store: Arc<dyn Store>) -> Anything<Vec<Order>> {
    let mut connection = rusqlite::Connection::open(path)?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY,
         customer TEXT NOT NULL, mailed INTEGER NOT NULL)",
    )?;
    let number = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    let last = connection.query_row("SELECT COALESCE(MAX(id), 0) FROM orders", [], number)?;

    let scheduler = Scheduler::new(Arc::clone(&store));
    let mut tasks = Vec::new();
    for customer in CUSTOMERS {
        let immediate = rusqlite::TransactionBehavior::Immediate;
        let mut tx = connection.transaction_with_behavior(immediate)?;
        tx.execute("INSERT INTO orders (customer, mailed) VALUES (?1, 0)", [customer])?;
        let order = tx.last_insert_rowid();
        let added = scheduler.add_in(&mut tx, mail(order, customer)?)?;
        if is_kept(customer) {
            tx.commit()?;
            tasks.push(added.task_id);
        } else {
            tx.rollback()?;
        }
    }

    let file = path.to_owned();
    let handler = move |ctx: Context, mail: Mail| {
        let file = file.clone();
        let work = move || -> Result<(), TaskError> {
            send(&ctx, &mail);
            let mut connection = rusqlite::Connection::open(file)?;
            let immediate = rusqlite::TransactionBehavior::Immediate;
            let mut tx = connection.transaction_with_behavior(immediate)?;
            tx.execute("UPDATE orders SET mailed = mailed + 1 WHERE id = ?1", [mail.order])?;
            ctx.complete_in(&mut tx)?;
            stumble(&ctx, &mail)?;
            tx.commit()?;
            Ok(())
        };
        async move { tokio::task::spawn_blocking(work).await? }
    };
    wait(&scheduler, &tasks, Node::builder(store).handler("mail", handler).build()?).await?;

    let found = "SELECT customer, mailed FROM orders WHERE id > ?1 ORDER BY id";
    let mut found = connection.prepare(found)?;
    let order = |row: &rusqlite::Row<'_>| Ok(Order { customer: row.get(0)?, mailed: row.get(1)? });
    Ok(found.query_map([last], order)?.collect::<Result<_, _>>()?)
}
