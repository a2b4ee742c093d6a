//! What is done with each peer, and what is timed.

use std::path::PathBuf;
use std::time::Duration;

use taskshed::clock::Clock;
use taskshed::clock::SystemClock;

use crate::install::Ready;
use crate::ours;
use crate::program::Counted;
use crate::program::Program;
use crate::redis_bench;
use crate::run::Run;
use crate::server::Server;
use crate::speed_report::of;

/// Tasks a second of a measure of lag.
const RATE: usize = 500;

/// How long anything may take, some seconds as a rule.
const WITHIN: Duration = Duration::from_secs(60);

/// In which what runs twice shows.
const AFTERWARDS: Duration = Duration::from_millis(500);

/// How much is done of what a measure asks for.
#[derive(Clone, Copy)]
pub(crate) enum Length {
    /// What is counted.
    Full,
    /// What shows that all works.
    Short,
    /// What fills the caches of the machine, and is not counted.
    WarmUp,
}

/// What is common to all runs.
pub(crate) struct Course {
    pub(crate) length: Length,
    /// Where programs leave what they complain of.
    pub(crate) scratch: PathBuf,
}

impl Course {
    fn tasks(&self, most: usize) -> usize {
        match self.length {
            Length::Full => most,
            Length::Short => most / 10,
            Length::WarmUp => most / 20,
        }
    }

    fn seconds(&self) -> usize {
        match self.length {
            Length::Full => 4,
            Length::Short => 2,
            Length::WarmUp => 1,
        }
    }

    fn start(&self, ready: &Ready, words: &[&str]) -> Result<Program, String> {
        Program::start(ready, words, &self.scratch.join(format!("{}.log", ready.peer.name)))
    }
}

/// Takes a measure once; `drained` is how many tasks a second it drained in this run, if it did.
pub(crate) fn take(
    measure: &str,
    ready: &Ready,
    course: &Course,
    drained: Option<f64>,
) -> Vec<Run> {
    match measure {
        "drain" => drain(&Server::redis(), ["added", "drained"], ready, course),
        "mysql" => drain(&Server::mariadb(), ["mysql added", "mysql drained"], ready, course),
        "one" => one(ready, course),
        "lag" => lags(ready, course),
        "half-load" => vec![half_load(ready, course, drained)],
        "cpu" => vec![cpu(ready, course)],
        "control" => vec![control(ready, course)],
        _ => vec![alone("memory:", "", ready, course)],
    }
}

/// Whether something that is no peer stands beside a measure.
pub(crate) fn has_beside(measure: &str) -> bool {
    matches!(measure, "one" | "lag")
}

/// What stands beside a measure, and is no peer.
pub(crate) fn beside(measure: &str, course: &Course) -> Vec<Run> {
    if measure == "one" {
        return redis_bench::measure(course.tasks(20_000));
    }
    let lags = ours::bare(RATE, course.seconds());
    let run = Run::new("lag after the due time", "ms").of(lags.len());
    vec![run.titled("a timer of tokio").lagged(&lags)]
}

/// Adds in batches, then lets one worker run all.
fn drain(server: &Server, names: [&'static str; 2], ready: &Ready, course: &Course) -> Vec<Run> {
    let (url, tasks) = (server.url(), course.tasks(ready.peer.tasks));
    let added = Run::new(names[0], "/s").of(tasks).rate(added(ready, &url, tasks, 1000, course));
    let drained = Run::new(names[1], "/s").of(tasks);
    let count = tasks.to_string();
    let words = [ready.peer.waiting, &["work", &url, &count]].concat();
    let mut worker = match course.start(ready, &words) {
        Ok(worker) => worker,
        Err(why) => return vec![added, drained.failed(why)],
    };
    let began = SystemClock.steady();
    worker.go();
    let done = worker.done(WITHIN);
    let took = SystemClock.steady().saturating_sub(began);
    let drained = drained.counted(worker.stop(AFTERWARDS)).rate(done.map(|()| took));
    vec![added, drained]
}

fn added(
    ready: &Ready,
    url: &str,
    tasks: usize,
    batch: usize,
    course: &Course,
) -> Result<Duration, String> {
    let words = ["add", url, &tasks.to_string(), &batch.to_string()];
    let waiting = if batch == 1 { &[] } else { ready.peer.waiting };
    let mut producer = course.start(ready, &[waiting, &words].concat())?;
    let began = SystemClock.steady();
    producer.go();
    producer.done(WITHIN)?;
    Ok(SystemClock.steady().saturating_sub(began))
}

/// Adds one at a time.
fn one(ready: &Ready, course: &Course) -> Vec<Run> {
    let server = Server::redis();
    let tasks = course.tasks(ready.peer.tasks.min(20_000));
    let took = added(ready, &server.url(), tasks, 1, course);
    vec![Run::new("added one at a time", "/s").of(tasks).rate(took)]
}

/// How late tasks start that are added as time goes on, and tasks that were added long before.
fn lags(ready: &Ready, course: &Course) -> Vec<Run> {
    let (rate, tasks) = (RATE, RATE * course.seconds());
    let run = |name| Run::new(name, "ms").of(tasks);
    let mut runs = vec![paced(run("lag after the add"), ready, course, (rate, "now", 1)).0];
    let later = || run("lag after the due time");
    runs.push(paced(later(), ready, course, (rate, "later", 1)).0);
    if ready.peer.name == "taskshed" {
        runs.push(paced(later().titled("two nodes"), ready, course, (rate, "later", 2)).0);
    }
    if ready.peer.name == "taskshed-python" {
        runs.push(alone(&Server::redis().url(), "on Redis", ready, course));
    }
    runs
}

/// How late tasks start that are added at half of the rate at which the same peer drains.
fn half_load(ready: &Ready, course: &Course, drained: Option<f64>) -> Run {
    let run = Run::new("lag at half of the drain rate", "ms");
    let drained = drained.or_else(|| {
        let runs = drain(&Server::redis(), ["added", "drained"], ready, course);
        runs.last().and_then(Run::value)
    });
    let Some(drained) = drained else { return run.failed("its drain rate is unknown".to_owned()) };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate below a million"
    )]
    let rate = ((drained / 2.0) as usize).max(1);
    let tasks = rate * course.seconds();
    let (run, took) = paced(run.of(tasks), ready, course, (rate, "now", 1));
    let added = took.map_or(0.0, |took| of(tasks) / took.as_secs_f64());
    run.with("asked for, a second", of(rate)).with("added, a second", added)
}

