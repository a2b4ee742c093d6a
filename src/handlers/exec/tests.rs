//! Runs of real commands, without a launcher.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::test_kill_process;
use tempfile::TempDir;

use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::domain::id::Callback;
use crate::domain::id::ClaimId;
use crate::domain::id::GroupId;
use crate::domain::id::NodeName;
use crate::domain::id::TaskId;
use crate::domain::json::Kwargs;
use crate::domain::lease::Fence;
use crate::domain::lease::Lease;
use crate::domain::state::TaskState;
use crate::domain::task::Spec;
use crate::domain::task::TaskRecord;
use crate::domain::time::Timestamp;
use crate::handlers::Context;
use crate::handlers::Handler;
use crate::handlers::HandlerResult;
use crate::handlers::StopCause;
use crate::handlers::Stopper;
use crate::handlers::TaskErrorKind;
use crate::store::Options;
use crate::store::connect::in_memory;

use super::Exec;
use super::InvalidCommand;

const HOUR: Duration = Duration::from_secs(3600);

fn record(kwargs: &str) -> TaskRecord {
    let mut spec = Spec::new(Callback::parse("resize").unwrap(), Kwargs::parse(kwargs).unwrap());
    spec.group_id = Some(GroupId::parse("tenant 1").unwrap());
    spec.metadata = BTreeMap::from([("traceparent".into(), "00-ab-cd-01".into())]);
    let node = NodeName::parse("anna").unwrap();
    let claim_id = ClaimId::parse("c").unwrap();
    TaskRecord {
        id: TaskId::parse("Task 0").unwrap(),
        spec: Arc::new(spec),
        state: TaskState::Running,
        created_at: Timestamp::EPOCH,
        run_at: Timestamp::from_us(2_000_000),
        planned_at: Timestamp::from_us(1_000_000),
        expires_at: None,
        paused_at: None,
        parked: false,
        attempt: 3,
        crashes: 0,
        errors: Vec::new(),
        finished_at: None,
        result: None,
        lease: Some(Lease { node, claim_id, fence: Fence(77), expires_at: Timestamp::MAX }),
    }
}

fn context(task: TaskRecord, stopper: &Stopper) -> Context {
    let node = NodeName::parse("anna").unwrap();
    let store = in_memory(Arc::new(SystemClock), Options::default());
    Context::new(Arc::new(task), node, HOUR, stopper.clone(), store)
}

fn shell(script: &str) -> Exec {
    Exec::new(["sh", "-c", script]).unwrap()
}

async fn run(exec: &Exec, kwargs: &str) -> HandlerResult {
    exec.run(context(record(kwargs), &Stopper::default())).await
}

async fn error(script: &str) -> TaskErrorKind {
    run(&shell(script), "{}").await.unwrap_err().into_kind()
}

/// Waits for a file that a script writes, and answers the number in it.
async fn number_in(file: &Path) -> Pid {
    loop {
        if let Some(number) = fs::read_to_string(file).ok().filter(|text| text.ends_with('\n')) {
            return Pid::from_raw(number.trim().parse().unwrap()).unwrap();
        }
        SystemClock.sleep(Duration::from_millis(5)).await;
    }
}

fn since(earlier: Duration) -> Duration {
    SystemClock.steady().saturating_sub(earlier)
}

async fn is_gone_soon(pid: Pid) -> bool {
    let until = SystemClock.steady() + Duration::from_secs(3);
    while SystemClock.steady() < until {
        let status = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
        let is_dead = status.is_ok_and(|text| text.contains(") Z "));
        if is_dead || test_kill_process(pid).is_err() {
            return true;
        }
        SystemClock.sleep(Duration::from_millis(5)).await;
    }
    false
}

#[tokio::test]
async fn arguments_go_in_byte_for_byte_and_json_comes_out() {
    let kwargs = "{ \"big\": 12345678901234567890123, \"none\": [] }";

    let result = run(&shell("cat"), kwargs).await.unwrap();

    assert_eq!(result.unwrap().as_str(), kwargs);
}

#[tokio::test]
async fn a_megabyte_of_arguments_and_a_command_that_reads_none_are_no_trouble() {
    let kwargs = format!("{{\"text\":\"{}\"}}", "x".repeat(1_000_000));

    assert_eq!(run(&shell("true"), &kwargs).await.unwrap(), None);
    let counted = run(&shell("wc -c"), &kwargs).await.unwrap().unwrap();
    assert_eq!(counted.as_str(), kwargs.len().to_string());
}

#[tokio::test]
async fn the_environment_tells_about_the_run() {
    let script = r#"printf '"%s|%s|%s|%s|%s|%s|%s|%s|%s"' "$TASKSHED_TASK_ID" "$TASKSHED_CALLBACK" \
        "$TASKSHED_ATTEMPT" "$TASKSHED_FENCE" "$TASKSHED_RUN_AT" "$TASKSHED_QUEUE" \
        "$TASKSHED_GROUP_ID" "$TASKSHED_NODE" "$TRACEPARENT""#;

    let told = run(&shell(script), "{}").await.unwrap().unwrap();

    assert_eq!(
        told.as_str(),
        "\"Task 0|resize|3|77|1970-01-01T00:00:01.000000Z|default|tenant 1|anna|00-ab-cd-01\""
    );
}

#[tokio::test]
async fn a_fact_that_this_run_does_not_have_is_not_in_the_environment() {
    let mut task = record("{}");
    let mut spec = (*task.spec).clone();
    spec.group_id = None;
    spec.metadata = BTreeMap::from([("traceparent".into(), "a\0b".into())]);
    task.spec = Arc::new(spec);

    let script = "printf '[\"%s\",\"%s\"]' \"${TASKSHED_GROUP_ID-none}\" \"${TRACEPARENT-none}\"";
    let told = shell(script).run(context(task, &Stopper::default())).await.unwrap().unwrap();

    assert_eq!(told.as_str(), "[\"none\",\"none\"]");
}

