//! What the nodes of the demo run: this program once more, as a command.

use std::ffi::OsString;
use std::io;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::config::Environment;

use super::note;
use super::note::Note;
use super::note::Run;
use super::note::What;
use super::tasks::FLAKY;
use super::tasks::SLOW;

/// First argument of a program that is started as a handler; the folder of the demo follows.
pub(super) const HANDLER: &str = "__demo";

/// How long slow tasks take.
const SLOW_TAKES: Duration = Duration::from_secs(3);

/// The attempt in which a flaky task ends well.
const FLAKY_ENDS_IN: u32 = 3;

/// `EX_TEMPFAIL`: try again.
const TRY_AGAIN: u8 = 75;

/// Does a handler's work if this process was started as one; otherwise answers `None` at once.
pub(in crate::cli) fn run_handler(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.into_iter().skip(1);
    if args.next()? != HANDLER {
        return None;
    }
    let folder = args.next()?;
    Some(work(Path::new(&folder)).unwrap_or_else(|error| {
        let _nowhere_to_tell_else = writeln!(io::stderr(), "{error}");
        ExitCode::from(TRY_AGAIN)
    }))
}

fn work(folder: &Path) -> io::Result<ExitCode> {
    let variables = Environment::of_process();
    let run = Run {
        task: read(&variables, "TASKSHED_TASK_ID")?,
        callback: read(&variables, "TASKSHED_CALLBACK")?,
        planned_at: read(&variables, "TASKSHED_RUN_AT")?,
        fence: read(&variables, "TASKSHED_FENCE")?,
        node: read(&variables, "TASKSHED_NODE")?,
    };
    let attempt: u32 = read(&variables, "TASKSHED_ATTEMPT")?;
    let write = |what| {
        let (at, run) = (SystemClock.wall(), run.clone());
        note::write(folder, &Note { at, what, run })
    };

    write(What::Started)?;
    match run.callback.as_str() {
        SLOW => wait(SLOW_TAKES)?,
        FLAKY if attempt < FLAKY_ENDS_IN => {
            write(What::Failed)?;
            return Err(io::Error::other("the mail server is busy"));
        }
        _ => {}
    }
    write(What::Ended)?;
    Ok(ExitCode::SUCCESS)
}

fn read<T: std::str::FromStr<Err: std::fmt::Display>>(
    variables: &Environment,
    name: &str,
) -> io::Result<T> {
    let text = variables.text(name).unwrap_or_default();
    text.parse().map_err(|error| io::Error::other(format!("{name}: {error}")))
}

fn wait(length: Duration) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(SystemClock.sleep(length));
    Ok(())
}
