//! A process that adds, claims and ends tasks for as long as it lives, and tells what it knows.

use std::collections::VecDeque;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::process::Child;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::domain::draft::Task;
use taskshed::domain::id::Callback;
use taskshed::domain::id::ClaimId;
use taskshed::domain::id::NodeName;
use taskshed::domain::id::ProcessId;
use taskshed::domain::id::QueueName;
use taskshed::domain::id::RequestId;
use taskshed::domain::id::TaskId;
use taskshed::domain::retry::Jitter;
use taskshed::domain::state::Deciding;
use taskshed::domain::state::Outcome;
use taskshed::domain::state::decide;
use taskshed::store::AckItem;
use taskshed::store::Acked;
use taskshed::store::Add;
use taskshed::store::Claim;
use taskshed::store::Error;
use taskshed::store::Existing;
use taskshed::store::Fetch;
use taskshed::store::Holder;
use taskshed::store::HolderKind;
use taskshed::store::Options;
use taskshed::store::Queue;
use taskshed::store::Store;
use taskshed::store::SuspectRoom;
use taskshed::store::TaskRecord;
use taskshed::store::Tasks;
use taskshed::store::sqlite::SqliteStore;

use crate::file::File;

/// Where the process finds its file, and its name.
const FILE: &str = "TASKSHED_TEST_FILE";
const NAME: &str = "TASKSHED_TEST_NAME";

/// Longer than any test, so that no task is lost to a lease.
const HOUR: Duration = Duration::from_secs(3600);

/// How long a process may take until it tells what is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a process told, word by word: `added ID`, `claimed ID`, `done ID`, `read`, or
/// `refused METHOD KIND`.
pub(crate) type Word = String;

/// A process and what it tells.
pub(crate) struct Process {
    child: Child,
    words: mpsc::Receiver<Word>,
    ear: JoinHandle<()>,
    heard: VecDeque<Word>,
}

impl Process {
    /// Starts one on a file.
    pub(crate) fn start(file: &File, name: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "process::a_process", "--nocapture"])
            .env(FILE, file.path())
            .env(NAME, name)
            .envs(file.environment())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let (mouth, words) = mpsc::channel();
        let told = child.stdout.take().unwrap();
        let ear = std::thread::spawn(move || hear(told, &mouth));
        Self { child, words, ear, heard: VecDeque::new() }
    }

    /// Hears until a word starts so.
    pub(crate) fn hear(&mut self, start: &str) {
        let patience = SystemClock.steady() + PATIENCE;
        loop {
            let left = patience.saturating_sub(SystemClock.steady());
            let word = self.words.recv_timeout(left);
            let word = word.unwrap_or_else(|error| panic!("no {start:?} was heard: {error}"));
            let is_it = word.starts_with(start);
            self.heard.push_back(word);
            if is_it {
                return;
            }
        }
    }

    /// Forgets nothing, but hears only what is told from now on.
    pub(crate) fn catch_up(&mut self) {
        self.heard.extend(self.words.try_iter());
    }

    /// All that was heard so far.
    pub(crate) fn told(&self) -> Vec<Word> {
        self.heard.iter().cloned().collect()
    }

    /// Kills it at once (SIGKILL) and answers all that it told.
    pub(crate) fn kill(mut self) -> Vec<Word> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.ear.join().unwrap();
        self.heard.extend(self.words.try_iter());
        self.heard.into()
    }
}

/// Hands whole words on; half of one was told by nobody.
fn hear(told: ChildStdout, mouth: &mpsc::Sender<Word>) {
    let mut told = BufReader::new(told);
    let mut line = String::new();
    while told.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
        if let Some(word) = line.strip_suffix('\n') {
            let _nobody_may_listen_any_more = mouth.send(word.to_owned());
        }
        line.clear();
    }
}

