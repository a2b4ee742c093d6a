//! What is done with each peer, and what is timed.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use taskshed::clock::Clock;
use taskshed::clock::SystemClock;

use crate::install::Ready;
use crate::ours;
use crate::program::Program;
use crate::redis_bench;
use crate::report::Report;
use crate::report::Run;
use crate::server::Server;
use crate::speed_report::of;
use crate::speed_report::quantile;

/// Tasks a second of a measure of lag.
const RATE: usize = 500;

/// How long anything may take.
const WITHIN: Duration = Duration::from_secs(120);

/// In which what runs twice shows.
const AFTERWARDS: Duration = Duration::from_millis(500);

/// What is common to all runs.
pub(crate) struct Course {
    /// Whether it only shows that all works.
    pub(crate) short: bool,
    /// Where programs leave what they complain of.
    pub(crate) scratch: PathBuf,
}

impl Course {
    fn tasks(&self, most: usize) -> usize {
        if self.short { most / 10 } else { most }
    }

    fn seconds(&self) -> usize {
        if self.short { 2 } else { 5 }
    }

    fn log(&self, ready: &Ready) -> PathBuf {
        self.scratch.join(format!("{}.log", ready.peer.name))
    }
}

/// Takes a measure once.
pub(crate) fn take(measure: &str, ready: &Ready, course: &Course) -> Vec<Run> {
    let runs = match measure {
        "drain" => drain(&Server::redis(), ["added", "drained"], ready, course),
        "mysql" => drain(&Server::mariadb(), ["mysql added", "mysql drained"], ready, course),
        "one" => one(ready, course),
        "lag" => lags(ready, course),
        "cpu" => cpu(ready, course),
        "control" => control(ready, course),
        _ => alone("memory:", "in memory", ready, course),
    };
    runs.unwrap_or_else(|why| {
        println!("{}, {measure}: {why}", ready.peer.title);
        Vec::new()
    })
}

/// What stands beside a measure, and is no peer.
pub(crate) fn beside(measure: &str, course: &Course, round: usize, report: &mut Report) {
    let runs = match measure {
        "one" => redis_bench::measure(course.tasks(20_000)),
        "lag" => {
            let lags = ours::bare(RATE, course.seconds());
            vec![lagged("a timer of tokio, without tasks", "later", lags)]
        }
        _ => Vec::new(),
    };
    for run in runs {
        report.note_beside(round, run);
    }
}

type Taken = Result<Vec<Run>, String>;

