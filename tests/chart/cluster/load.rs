//! Clients that add tasks through the Service, at a rate that does not wait for answers unless too many are
//! outstanding. Every other one keeps its connection, the others connect anew for each task.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::TOKEN;

/// How often the next tasks are added.
const ADD_EVERY: Duration = Duration::from_millis(20);

/// How long an answer may take before the request has failed.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How long a client waits before it repeats a request that failed.
const REPEAT_AFTER: Duration = Duration::from_millis(200);

/// Most requests without an answer; a machine that is too slow for the rate gets fewer.
const OUTSTANDING_MAX: usize = 64;

/// What clients saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// How long they added tasks.
    pub(crate) length: Duration,
    /// Ids of tasks that were acknowledged.
    pub(crate) added: Vec<String>,
    /// Why requests failed.
    pub(crate) failed: Vec<String>,
}

impl Seen {
    /// How many tasks were acknowledged a second.
    pub(crate) fn rate(&self) -> f64 {
        let added = u32::try_from(self.added.len()).unwrap();
        f64::from(added) / self.length.as_secs_f64()
    }
}

#[derive(Debug)]
pub(crate) struct Load {
    seen: Arc<Mutex<Seen>>,
    stop: CancellationToken,
    clients: JoinSet<()>,
}

impl Load {
    /// Adds so many tasks a second, of 200 ms to 2 s.
    pub(crate) fn start(url: String, a_second: u32) -> Self {
        let (seen, stop) = (Arc::<Mutex<Seen>>::default(), CancellationToken::new());
        let mut clients = JoinSet::new();
        clients.spawn(add_all(url, a_second, Arc::clone(&seen), stop.clone()));
        Self { seen, stop, clients }
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// Adds no more, and waits until all requests have been answered.
    pub(crate) async fn stop(mut self) -> Seen {
        self.stop.cancel();
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap();
        }
        std::mem::take(&mut self.seen())
    }
}

async fn add_all(url: String, a_second: u32, seen: Arc<Mutex<Seen>>, stop: CancellationToken) {
    let client = || reqwest::Client::builder().no_proxy().timeout(ANSWER_WITHIN);
    let clients = [client(), client().pool_max_idle_per_host(0)].map(|one| one.build().unwrap());
    let begun = SystemClock.steady();
    let (mut requests, mut sent) = (JoinSet::new(), 0);
    while !stop.is_cancelled() {
        while requests.try_join_next().is_some() {}
        let length = SystemClock.steady().saturating_sub(begun);
        while u64::from(sent) < (length * a_second).as_secs() && requests.len() < OUTSTANDING_MAX {
            let client = clients[sent as usize % clients.len()].clone();
            requests.spawn(add(client, url.clone(), sent, Arc::clone(&seen)));
            sent += 1;
        }
        seen.lock().unwrap().length = length;
        SystemClock.sleep(ADD_EVERY).await;
    }
    requests.join_all().await;
}

/// Adds one task, and asks until it is told that the task is there.
async fn add(client: reqwest::Client, url: String, number: u32, seen: Arc<Mutex<Seen>>) {
    let id = format!("task-{number}");
    let milliseconds = 200 + number * 7919 % 1801;
    let task = json!({"task_id": id, "callback": "work", "kwargs": {"ms": milliseconds}});
    loop {
        let request = client.post(&url).bearer_auth(TOKEN).header("idempotency-key", &id);
        match outcome(request.json(&task)).await {
            Ok(()) => return seen.lock().unwrap().added.push(id),
            Err(why) => seen.lock().unwrap().failed.push(why),
        }
        SystemClock.sleep(REPEAT_AFTER).await;
    }
}

async fn outcome(request: reqwest::RequestBuilder) -> Result<(), String> {
    let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
    let status = answer.status();
    let body: Value = answer.json().await.map_err(|error| format!("{status} {error:?}"))?;
    if status == 201 { Ok(()) } else { Err(format!("{status} {body}")) }
}