#[test]
#[ignore = "is a process that other tests start"]
#[expect(clippy::disallowed_methods, reason = "who starts it tells it by the environment")]
fn a_process() {
    let url = format!("sqlite:{}", std::env::var(FILE).unwrap());
    let life = Life {
        store: SqliteStore::open(&url, Options::default()).unwrap(),
        name: std::env::var(NAME).unwrap(),
        count: 0,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(life.live());
}

fn say(word: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{word}").unwrap();
}

/// Says why a call got no answer.
fn refused<T>(reply: Result<T, Error>, method: &str) -> Option<T> {
    let error = match reply {
        Ok(reply) => return Some(reply),
        Err(error) => error,
    };
    let kind = match error {
        Error::Full { .. } => "full".into(),
        Error::Unavailable { .. } => "unavailable".into(),
        other => other.to_string(),
    };
    say(&format!("refused {method} {kind}"));
    None
}

struct Life {
    store: SqliteStore,
    name: String,
    count: u64,
}

impl Life {
    async fn live(mut self) {
        while refused(self.store.prepare().await, "prepare").is_none() {
            SystemClock.sleep(Duration::from_millis(5)).await;
        }
        loop {
            let (added, claimed) = tokio::join!(self.add(), self.claim());
            self.end(claimed.unwrap_or_default()).await;
            let fetch = Fetch { ids: vec![self.id(0)], watch: None };
            let read = refused(self.store.fetch(&fetch).await, "fetch");
            if read.is_some() {
                say("read");
            }
            if added.is_none() {
                SystemClock.sleep(Duration::from_millis(2)).await;
            }
            self.count += 1;
        }
    }

    fn id(&self, n: usize) -> TaskId {
        TaskId::parse(&format!("{}-{}-{n}", self.name, self.count)).unwrap()
    }

    async fn add(&self) -> Option<()> {
        let ids: Vec<_> = (0..3).map(|n| self.id(n)).collect();
        let now = SystemClock.wall();
        let planned = |id: &TaskId| {
            let task = Task::new("noop", &json!({ "filler": "x".repeat(300) })).unwrap();
            task.id(id.as_str()).retention(HOUR).check(usize::MAX).unwrap().plan(id.clone(), now)
        };
        let add = Add {
            request: RequestId::parse(&format!("{}-{}", self.name, self.count)).unwrap(),
            tasks: ids.iter().map(|id| planned(id).unwrap()).collect(),
            existing: Existing::Keep,
        };
        refused(self.store.add(&add).await, "add")?;
        for id in &ids {
            say(&format!("added {id}"));
        }
        Some(())
    }

    async fn claim(&self) -> Option<Vec<TaskRecord>> {
        let claim = Claim {
            id: ClaimId::parse(&format!("{}-{}", self.name, self.count)).unwrap(),
            holder: Holder {
                node: NodeName::parse("node").unwrap(),
                process: ProcessId::parse(&self.name).unwrap(),
                kind: HolderKind::Node,
            },
            queues: vec![QueueName::default()],
            callbacks: Some(Arc::from([Callback::parse("noop").unwrap()])),
            limit: 2,
            ttl: HOUR,
            grace: Duration::ZERO,
            ahead: Duration::ZERO,
            suspects: SuspectRoom::default(),
            wait: false,
        };
        let claimed = refused(self.store.claim(&claim).await, "claim")?;
        for task in &claimed.tasks {
            say(&format!("claimed {}", task.id));
        }
        Some(claimed.tasks)
    }

    /// Hands the runs back; the last one of a process may not have got so far.
    async fn end(&self, runs: Vec<TaskRecord>) {
        let now = SystemClock.wall();
        let ended = |run: &TaskRecord| {
            let lease = run.lease.clone().unwrap();
            let deciding = Deciding { now, jitter: Jitter::NONE, node: &lease.node };
            AckItem {
                verdict: decide(run, Outcome::Completed(None), &deciding),
                claim: lease.claim_id,
                task: run.id.clone(),
                fence: lease.fence,
                spec: run.spec.clone(),
            }
        };
        let items: Vec<_> = runs.iter().map(ended).collect();
        if items.is_empty() {
            return;
        }
        let Some(acked) = refused(self.store.ack(&items).await, "ack") else { return };
        for (item, acked) in items.iter().zip(acked) {
            let word = if acked == Acked::Done { "done" } else { "stale" };
            say(&format!("{word} {}", item.task));
        }
    }
}