/// Adds in batches, then lets one worker run all.
fn drain(server: &Server, names: [&'static str; 2], ready: &Ready, course: &Course) -> Taken {
    let (url, log) = (server.url(), course.log(ready));
    let tasks = course.tasks(ready.peer.tasks);
    let took = added(ready, &url, tasks, 1000, &log)?;
    let mut runs = vec![Run::new(names[0], "/s", of(tasks) / took.as_secs_f64()).of(tasks)];

    let mut worker = Program::start(ready, &["work", &url, &tasks.to_string()], &log)?;
    let began = SystemClock.steady();
    worker.go();
    let done = worker.done(WITHIN);
    let took = SystemClock.steady().saturating_sub(began);
    let counted = worker.stop(AFTERWARDS)?;
    done.map_err(|why| format!("{why}; {} of {tasks} ran", counted.distinct))?;
    runs.push(Run::new(names[1], "/s", of(tasks) / took.as_secs_f64()).counted(tasks, &counted));
    Ok(runs)
}

fn added(
    ready: &Ready,
    url: &str,
    tasks: usize,
    batch: usize,
    log: &Path,
) -> Result<Duration, String> {
    let words = ["add", url, &tasks.to_string(), &batch.to_string()];
    let mut producer = Program::start(ready, &words, log)?;
    let began = SystemClock.steady();
    producer.go();
    producer.done(WITHIN)?;
    Ok(SystemClock.steady().saturating_sub(began))
}

/// Adds one at a time.
fn one(ready: &Ready, course: &Course) -> Taken {
    let server = Server::redis();
    let tasks = course.tasks(20_000);
    let took = added(ready, &server.url(), tasks, 1, &course.log(ready))?;
    Ok(vec![Run::new("added one at a time", "/s", of(tasks) / took.as_secs_f64()).of(tasks)])
}

/// How late tasks start that are added as time goes on, and tasks that were added long before.
fn lags(ready: &Ready, course: &Course) -> Taken {
    let mut runs = lag(ready, course, "now", "1")?;
    runs.extend(lag(ready, course, "later", "1")?);
    if ready.peer.name == "taskshed" {
        runs.extend(lag(ready, course, "later", "2")?);
    }
    if ready.peer.name == "taskshed-python" {
        runs.extend(alone(&Server::redis().url(), "in one process", ready, course)?);
    }
    Ok(runs)
}

fn lag(ready: &Ready, course: &Course, when: &'static str, nodes: &str) -> Taken {
    let server = Server::redis();
    let (url, log) = (server.url(), course.log(ready));
    let tasks = RATE * course.seconds();
    let (tasks_word, rate) = (tasks.to_string(), RATE.to_string());
    let mut words = vec!["work", &url, &tasks_word];
    words.extend(Some(nodes).filter(|nodes| *nodes != "1"));
    let mut worker = Program::start(ready, &words, &log)?;
    worker.go();
    let mut producer = Program::start(ready, &["pace", &url, &tasks_word, &rate, when], &log)?;
    producer.go();
    producer.done(WITHIN)?;
    let done = worker.done(WITHIN);
    let counted = worker.stop(AFTERWARDS)?;
    done.map_err(|why| format!("{why}; {} of {tasks} ran", counted.distinct))?;
    let title = if nodes == "2" { "two nodes" } else { "" };
    Ok(vec![lagged(title, when, counted.lags.clone()).counted(tasks, &counted)])
}

/// The whole price of tasks that are added in batches while a worker runs them.
///
/// What is acknowledged late is waited for, and what the same time costs without tasks is taken off.
fn cpu(ready: &Ready, course: &Course) -> Taken {
    let server = Server::redis();
    let (url, log) = (server.url(), course.log(ready));
    let tasks = course.tasks(ready.peer.tasks.min(50_000));
    let tasks_word = tasks.to_string();
    let mut worker = Program::start(ready, &["work", &url, &tasks_word], &log)?;
    worker.go();
    let mut producer = Program::start(ready, &["add", &url, &tasks_word, "1000"], &log)?;
    let spent = |worker: &Program, producer: &Program| {
        [producer.cpu_seconds(), worker.cpu_seconds(), server.cpu_seconds()]
    };
    let before = spent(&worker, &producer);
    producer.go();
    let done = producer.done(WITHIN).and_then(|()| worker.done(WITHIN));
    worker.rest(AFTERWARDS);
    let after = spent(&worker, &producer);
    worker.rest(AFTERWARDS);
    let idle = spent(&worker, &producer);
    let counted = worker.stop(Duration::ZERO)?;
    done.map_err(|why| format!("{why}; {} of {tasks} ran", counted.distinct))?;
    let share = 50_000.0 / of(tasks);
    let part = |at: usize| (2.0 * after[at] - idle[at] - before[at]) * share;
    let whole = part(0) + part(1) + part(2);
    let run = Run::new("CPU of 50,000", "s", whole).counted(tasks, &counted);
    Ok(vec![run.with("producer", part(0)).with("worker", part(1)).with("server", part(2))])
}

/// Whether counts show what they are there to show: of these tasks one is never added, and one twice.
fn control(ready: &Ready, course: &Course) -> Taken {
    let server = Server::redis();
    let (url, log) = (server.url(), course.log(ready));
    let tasks = 1000;
    let mut worker = Program::start(ready, &["work", &url, &tasks.to_string()], &log)?;
    worker.go();
    let mut producer = Program::start(ready, &["tamper", &url, &tasks.to_string()], &log)?;
    producer.go();
    producer.done(WITHIN)?;
    let ended = worker.done(AFTERWARDS * 4);
    let counted = worker.stop(AFTERWARDS)?;
    let run = Run::new("control", "runs", of(counted.executed)).counted(tasks, &counted);
    assert_eq!(run.faults(), Some((1, 1)), "a loss and a repetition show");
    assert!(ended.is_err(), "who lost a task is not done");
    Ok(vec![run])
}

/// How late tasks start where scheduler and worker are one process.
fn alone(url: &str, name: &'static str, ready: &Ready, course: &Course) -> Taken {
    let tasks = RATE * course.seconds();
    let words = ["alone", url, &tasks.to_string(), &RATE.to_string()];
    let mut program = Program::start(ready, &words, &course.log(ready))?;
    program.go();
    program.done(WITHIN)?;
    let counted = program.stop(AFTERWARDS)?;
    Ok(vec![lagged(name, "later", counted.lags.clone()).counted(tasks, &counted)])
}

fn lagged(title: &'static str, when: &str, mut lags_us: Vec<i64>) -> Run {
    lags_us.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "lags are far below 2^52 microseconds")]
    let at = |share| quantile(&lags_us, share) as f64 / 1e3;
    let name = if when == "now" { "lag after the add" } else { "lag after the due time" };
    let early = lags_us.iter().filter(|late| **late < 0).count();
    Run::new(name, "ms", at(0.5)).titled(title).with("p99", at(0.99)).with("early", of(early))
}
