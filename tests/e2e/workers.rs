//! Workers of all kinds on one queue: the scripts of the guide, commands, and Rust handlers.

use std::collections::HashMap;
use std::fs;
use std::fs::File;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde::Deserialize;
use serde_json::json;
use taskshed::Context;
use taskshed::Node;
use taskshed::Task;
use taskshed::TaskError;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::domain::id::QueueName;
use taskshed::domain::state::TaskState;
use taskshed::store::Filter;
use taskshed::store::List;
use taskshed::store::Options;

use crate::program::NodeProcess;
use crate::program::Place;
use crate::program::until;
use crate::witness::Shed;

const TASKS: usize = 300;

const URL: &str = "TASKSHED_TEST_URL";
const NAME: &str = "TASKSHED_TEST_NAME";

/// A command for `note`, as a node runs it.
const COMMAND: &str = "sleep 0.05; printf '%s\\t%s\\t%s\\n' \"$TASKSHED_TASK_ID\" \
                       \"$TASKSHED_FENCE\" \"$TASKSHED_NODE\" >> notes";

/// An endpoint for `note`, which prints where it listens.
const ENDPOINT: &str = r#"
import http.server, json, socketserver, time

class Note(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        json.loads(self.rfile.read(int(self.headers["content-length"])))
        time.sleep(0.05)
        facts = self.headers["taskshed-task-id"], self.headers["taskshed-fence"], "http"
        with open("notes", "a") as notes:
            notes.write("\t".join(facts) + "\n")
        self.send_response(204)
        self.end_headers()

server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Note)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

/// The first block of code in this language on a page of the guide.
fn code(page: &str, language: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide").join(page);
    let text = fs::read_to_string(path).unwrap();
    let block = text.split(&format!("```{language}\n")).nth(1).unwrap();
    block.split("```").next().unwrap().to_owned()
}

/// A process that ends with this value.
struct Worker {
    child: Child,
    log: std::path::PathBuf,
}

impl Worker {
    fn start(place: &Place, name: &str, mut command: Command) -> Self {
        let log = place.path(&format!("{name}.log"));
        let out = File::create(&log).unwrap();
        command.stdout(out.try_clone().unwrap()).stderr(out).stdin(Stdio::null());
        Self { child: command.spawn().unwrap(), log }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A worker of the guide that talks to these nodes.
fn scripted(place: &Place, name: &str, nodes: &[&NodeProcess]) -> Worker {
    let is_python = name.starts_with("python");
    let (page, language, program) = if is_python {
        ("python-worker.md", "python", "python3")
    } else {
        ("shell-worker.md", "sh", "sh")
    };
    let script = place.path(page);
    fs::write(&script, code(page, language)).unwrap();
    let urls: Vec<_> = nodes.iter().map(|node| node.url.as_str()).collect();
    let mut command = Command::new(program);
    command.arg(script).current_dir(place.path("."));
    command.env("TASKSHED_WORKER", name).env("TASKSHED_LEASE", "2");
    command.env("TASKSHED_SERVERS", urls.join(",")).env("TASKSHED_SERVER", urls[0]);
    Worker::start(place, name, command)
}

/// An endpoint, and where it is.
fn endpoint(place: &Place) -> (Worker, String) {
    let script = place.path("endpoint.py");
    fs::write(&script, ENDPOINT).unwrap();
    let mut command = Command::new("python3");
    command.arg(script).current_dir(place.path("."));
    let worker = Worker::start(place, "endpoint", command);
    let mut port = String::new();
    until("the endpoint listens", || {
        worker.log().lines().next().unwrap_or_default().clone_into(&mut port);
        port.parse::<u16>().is_ok()
    });
    (worker, format!("http://127.0.0.1:{port}/"))
}

/// A node with a handler in Rust, as a process of its own.
fn rust(place: &Place, name: &str, url: &str) -> Worker {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "workers::a_rust_node", "--nocapture"]);
    command.env(URL, url).env(NAME, name).current_dir(place.path("."));
    Worker::start(place, name, command)
}

#[derive(Deserialize)]
struct Note {
    file: String,
}

async fn note(ctx: Context, note: Note) -> Result<(), TaskError> {
    let line = format!("{}\t{}\trust\n", ctx.task().id, ctx.fence().0);
    SystemClock.sleep(std::time::Duration::from_millis(50)).await;
    let mut file = File::options().append(true).create(true).open(&note.file)?;
    std::io::Write::write_all(&mut file, line.as_bytes())?;
    Ok(())
}

#[test]
#[ignore = "is a process that another test starts"]
#[expect(clippy::disallowed_methods, reason = "who starts it tells it by the environment")]
fn a_rust_node() {
    let url = std::env::var(URL).unwrap();
    let name = std::env::var(NAME).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = taskshed::store::open(&url, Options::default()).unwrap();
        store.prepare().await.unwrap();
        let node = Node::builder(store).name(&name).handler("note", note).concurrency(1);
        let node = node.lease(std::time::Duration::from_secs(2)).build().unwrap();
        let _never_comes = node.run_until(std::future::pending()).await.unwrap();
    });
}

/// Who noted each task, in order.
fn notes(place: &Place) -> HashMap<String, Vec<String>> {
    let text = fs::read_to_string(place.path("notes")).unwrap_or_default();
    let mut notes: HashMap<String, Vec<String>> = HashMap::new();
    for line in text.lines() {
        let mut parts = line.split('\t');
        let task = parts.next().unwrap_or_default().to_owned();
        notes.entry(task).or_default().push(parts.nth(1).unwrap_or_default().to_owned());
    }
    notes
}

