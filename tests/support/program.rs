//! The binary as a user runs it: in a directory of its own, with no settings from outside.

use std::fs;
use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde_json::Value;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_taskshed");

/// A working directory with a configuration file, and the API that its commands talk to.
#[derive(Debug)]
pub(crate) struct Place {
    dir: TempDir,
    server: Option<String>,
    variables: Vec<(String, String)>,
}

/// What a command left.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its exit code.
    pub(crate) code: i32,
    /// What it wrote to standard output.
    pub(crate) out: String,
    /// What it wrote to standard error.
    pub(crate) err: String,
}

/// A node as a process of its own. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct NodeProcess {
    child: Child,
    log: PathBuf,
    /// Where its API is.
    pub(crate) url: String,
}

impl Place {
    /// A directory with this `taskshed.toml`.
    pub(crate) fn new(toml: &str) -> Self {
        let place = Self { dir: TempDir::new().unwrap(), server: None, variables: Vec::new() };
        fs::write(place.path("taskshed.toml"), toml).unwrap();
        place
    }

    /// A file in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Lets commands talk to `node`.
    pub(crate) fn talk_to(&mut self, node: &NodeProcess) {
        self.server = Some(node.url.clone());
    }

    /// Gives all that is started here an environment variable.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// The binary with these arguments, not started yet.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        self.settle(&mut command);
        command.args(args);
        command
    }

    fn settle(&self, command: &mut Command) {
        let ours = std::env::vars_os().map(|(name, _)| name);
        let is_read = |name: &str| {
            name.starts_with("TASKSHED_") || name.starts_with("OTEL_") || name == "TRACEPARENT"
        };
        for name in ours.filter(|name| is_read(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        if let Some(server) = &self.server {
            command.env("TASKSHED_SERVER", server);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.dir.path()).stdin(Stdio::null());
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args))
    }

    /// Runs a command with text on its standard input.
    pub(crate) fn run_with_input(&self, args: &[&str], input: &str) -> Ran {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Ran::after(child)
    }

    /// Runs a command that must do as it is asked, and answers its output without the last line
    /// break.
    pub(crate) fn done(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
        ran.out.trim_end().to_owned()
    }

    /// The JSON that a command prints.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.done(args)).unwrap()
    }

    /// The task with this id, if there is one.
    pub(crate) fn task(&self, id: &str) -> Option<Value> {
        let ran = self.run(&["show", id]);
        serde_json::from_str(ran.out.trim()).ok()
    }

    /// Waits until the task with this id is in `state`, and answers it.
    pub(crate) fn wait_for(&self, id: &str, state: &str) -> Value {
        let mut last = None;
        until(&format!("{id} is {state}"), || {
            last = self.task(id);
            last.as_ref().is_some_and(|task| task["state"] == state)
        });
        last.unwrap()
    }

    /// Starts a node on a free port, and waits until it is ready. It dies with the thread that
    /// started it.
    pub(crate) fn node(&self, args: &[&str]) -> NodeProcess {
        let mut node = self.launch(args);
        let mut greeting = String::new();
        BufReader::new(node.child.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
        let url = greeting.split("ready: ").nth(1).and_then(|rest| rest.split(',').next());
        let Some(url) = url else { panic!("no node: {greeting}{}", node.log()) };
        url.clone_into(&mut node.url);
        node
    }

    /// Starts a node on a free port, and waits until its API answers, ready or not.
    pub(crate) fn node_at_once(&self, args: &[&str]) -> NodeProcess {
        let mut node = self.launch(args);
        until("its API answers", || {
            let log = node.log();
            let line = log.lines().find(|line| line.contains("the API answers"));
            let rest = line.and_then(|line| line.split("listen=").nth(1));
            let address = rest.and_then(|rest| rest.split(' ').next());
            node.url = address.map(|address| format!("http://{address}")).unwrap_or_default();
            assert!(node.is_running(), "{log}");
            address.is_some()
        });
        node
    }

    fn launch(&self, args: &[&str]) -> NodeProcess {
        let log = self.path(&format!("node-{}.log", SystemClock.steady().as_nanos()));
        let mut command = self.command(&["__exec", "launch", &std::process::id().to_string()]);
        command.args([BINARY, "node", "--listen", "127.0.0.1:0"]).args(args);
        command.stdout(Stdio::piped()).stderr(File::create(&log).unwrap());
        NodeProcess { child: command.spawn().unwrap(), log, url: String::new() }
    }
}

impl Ran {
    /// Runs a command to its end.
    pub(crate) fn of(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::after(command.spawn().unwrap())
    }

    fn after(child: Child) -> Self {
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code();
        let code = code.unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
        Self { code, out: text(output.stdout), err: text(output.stderr) }
    }
}

impl NodeProcess {
    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal to the node alone.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Kills it, so that it can say nothing to anybody.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
    }

    /// Waits for its end, at most for a while.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let mut ended = None;
        until("the node ends", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap()
    }

    /// What it answers to a request without a body, head and all.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Names of its threads, as the kernel keeps them: the first 15 bytes.
    pub(crate) fn threads(&self) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        // A thread that has ended meanwhile has none.
        let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).ok();
        tasks.filter_map(|task| Some(name(task.ok()?)?.trim_end().to_owned())).collect()
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Tells it to leave in good order, and answers its exit code.
    pub(crate) fn leave(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.end().code()
    }

    /// What it wrote to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Waits until something is so; fails after half a minute.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let patience = SystemClock.steady() + Duration::from_secs(30);
    while !is_so() {
        assert!(SystemClock.steady() < patience, "it never came that {what}");
        pause(Duration::from_millis(20));
    }
}

/// Waits.
#[expect(clippy::disallowed_methods, reason = "waits for processes, which have no clock of ours")]
pub(crate) fn pause(length: Duration) {
    std::thread::sleep(length);
}

/// How long ago a moment of the steady count was.
pub(crate) fn since(earlier: Duration) -> Duration {
    SystemClock.steady().saturating_sub(earlier)
}

/// Waits for the number that a script writes into a file.
pub(crate) fn number_in(file: &Path) -> Pid {
    let mut number = None;
    until(&format!("{} is written", file.display()), || {
        let text = fs::read_to_string(file).ok().filter(|text| text.ends_with('\n'));
        number = text.and_then(|text| Pid::from_raw(text.trim().parse().ok()?));
        number.is_some()
    });
    number.unwrap()
}

/// Whether a process runs. One that is dead and not reaped does not.
pub(crate) fn runs(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    status.is_ok_and(|text| !text.contains(") Z "))
}
