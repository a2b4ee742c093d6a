//! One run of a command, from its start to its end.

use std::convert::Infallible;
use std::future::Future;
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::pin::pin;
use std::process::Command;
use std::time::Duration;

use futures_util::future::MaybeDone;
use futures_util::future::maybe_done;
use rustix::process::Signal;
use tokio::io::AsyncWriteExt;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::ChildStdin;

use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::domain::json::Kwargs;
use crate::handlers::Context;
use crate::handlers::HandlerResult;
use crate::handlers::StopCause;
use crate::handlers::TaskError;
use crate::handlers::facts::facts;

use super::Exec;
use super::outcome::outcome;
use super::output::Head;
use super::output::Tail;
use super::process::Process;

/// From SIGTERM to SIGKILL.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// How long others of the group may hold the command's streams open after it has ended.
const OUTPUT_WAIT: Duration = Duration::from_secs(1);

/// Runs the command of `exec` for one task. Dropping the future kills its process group.
pub(super) async fn run(exec: Exec, context: Context) -> HandlerResult {
    let program = exec.command[0].to_string_lossy().into_owned();
    let unstarted =
        |error: io::Error| TaskError::retry(format!("cannot start {program:?}: {error}"));
    let mut process = start(&exec, &context).await.map_err(unstarted)?;
    let end = process.end_notice().and_then(watch).map_err(unstarted)?;
    let (stdin, stdout, stderr) = process.pipes().map_err(unstarted)?;

    let (mut head, mut tail) = (Head::default(), Tail::default());
    let kwargs = context.task().spec.kwargs.clone();
    let told = {
        let streams = async {
            tokio::join!(feed(stdin, &kwargs), head.read(stdout), tail.read(stderr));
        };
        let mut streams = pin!(maybe_done(streams));
        let told = run_to_end(&process, &end, &context, streams.as_mut()).await?;
        if told.is_none() {
            tokio::select! {
                () = streams => {}
                _ = context.stopped() => {}
                () = SystemClock.sleep(OUTPUT_WAIT) => {}
            }
        }
        told
    };

    let status = process.reap()?;
    match told {
        // It may have cut its work short and say 0 all the same.
        Some(cause) => Err(TaskError::retry(format!("stopped: {cause:?}"))),
        None => outcome(status, head, tail),
    }
}

async fn start(exec: &Exec, context: &Context) -> io::Result<Process> {
    let Some(launcher) = &exec.launcher else {
        let mut command = Command::new(&exec.command[0]);
        command.args(&exec.command[1..]);
        describe(&mut command, context);
        return Process::start(&mut command, None);
    };
    let mut command = launcher.command(&exec.command);
    describe(&mut command, context);
    launcher.start(command).await
}

/// Tells the command about its run. What this run does not have is taken out, so that nothing comes
/// from the environment of a node that is itself run by a task.
fn describe(command: &mut Command, context: &Context) {
    for fact in facts(context) {
        match fact.value {
            Some(value) => command.env(fact.variable, value),
            None => command.env_remove(fact.variable),
        };
    }
}

#[expect(deprecated, reason = "its successor is unsafe, to ask for what an `OwnedFd` gives anyway")]
fn watch(end: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(end, Interest::READABLE)
}

/// Waits for the command to end, and sees to it once the run is to stop. Answers why it was stopped.
async fn run_to_end<F: Future<Output = ()>>(
    process: &Process,
    end: &AsyncFd<OwnedFd>,
    context: &Context,
    mut streams: Pin<&mut MaybeDone<F>>,
) -> io::Result<Option<StopCause>> {
    let ended_or_told = async {
        tokio::select! {
            biased;
            ended = end.readable() => ended.map(|_| None),
            cause = context.stopped() => Ok(Some(cause)),
        }
    };
    let Some(cause) = along(streams.as_mut(), ended_or_told).await? else {
        return Ok(None);
    };

    process.signal(if cause.is_urgent() { Signal::KILL } else { Signal::TERM });
    let ended_or_late = async {
        tokio::select! {
            biased;
            ended = end.readable() => ended.map(|_| ()),
            () = SystemClock.sleep(STOP_GRACE) => {
                process.signal(Signal::KILL);
                end.readable().await.map(|_| ())
            }
        }
    };
    along(streams, ended_or_late).await?;
    Ok(Some(cause))
}

/// Waits for `event` while the streams move on.
async fn along<T, F: Future<Output = ()>>(
    streams: Pin<&mut MaybeDone<F>>,
    event: impl Future<Output = T>,
) -> T {
    let moving = async {
        streams.await;
        pending::<Infallible>().await
    };
    tokio::select! {
        biased;
        value = event => value,
        never = moving => match never {},
    }
}

/// Writes the arguments. A command that does not read them is in its rights.
async fn feed(mut stdin: ChildStdin, kwargs: &Kwargs) {
    let _unread = stdin.write_all(kwargs.as_str().as_bytes()).await;
}
