//! Starts commands so that they die with this process.
//!
//! A process can ask the kernel to be killed when its parent dies, but only for itself. So the
//! launcher starts a helper, which asks for that, makes sure that its parent has not died before,
//! and then becomes the command.
//!
//! The kernel means the parent *thread*. A thread of a runtime may end early, so all commands are
//! started by one thread of the launcher's own, which lives as long as any run.

use std::env;
use std::ffi::OsString;
use std::io;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::getpid;
use rustix::process::getppid;
use rustix::process::set_parent_process_death_signal;
use tokio::sync::oneshot;

use super::guard;
use super::guard::Guard;
use super::process::Process;

/// First argument of a program that is started as a helper.
pub const HELPER: &str = "__exec";

const LAUNCH: &str = "launch";

const GUARD: &str = "guard";

/// Exit codes of a helper that could not become the command, as shells have them.
const NOT_FOUND: u8 = 127;
const NOT_STARTED: u8 = 126;

/// Starts commands through a helper. Cheap to clone; clones share one thread and one guard.
#[derive(Clone, Debug)]
pub struct Launcher {
    helper: Arc<Path>,
    starts: mpsc::Sender<Start>,
}

/// A command to be started.
struct Start {
    command: Command,
    started: oneshot::Sender<io::Result<Process>>,
}

impl Launcher {
    /// Starts commands through the program at `helper`, whose `main` calls [`run_helper`] first.
    ///
    /// # Errors
    ///
    /// If there is no thread, or the helper cannot be started.
    pub fn through(helper: impl Into<PathBuf>) -> io::Result<Self> {
        let helper: Arc<Path> = helper.into().into();
        let mut guard = Command::new(&*helper);
        guard.args([HELPER, GUARD]);
        let guard = Arc::new(Guard::start(guard)?);

        let (starts, asked) = mpsc::channel::<Start>();
        let serve = move || {
            for Start { mut command, started } in asked {
                // If nobody waits any more, the process comes back, is dropped, and so killed.
                let _killed_when_dropped =
                    started.send(Process::start(&mut command, Some(Arc::clone(&guard))));
            }
        };
        thread::Builder::new().name("taskshed-exec".into()).spawn(serve)?;
        Ok(Self { helper, starts })
    }

    /// Starts commands through the program that runs now, also when its file was replaced since.
    ///
    /// # Errors
    ///
    /// As [`Launcher::through`], or if the program's own path is unknown.
    pub fn through_this_program() -> io::Result<Self> {
        Self::through(this_program()?)
    }

    /// The command that leads to `words`.
    pub(super) fn command(&self, words: &[OsString]) -> Command {
        let mut command = launched(&self.helper);
        command.args(words);
        command
    }

    /// Starts a command on the launcher's thread.
    pub(super) async fn start(&self, command: Command) -> io::Result<Process> {
        let ended = || io::Error::other("the thread that starts commands has ended");
        let (started, answer) = oneshot::channel();
        self.starts.send(Start { command, started }).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

/// The program that runs now, also when its file was replaced since.
///
/// # Errors
///
/// If its own path is unknown.
pub fn this_program() -> io::Result<PathBuf> {
    let link = Path::new("/proc/self/exe");
    if link.exists() { Ok(link.into()) } else { env::current_exe() }
}

/// This program once more, to be given arguments. It is killed when the thread that starts it ends.
///
/// # Errors
///
/// As [`this_program`].
pub fn this_program_again() -> io::Result<Command> {
    let program = this_program()?;
    let mut command = launched(&program);
    command.arg(program);
    Ok(command)
}

/// A helper that waits to be told what to become.
fn launched(helper: &Path) -> Command {
    let mut command = Command::new(helper);
    let parent = getpid().as_raw_nonzero().to_string();
    command.args([HELPER, LAUNCH, &parent]);
    command
}

/// Does a helper's work if this process was started as one; otherwise answers `None` at once.
///
/// A program that is a launcher's helper calls it before anything else, with its own arguments.
pub fn run_helper(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.into_iter().skip(1);
    if args.next()? != HELPER {
        return None;
    }
    let work = args.next()?;
    if work == GUARD {
        guard::watch(io::stdin().lock());
        return Some(ExitCode::SUCCESS);
    }
    (work == LAUNCH).then(|| become_command(args))
}

/// Becomes the command, or says why not.
fn become_command(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let parent = args.next().and_then(|text| text.to_str()?.parse().ok()).and_then(Pid::from_raw);
    let Some(program) = args.next() else {
        return ExitCode::from(NOT_STARTED);
    };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return refuse(&program, &error.into());
    }
    // A parent that died before that line has sent no signal.
    if getppid() != parent {
        return ExitCode::from(NOT_STARTED);
    }

    refuse(&program, &Command::new(&program).args(args).exec())
}

fn refuse(program: &OsString, error: &io::Error) -> ExitCode {
    let program = program.to_string_lossy();
    let _nowhere_to_tell_else = writeln!(io::stderr(), "cannot start {program:?}: {error}");
    ExitCode::from(if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_STARTED })
}

/// Sets what all commands have in common.
pub(super) fn prepare(command: &mut Command) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
}