#[tokio::test]
async fn the_exit_code_decides_and_standard_error_is_the_message() {
    assert_eq!(error("echo bad input >&2; exit 65").await, TaskErrorKind::Dead("bad input".into()));
    assert_eq!(error("echo later >&2; exit 75").await, TaskErrorKind::Retry("later".into()));
    let message = "the command ended with exit code 1".to_owned();
    assert_eq!(error("echo unread; exit 1").await, TaskErrorKind::Retry(message));
    let message = "the command was killed by signal 9".to_owned();
    assert_eq!(error("kill -9 $$").await, TaskErrorKind::Retry(message));
}

#[tokio::test]
async fn megabytes_of_output_are_dropped() {
    let script = "yes | head -c 5000000; yes no | head -c 5000000 >&2; exit 1";

    let TaskErrorKind::Retry(message) = error(script).await else { panic!("not a retry") };

    assert!(message.len() <= 4096 && message.ends_with("no\nno"), "{}", message.len());
    assert_eq!(run(&shell("yes | head -c 5000000"), "{}").await.unwrap(), None);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let exec = Exec::new(["no-such-program"]).unwrap();

    let TaskErrorKind::Retry(message) = run(&exec, "{}").await.unwrap_err().into_kind() else {
        panic!("not a retry")
    };

    assert!(message.starts_with("cannot start \"no-such-program\": No such file"), "{message}");
}

#[tokio::test]
async fn a_child_that_keeps_the_output_open_holds_nothing_up_and_is_killed() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("child");
    let script = format!("sleep 60 & echo $! > {}; echo 7", file.display());

    let started_at = SystemClock.steady();
    let result = run(&shell(&script), "{}").await.unwrap();

    assert_eq!(result.unwrap().as_str(), "7");
    assert!(since(started_at) < Duration::from_secs(4));
    assert!(is_gone_soon(number_in(&file).await).await);
}

#[tokio::test]
async fn a_run_that_is_told_to_stop_gets_a_chance_to_clean_up() {
    let folder = TempDir::new().unwrap();
    let (ready, cleaned) = (folder.path().join("ready"), folder.path().join("cleaned"));
    let script = format!(
        "trap 'echo 1 > {}; exit 0' TERM; echo $$ > {}; while :; do sleep 0.05; done",
        cleaned.display(),
        ready.display()
    );
    let stopper = Stopper::default();
    let exec = shell(&script);
    let stop = async {
        number_in(&ready).await;
        stopper.stop(StopCause::Draining);
    };

    let (result, ()) = tokio::join!(exec.run(context(record("{}"), &stopper)), stop);

    assert!(result.is_err(), "an exit code of 0 after SIGTERM says nothing about the work");
    assert_eq!(fs::read_to_string(cleaned).unwrap(), "1\n");
}

#[tokio::test]
async fn a_group_that_ignores_sigterm_is_killed_after_five_seconds() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("child");
    let script =
        format!("trap '' TERM; sh -c 'echo $$ > {}; sleep 60; sleep 60'; sleep 60", file.display());
    let stopper = Stopper::default();
    let exec = shell(&script);
    let stop = async {
        let child = number_in(&file).await;
        stopper.stop(StopCause::TimedOut);
        (child, SystemClock.steady())
    };

    let (result, (child, told_at)) = tokio::join!(exec.run(context(record("{}"), &stopper)), stop);

    let took = since(told_at);
    assert!(result.is_err());
    assert!(
        (Duration::from_millis(4_900)..Duration::from_millis(5_900)).contains(&took),
        "{took:?}"
    );
    assert!(is_gone_soon(child).await);
}

/// Guards N3: a command whose lease is lost gets no time.
#[tokio::test]
async fn a_lost_lease_kills_at_once() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("command");
    let exec = shell(&format!("trap '' TERM; echo $$ > {}; sleep 60", file.display()));
    let stopper = Stopper::default();
    let stop = async {
        number_in(&file).await;
        stopper.stop(StopCause::LeaseLost);
        SystemClock.steady()
    };

    let (result, told_at) = tokio::join!(exec.run(context(record("{}"), &stopper)), stop);

    assert!(result.is_err());
    assert!(since(told_at) < Duration::from_millis(500));
}

#[tokio::test]
async fn dropping_a_run_kills_the_whole_group() {
    let folder = TempDir::new().unwrap();
    let (parent, child) = (folder.path().join("parent"), folder.path().join("child"));
    let exec = shell(&format!(
        "echo $$ > {}; sh -c 'echo $$ > {}; sleep 60; :'; :",
        parent.display(),
        child.display()
    ));
    let mut running = exec.run(context(record("{}"), &Stopper::default()));

    let (parent, child) = tokio::select! {
        _ = &mut running => panic!("it ended"),
        both = async { (number_in(&parent).await, number_in(&child).await) } => both,
    };
    drop(running);

    assert!(is_gone_soon(parent).await);
    assert!(is_gone_soon(child).await);
}

#[test]
fn what_is_no_command_is_refused() {
    assert_eq!(Exec::new(Vec::<String>::new()).unwrap_err(), InvalidCommand::Empty);
    assert_eq!(Exec::new([""]).unwrap_err(), InvalidCommand::Empty);
    assert_eq!(Exec::new(["a", "b\0c"]).unwrap_err(), InvalidCommand::ZeroByte);
}
