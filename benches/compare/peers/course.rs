//! What the peers written in Rust have in common: the words of `program.rs`, and counting.

use std::io::BufRead;
use std::io::Write;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use serde::Deserialize;
use serde::Serialize;

/// About 100 bytes; `at` is the moment from which the start is late, in microseconds.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Arguments {
    pub number: usize,
    pub at: i64,
    pub text: String,
}

impl Arguments {
    pub fn new(number: usize, at: i64) -> Self {
        Self { number, at, text: "x".repeat(60) }
    }
}

/// Tasks a second up to which each has a turn of its own.
const RATE_EACH: usize = 1000;

/// What a program was told on its command line.
pub struct Told {
    pub mode: String,
    pub url: String,
    pub tasks: usize,
    pub other: usize,
    pub later: bool,
    pub leased: bool,
    pub spread: bool,
}

impl Told {
    pub fn read() -> Self {
        let mut words = std::env::args().skip(1).peekable();
        let leased = words.next_if_eq("leased").is_some();
        let spread = words.next_if_eq("spread").is_some();
        let mut word = || words.next().unwrap_or_default();
        let (mode, url) = (word(), word());
        let (tasks, other) = (word().parse().unwrap(), word().parse().unwrap_or_default());
        Self { mode, url, tasks, other, later: word() == "later", leased, spread }
    }
}

struct Counted {
    seen: Vec<bool>,
    executed: usize,
    distinct: usize,
    lags: Vec<i64>,
}

static COUNTED: OnceLock<Mutex<Counted>> = OnceLock::new();

pub fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64
}

pub fn say(word: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{word}").unwrap();
    out.flush().unwrap();
}

fn heard() -> String {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).unwrap();
    line.trim().to_owned()
}

pub fn wait_for_go() {
    say("ready");
    if heard() != "go" {
        std::process::exit(1);
    }
}

/// Begins to count the runs of so many tasks; a thread waits for the word to stop.
pub fn start(tasks: usize) {
    let counted = Counted { seen: vec![false; tasks], executed: 0, distinct: 0, lags: Vec::new() };
    let _ = COUNTED.set(Mutex::new(counted));
    wait_for_go();
    std::thread::spawn(|| {
        heard();
        let Counted { executed, distinct, lags, .. } = &*COUNTED.get().unwrap().lock().unwrap();
        say(&format!(
            "counted {{\"executed\":{executed},\"distinct\":{distinct},\"lags\":{lags:?}}}"
        ));
        std::process::exit(0);
    });
}

pub fn run(arguments: &Arguments) {
    let late = now_us() - arguments.at;
    let mut counted = COUNTED.get().unwrap().lock().unwrap();
    counted.executed += 1;
    if arguments.at > 0 {
        counted.lags.push(late);
    }
    if !std::mem::replace(&mut counted.seen[arguments.number], true) {
        counted.distinct += 1;
        if counted.distinct == counted.seen.len() {
            say("done");
        }
    }
}

/// Who only adds needs one thread, and saves to pass work on to another one.
pub fn block_on(told: &Told, run: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if told.mode != "work" {
        builder = tokio::runtime::Builder::new_current_thread();
    }
    builder.worker_threads(2).enable_all().build().unwrap().block_on(run);
}

/// Sleeps until shortly before a turn, and then spins; at high rates it only sleeps.
///
/// Who spins all the time takes a core from those whom it gives work to.
pub async fn wait_until(turn: Instant, rate: usize) {
    let rest = turn.saturating_duration_since(Instant::now());
    if rate > RATE_EACH {
        return tokio::time::sleep(rest).await;
    }
    if let Some(long) = rest.checked_sub(Duration::from_millis(2)) {
        tokio::time::sleep(long).await;
    }
    while Instant::now() < turn {
        tokio::task::yield_now().await;
    }
}

/// The numbers of so many tasks and the moments of their turns: above one a millisecond, as many at a
/// time as fall due within a millisecond.
pub fn turns(tasks: usize, rate: usize) -> impl Iterator<Item = (Range<usize>, Instant)> {
    let (first, together) = (Instant::now() + Duration::from_millis(100), rate.div_ceil(RATE_EACH));
    (0..tasks).step_by(together).map(move |number| {
        let turn = first + Duration::from_secs_f64(number as f64 / rate as f64);
        (number..tasks.min(number + together), turn)
    })
}

/// The moments of tasks that fall due one after the other, the first one in so many seconds.
pub fn dues(tasks: usize, rate: usize, seconds: i64) -> Vec<(usize, i64)> {
    let first = now_us() + seconds * 1_000_000;
    (0..tasks).map(|number| (number, first + (number * 1_000_000 / rate) as i64)).collect()
}
