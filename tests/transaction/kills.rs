//! Processes that are killed at any point of their transactions.
//!
//! Such a process sells and mails: it places orders, each with the task to mail it, and runs those
//! tasks, each of which notes the order as mailed and completes. It says each step before it takes
//! it. Whatever was killed when, each order that is there must be noted exactly once in the end.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use mysql_async::IsolationLevel;
use mysql_async::Pool;
use mysql_async::TxOpts;
use mysql_async::prelude::Queryable;
use rusqlite::Connection;
use rusqlite::TransactionBehavior;
use serde_json::json;
use taskshed::Context;
use taskshed::Node;
use taskshed::Scheduler;
use taskshed::Task;
use taskshed::TaskError;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::config::NodeConfig;
use taskshed::domain::id::NodeName;
use taskshed::store::Store;
use tokio::task::JoinSet;

use crate::dice::Dice;
use crate::mariadb::Place;
use crate::shop::until;

/// Where the process works, and whether it sells.
const URL: &str = "TASKSHED_TEST_URL";
const SELLS: &str = "TASKSHED_TEST_SELLS";

/// What the process is about to do, or did, when it is killed.
const STEPS: [&str; 8] =
    ["selling", "placed", "added", "sold", "mailing", "noted", "completed", "mailed"];

/// How often it is killed at each of them.
const ROUNDS: usize = 6;

const SEED: u64 = 20_261_124;

const PATIENCE: Duration = Duration::from_secs(30);

type Anything<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Guards T1, T2, T5 and T6.
#[tokio::test]
async fn each_order_in_a_file_is_mailed_once_whoever_is_killed() {
    let place = crate::sqlite::place().await;
    let tables = "CREATE TABLE placed (id INTEGER PRIMARY KEY); CREATE TABLE noted (id INTEGER)";
    let connection = Connection::open(place.path()).unwrap();
    connection.execute_batch(tables).unwrap();
    let url = format!("sqlite:{}", place.path().display());

    let words = kill_and_finish(&url, &place.shop.store).await;

    let ids = |text: &str| -> Vec<i64> {
        let mut found = connection.prepare(text).unwrap();
        found.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    judge(&words, &ids("SELECT id FROM placed"), &ids("SELECT id FROM noted"));
}

/// Guards T1, T2, T5 and T6.
#[tokio::test]
async fn each_order_on_a_server_is_mailed_once_whoever_is_killed() {
    let place = Place::new(IsolationLevel::RepeatableRead).await;
    place.tell("CREATE TABLE placed (id BIGINT AUTO_INCREMENT PRIMARY KEY) ENGINE = InnoDB").await;
    place.tell("CREATE TABLE noted (id BIGINT NOT NULL) ENGINE = InnoDB").await;

    let words = kill_and_finish(&place.url, &place.shop.store).await;

    let mut conn = mysql_async::Conn::from_url(&place.url).await.unwrap();
    let placed: Vec<i64> = conn.query("SELECT id FROM placed").await.unwrap();
    let noted: Vec<i64> = conn.query("SELECT id FROM noted").await.unwrap();
    judge(&words, &placed, &noted);
}

/// Kills processes at each step, lets a last one mail what is left, and answers all that they said.
async fn kill_and_finish(url: &str, store: &Arc<dyn Store>) -> Vec<String> {
    let mut leader = JoinSet::new();
    let node = Node::builder(Arc::clone(store)).name("leader").build().unwrap();
    leader.spawn(async move {
        let _never_ends = node.run_until(std::future::pending()).await;
    });
    let mut dice = Dice::of(SEED);
    let mut words = Vec::new();
    for step in STEPS.repeat(ROUNDS) {
        let mut process = Process::start(url, true);
        process.hear(step).await;
        SystemClock.sleep(Duration::from_micros(dice.below(1_000) as u64)).await;
        words.extend(process.kill());
    }

    let last = Process::start(url, false);
    until("all is mailed", async || {
        let queues = store.stats().await.unwrap().queues;
        assert!(queues.iter().all(|queue| queue.dead == 0), "a task died: {queues:?}");
        let waits = |queue: &taskshed::store::QueueStats| {
            queue.scheduled.iter().sum::<u64>() + queue.running + queue.suspects + queue.held
        };
        queues.iter().map(waits).sum::<u64>() == 0
    })
    .await;
    words.extend(last.kill());
    words
}

fn judge(words: &[String], placed: &[i64], noted: &[i64]) {
    let mut times: BTreeMap<i64, usize> = placed.iter().map(|id| (*id, 0)).collect();
    for id in noted {
        let times = times.get_mut(id);
        *times.unwrap_or_else(|| panic!("{id} was mailed and never placed")) += 1;
    }
    let wrong: Vec<_> = times.iter().filter(|(_, times)| **times != 1).collect();
    assert!(wrong.is_empty(), "not mailed exactly once: {wrong:?}");
    for word in words {
        if let Some(id) = word.strip_prefix("sold ") {
            assert!(times.contains_key(&id.parse().unwrap()), "{id} was sold and is gone");
        }
    }
    let count = |start| words.iter().filter(|word| word.starts_with(start)).count();
    let (mailing, mailed) = (count("mailing"), count("mailed"));
    assert!(mailing > noted.len(), "none was killed while it mailed: {mailing}");
    println!("{} orders, {mailing} attempts to mail, {mailed} of them ended well", placed.len());
}

/// A process, and what it says.
struct Process {
    child: Child,
    words: mpsc::Receiver<String>,
    ear: JoinHandle<()>,
    heard: Vec<String>,
}

impl Process {
    fn start(url: &str, sells: bool) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "kills::a_process", "--nocapture"])
            .env(URL, url)
            .env(SELLS, if sells { "yes" } else { "no" })
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let (mouth, words) = mpsc::channel();
        let said = BufReader::new(child.stdout.take().unwrap());
        let ear = std::thread::spawn(move || {
            for word in said.lines().map_while(Result::ok) {
                let _nobody_may_listen_any_more = mouth.send(word);
            }
        });
        Self { child, words, ear, heard: Vec::new() }
    }

    /// Hears until a word starts so.
    async fn hear(&mut self, start: &str) {
        let patience = SystemClock.steady() + PATIENCE;
        loop {
            while let Ok(word) = self.words.try_recv() {
                let is_it = word.starts_with(start);
                self.heard.push(word);
                if is_it {
                    return;
                }
            }
            assert!(SystemClock.steady() < patience, "no {start:?} was heard: {:?}", self.heard);
            SystemClock.sleep(Duration::from_micros(200)).await;
        }
    }

    /// Kills it at once (SIGKILL) and answers all that it said.
    fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.ear.join().unwrap();
        self.heard.extend(self.words.try_iter());
        self.heard
    }
}

