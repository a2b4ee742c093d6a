//! `taskshed events`: follows a node, also across cuts.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::io::copy;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Child;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use sha2::Digest;
use sha2::Sha256;

use crate::program::Place;
use crate::program::until;

/// Tasks of which no test wants to know.
const PROBE: &str = "probe";

/// The command under way. Dropping it kills it.
struct Follower {
    child: Child,
    lines: Receiver<String>,
}

impl Follower {
    /// Starts it, and adds tasks until it tells of one.
    fn start(place: &Place, server: &str, args: &[&str]) -> Self {
        let mut command = place.command(&["events", "--server", server]);
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (told, heard) = mpsc::channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| told.send(line)));
        let token = args.windows(2).find(|pair| pair[0] == "--token");
        let add = [&["add", PROBE, "--id", PROBE, "--in", "1h"], token.unwrap_or_default()];
        until("it follows", || {
            place.done(&add.concat());
            heard.recv_timeout(Duration::from_millis(50)).is_ok()
        });
        Self { child, lines: heard }
    }

    fn line(&mut self) -> String {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(30)).expect("a line");
            if !line.contains(PROBE) {
                return line;
            }
        }
    }

    fn next(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// The next event of this name.
    fn find(&mut self, name: &str) -> Value {
        loop {
            let event = self.next();
            if event["event"] == name {
                return event;
            }
        }
    }

    /// Kills it, and gives what it wrote to standard error.
    fn end(mut self) -> String {
        self.child.kill().unwrap();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Stands between the command and a node, and cuts them off.
struct Between {
    address: SocketAddr,
    target: Arc<Mutex<String>>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Between {
    fn before(node: &str) -> Self {
        let target = Arc::new(Mutex::new(String::new()));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let streams = Arc::new(Mutex::new(Vec::new()));
        let (open, behind) = (Arc::clone(&streams), Arc::clone(&target));
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let target = behind.lock().unwrap().clone();
                let Ok(far) = TcpStream::connect(target) else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    thread::spawn(move || {
                        drop(copy(&mut from, &mut to));
                        drop(to.shutdown(Shutdown::Both));
                    });
                }
                open.lock().unwrap().extend([near, far]);
            }
        });
        let between = Self { address, target, streams };
        between.lead_to(node);
        between
    }

    fn lead_to(&self, node: &str) {
        node.strip_prefix("http://").unwrap().clone_into(&mut self.target.lock().unwrap());
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn count(&self) -> usize {
        self.streams.lock().unwrap().len() / 2
    }

    fn cut(&self) {
        for stream in self.streams.lock().unwrap().iter() {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

#[test]
fn a_follower_sees_what_happens_and_misses_nothing_in_a_cut() {
    let mut place = Place::new("[handlers.quick]\nexec = [\"true\"]\n");
    let node = place.node(&["--name", "anna"]);
    place.talk_to(&node);
    let between = Between::before(&node.url);
    let mut follower = Follower::start(&place, &between.url(), &[]);
    place.done(&["add", "quick", "--id", "one"]);
    for name in ["task.added", "task.started", "task.completed"] {
        let event = follower.find(name);
        assert_eq!(event["task_id"], "one", "{event}");
        assert!(event["at"].is_string(), "{event}");
    }
    for round in 0..3 {
        between.cut();
        place.done(&["add", "quick", "--id", &format!("cut-{round}")]);
        let event = follower.next();
        assert_eq!(event["event"], "task.added", "no event is missed or comes twice: {event}");
        assert_eq!(event["task_id"], format!("cut-{round}"));
        assert_eq!(follower.next()["event"], "task.started");
        assert_eq!(follower.next()["event"], "task.completed");
        until("it follows again", || between.count() == round + 2);
    }
}

#[test]
fn a_node_that_leaves_is_followed_to_its_end_and_one_started_anew_says_reset() {
    let mut place = Place::new(
        "store = \"sqlite:tasks.db\"\n[handlers.slow]\nexec = [\"sh\", \"-c\", \"echo 1 > begun; sleep 1\"]\n",
    );
    let mut node = place.node(&["--name", "anna"]);
    place.talk_to(&node);
    let between = Between::before(&node.url);
    let mut follower = Follower::start(&place, &between.url(), &["--output", "json"]);
    place.done(&["add", "slow", "--id", "slow"]);
    assert_eq!(follower.find("task.started")["task_id"], "slow");

    assert_eq!(node.leave(), Some(0), "{}", node.log());

    assert_eq!(
        follower.find("task.completed")["task_id"],
        "slow",
        "it ended while the node drained"
    );
    assert_eq!(follower.find("node.left")["node"], "anna");
    let again = place.node(&["--name", "anna"]);
    place.talk_to(&again);
    between.lead_to(&again.url);
    assert_eq!(follower.find("reset")["event"], "reset");
    place.done(&["add", "slow", "--id", "next"]);
    assert_eq!(follower.find("task.added")["task_id"], "next");
    assert_eq!(follower.end(), "the stream was cut off; asking for it again\n");
}

#[test]
fn a_token_opens_the_stream_and_people_get_lines() {
    let hex = format!("{:x}", Sha256::digest("s3cret"));
    let mut place = Place::new(&format!(
        "store = \"memory:\"\n[auth]\ntokens = [{{ name = \"ci\", role = \"write\", sha256 = \"{hex}\" }}]\n"
    ));
    let node = place.node(&["--no-run"]);
    place.talk_to(&node);

    let without = place.run(&["events"]);
    assert_eq!(without.code, 1, "{}", without.err);
    assert!(without.err.contains("--token or TASKSHED_TOKEN"), "{}", without.err);

    let args = ["--token", "s3cret", "--output", "table"];
    let mut follower = Follower::start(&place, &node.url, &args);
    place.done(&["add", "x", "--id", "a b", "--token", "s3cret"]);
    let mut line = follower.line();
    while !line.contains("task.added") {
        line = follower.line();
    }
    assert!(line.ends_with("Z  task.added       task_id=a b"), "{line:?}");
}

#[test]
fn who_is_not_a_node_is_not_followed() {
    let place = Place::new("");
    let nobody = place.run(&["events", "--server", "http://127.0.0.1:1"]);
    assert_eq!(nobody.code, 3, "{}", nobody.err);

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let reply = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi";
        drop(stream.read(&mut [0; 1024]));
        stream.write_all(reply.as_bytes()).unwrap();
    });
    let stranger = place.run(&["events", "--server", &url]);
    assert_eq!(stranger.code, 1, "{}", stranger.err);
    assert!(stranger.err.contains("sends no events"), "{}", stranger.err);
}