/// Lags of the tasks of a run, and how long it took to add them at a rate: as time goes on, or to be
/// due later. The worker may have several nodes.
fn paced(
    run: Run,
    ready: &Ready,
    course: &Course,
    (rate, when, nodes): (usize, &str, usize),
) -> (Run, Option<Duration>) {
    let server = Server::redis();
    let (url, tasks, rate) = (server.url(), run.tasks().to_string(), rate.to_string());
    let nodes = nodes.to_string();
    let mut words = vec!["work", &url, &tasks];
    words.extend(Some(nodes.as_str()).filter(|nodes| *nodes != "1"));
    let mut worker = match course.start(ready, &words) {
        Ok(worker) => worker,
        Err(why) => return (run.failed(why), None),
    };
    worker.go();
    let mut took = None;
    let producer = course.start(ready, &["pace", &url, &tasks, &rate, when]);
    let done = producer.and_then(|mut producer| {
        let began = SystemClock.steady();
        producer.go();
        producer.done(WITHIN)?;
        took = Some(SystemClock.steady().saturating_sub(began));
        worker.done(WITHIN)
    });
    (told_lags(run, worker, done), took)
}

/// The run with the lags that its worker counted.
fn told_lags(run: Run, worker: Program, done: Result<(), String>) -> Run {
    let counted = worker.stop(AFTERWARDS);
    let lags = counted.as_ref().map_or(Vec::new(), |counted: &Counted| counted.lags.clone());
    let run = run.counted(counted);
    match done {
        Ok(()) => run.lagged(&lags),
        Err(why) => run.failed(why),
    }
}

/// The whole price of tasks that are added in batches while a worker runs them.
///
/// What is acknowledged late is waited for, and what the same time costs without tasks is taken off.
fn cpu(ready: &Ready, course: &Course) -> Run {
    let server = Server::redis();
    let tasks = course.tasks(ready.peer.tasks.min(50_000));
    let run = Run::new("CPU of 50,000", "s").of(tasks);
    let (url, words) = (server.url(), tasks.to_string());
    let started = course.start(ready, &["work", &url, &words]).and_then(|mut worker| {
        worker.go();
        Ok((worker, course.start(ready, &["add", &url, &words, "1000"])?))
    });
    let (worker, mut producer) = match started {
        Ok(both) => both,
        Err(why) => return run.failed(why),
    };
    let spent =
        |producer: &Program| [producer.cpu_seconds(), worker.cpu_seconds(), server.cpu_seconds()];
    let before = spent(&producer);
    producer.go();
    let done = producer.done(WITHIN).and_then(|()| worker.done(WITHIN));
    worker.rest(AFTERWARDS);
    let after = spent(&producer);
    worker.rest(AFTERWARDS);
    let idle = spent(&producer);
    let run = run.counted(worker.stop(Duration::ZERO));
    if let Err(why) = done {
        return run.failed(why);
    }
    let share = 50_000.0 / of(tasks);
    let part = |at: usize| (2.0 * after[at] - idle[at] - before[at]) * share;
    let whole = part(0) + part(1) + part(2);
    let run = run.worth(whole);
    run.with("producer", part(0)).with("worker", part(1)).with("server", part(2))
}

/// Whether counts show what they are there to show: of these tasks one is never added, and one twice.
fn control(ready: &Ready, course: &Course) -> Run {
    let server = Server::redis();
    let (url, tasks) = (server.url(), 1000);
    let mut worker = course.start(ready, &["work", &url, &tasks.to_string()]).unwrap();
    worker.go();
    let mut producer = course.start(ready, &["tamper", &url, &tasks.to_string()]).unwrap();
    producer.go();
    producer.done(WITHIN).unwrap();
    let ended = worker.done(AFTERWARDS * 4);
    let counted = worker.stop(AFTERWARDS).unwrap();
    let executed = counted.executed;
    let run = Run::new("control", "runs").of(tasks).counted(Ok(counted)).worth(of(executed));
    assert_eq!(run.faults(), Some((1, 1)), "a loss and a repetition show");
    assert!(ended.is_err(), "who lost a task is not done");
    run
}

/// How late tasks start where scheduler and worker are one process.
fn alone(url: &str, title: &str, ready: &Ready, course: &Course) -> Run {
    let tasks = RATE * course.seconds();
    let run = Run::new("lag in one process", "ms").titled(title).of(tasks);
    let words = ["alone", url, &tasks.to_string(), &RATE.to_string()];
    let mut program = match course.start(ready, &words) {
        Ok(program) => program,
        Err(why) => return run.failed(why),
    };
    program.go();
    let done = program.done(WITHIN);
    told_lags(run, program, done)
}