#[test]
#[ignore = "is a process that other tests start"]
#[expect(clippy::disallowed_methods, reason = "who starts it tells it by the environment")]
fn a_process() {
    let (url, sells) = (std::env::var(URL).unwrap(), std::env::var(SELLS).unwrap() == "yes");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime
        .block_on(async {
            match url.strip_prefix("sqlite:") {
                Some(path) => in_file(path, crate::sqlite::open(&url).await, sells).await,
                None => on_server(&url, crate::mariadb::open(&url).await, sells).await,
            }
        })
        .unwrap();
}

fn say(word: &str, order: i64) {
    writeln!(std::io::stdout().lock(), "{word} {order}").unwrap();
}

fn mail(order: i64) -> Task {
    Task::new("mail", &json!({ "order": order })).unwrap()
}

/// With leases that end soon.
fn config() -> NodeConfig {
    let name = NodeName::parse("node").unwrap();
    let (lease, concurrency) = (Duration::from_secs(1), 2);
    NodeConfig { stands_for_leader: false, lease, concurrency, ..NodeConfig::new(name) }
}

async fn on_server(url: &str, store: Arc<dyn Store>, sells: bool) -> Anything<()> {
    let pool = Pool::from_url(url)?;
    let scheduler = Scheduler::new(Arc::clone(&store));
    let post = pool.clone();
    let handler = move |ctx: Context, args: BTreeMap<String, i64>| {
        let post = post.clone();
        async move {
            let order = args["order"];
            say("mailing", order);
            let mut tx = post.start_transaction(TxOpts::default()).await?;
            tx.exec_drop("INSERT INTO noted (id) VALUES (?)", (order,)).await?;
            say("noted", order);
            ctx.complete_in(&mut tx).await?;
            say("completed", order);
            tx.commit().await?;
            say("mailed", order);
            Ok::<_, TaskError>(())
        }
    };
    let node = Node::builder(store).config(config()).handler("mail", handler).build()?;
    let sell = async {
        if !sells {
            return std::future::pending().await;
        }
        loop {
            say("selling", 0);
            let mut tx = pool.start_transaction(TxOpts::default()).await?;
            tx.query_drop("INSERT INTO placed () VALUES ()").await?;
            let order = i64::try_from(tx.last_insert_id().unwrap_or_default())?;
            say("placed", order);
            scheduler.add_in(&mut tx, mail(order)).await?;
            say("added", order);
            tx.commit().await?;
            say("sold", order);
            SystemClock.sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        sold = sell => sold,
        _ = node.run_until(std::future::pending()) => Ok(()),
    }
}

async fn in_file(path: &str, store: Arc<dyn Store>, sells: bool) -> Anything<()> {
    let (scheduler, file) = (Scheduler::new(Arc::clone(&store)), path.to_owned());
    let handler = move |ctx: Context, args: BTreeMap<String, i64>| {
        let file = file.clone();
        let work = move || -> Result<(), TaskError> {
            let order = args["order"];
            say("mailing", order);
            let mut connection = Connection::open(file)?;
            let mut tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            tx.execute("INSERT INTO noted (id) VALUES (?1)", [order])?;
            say("noted", order);
            ctx.complete_in(&mut tx)?;
            say("completed", order);
            tx.commit()?;
            say("mailed", order);
            Ok(())
        };
        async move { tokio::task::spawn_blocking(work).await? }
    };
    let node = Node::builder(store).config(config()).handler("mail", handler).build()?;
    let path = path.to_owned();
    let sell = move || -> Anything<()> {
        let mut connection = Connection::open(path)?;
        loop {
            say("selling", 0);
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate);
            let mut tx = tx?;
            tx.execute("INSERT INTO placed DEFAULT VALUES", [])?;
            let order = tx.last_insert_rowid();
            say("placed", order);
            scheduler.add_in(&mut tx, mail(order))?;
            say("added", order);
            tx.commit()?;
            say("sold", order);
            std::thread::park_timeout(Duration::from_millis(5));
        }
    };
    let selling = async move {
        if sells { tokio::task::spawn_blocking(sell).await? } else { std::future::pending().await }
    };
    tokio::select! {
        sold = selling => sold,
        _ = node.run_until(std::future::pending()) => Ok(()),
    }
}