/// Two of each kind work on one queue, and one of each is killed on the way, with the node that the
/// workers over HTTP talk to first: every task completes, and nobody's outcome counts twice.
#[test]
fn workers_of_all_kinds_drain_one_queue_while_one_of_each_is_killed() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let shed = Arc::new(runtime.block_on(Shed::new(&[])));
    let place = &shed.place;
    let url = shed.server.url();
    let commands = format!(
        "store = \"{url}\"\n[handlers.note]\nexec = [\"sh\", \"-ec\", {}]\n",
        json!(COMMAND)
    );
    fs::write(place.path("commands.toml"), commands).unwrap();
    let (_endpoint, there) = endpoint(place);
    let calls = format!("store = \"{url}\"\n[handlers.note]\nhttp = \"{there}\"\n");
    fs::write(place.path("calls.toml"), calls).unwrap();
    let one_by_one =
        |name: &str, file: &str| shed.node(name, &["--config", file, "--concurrency", "1"]);
    runtime.block_on(shed.add((0..TASKS).map(|number| {
        let task = Task::new("note", &json!({ "file": "notes", "seconds": 0.05 })).unwrap();
        task.id(&format!("t{number}")).retention(std::time::Duration::from_secs(3600))
    })));

    let mut apis = [shed.node("api-0", &["--no-run"]), shed.node("api-1", &["--no-run"])];
    let commands = ["exec-0", "exec-1"].map(|name| one_by_one(name, "commands.toml"));
    let calls = ["http-0", "http-1"].map(|name| one_by_one(name, "calls.toml"));
    let mut nodes = [commands, calls];
    let both = [&apis[0], &apis[1]];
    let mut pythons = [scripted(place, "python-0", &both), scripted(place, "python-1", &both)];
    let second = [&apis[1]];
    let mut shells = [scripted(place, "shell-0", &second), scripted(place, "shell-1", &second)];
    let mut rusts = [rust(place, "rust-0", &url), rust(place, "rust-1", &url)];

    until("every kind has done something", || {
        let notes = notes(place);
        let all: Vec<_> = notes.values().flatten().collect();
        let did = |name: &str| all.iter().any(|who| who.starts_with(name));
        did("python-0") && did("shell-0") && did("exec-0") && did("http") && did("rust")
    });
    apis[0].kill();
    for pair in &mut nodes {
        pair[0].kill();
    }
    for worker in [&mut pythons[0], &mut shells[0], &mut rusts[0]] {
        worker.signal(Signal::KILL);
    }
    pythons[1].signal(Signal::STOP);
    let filter = Filter { queue: Some(QueueName::default()), ..Filter::default() };
    let list = List { filter, limit: 1000, cursor: None };
    until("every task has completed", || {
        let tasks = runtime.block_on(shed.scheduler.list(&list)).unwrap().tasks;
        tasks.iter().all(|task| task.state == TaskState::Completed)
    });
    pythons[1].signal(Signal::CONT);
    until("who slept is refused, or had nothing", || {
        let log = pythons[1].log();
        log.contains(" stale\n") || log.lines().all(|it| it.ends_with(" done"))
    });

    judge(place, pythons.iter().chain(&shells));
}

/// Every task was noted, few of them twice, and scripts did their part.
fn judge<'a>(place: &Place, scripted: impl Iterator<Item = &'a Worker>) {
    let notes = notes(place);
    let missing: Vec<_> = (0..TASKS)
        .map(|number| format!("t{number}"))
        .filter(|id| !notes.contains_key(id))
        .collect();
    assert!(missing.is_empty(), "nobody ran {missing:?}");
    let done = |log: &str| log.lines().filter(|line| line.ends_with(" done")).count();
    let accepted: usize = scripted.map(|worker| done(&worker.log())).sum();
    assert!(accepted > 0 && accepted <= TASKS, "{accepted} outcomes of scripts were accepted");
    let twice = notes.values().filter(|who| who.len() > 1).count();
    println!("{accepted} by scripts, {twice} tasks ran again after a kill");
    assert!(twice <= 8, "{twice} tasks ran twice, at most one for each that was killed or slept");
}

/// A worker that slept through its lease is told so, and the outcome of its successor stays.
#[test]
fn the_late_ack_of_a_worker_of_the_guide_is_stale() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let shed = runtime.block_on(Shed::new(&[]));
    let place = &shed.place;
    let api = shed.node("api", &["--no-run"]);
    for kind in ["python", "shell"] {
        let id = format!("{kind}-task");
        runtime.block_on(
            shed.add([Task::new("note", &json!({ "file": "notes", "seconds": 3 }))
                .unwrap()
                .id(&id)
                .retention(std::time::Duration::from_secs(3600))]),
        );
        let first = scripted(place, &format!("{kind}-first"), &[&api]);
        let mut claimed_until = None;
        until("it runs, and renews", || {
            let found = runtime.block_on(shed.scheduler.find(&id.parse().unwrap())).unwrap();
            let lease = found.and_then(|task| task.lease);
            lease.is_some_and(|lease| {
                *claimed_until.get_or_insert(lease.expires_at) < lease.expires_at
            })
        });
        first.signal(Signal::STOP);
        let second = scripted(place, &format!("{kind}-second"), &[&api]);
        runtime.block_on(shed.completed(&id));
        until("the second one is told", || second.log().contains(&format!("{id} done\n")));

        first.signal(Signal::CONT);

        until("the first one is told", || first.log().contains(&format!("{id} stale\n")));
    }
}
