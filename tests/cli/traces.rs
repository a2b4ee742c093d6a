//! Traces, from an add to the last handler, as a collector sees them.

use std::io::BufReader;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;

use crate::collector::Collector;
use crate::collector::PROTOCOLS;
use crate::collector::Span;
use crate::collector::request;
use crate::program::Place;
use crate::program::Ran;
use crate::program::until;

const PROGRAM: &str = env!("CARGO_BIN_EXE_taskshed");

pub(crate) const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Runs `taskshed add` as a part of a trace, and answers what the handler printed.
fn added_in(place: &Place, trace: &str) -> String {
    let mut command = place.command(&["add", "tell", "--wait"]);
    command.env("TRACEPARENT", trace);
    let ran = Ran::of(command);
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.out
}

#[test]
fn a_command_runs_in_the_trace_of_the_add() {
    let mut place = Place::new(
        "[handlers.tell]\nexec = [\"sh\", \"-c\", \"printf '[\\\"%s\\\"]' \\\"${TRACEPARENT-none}\\\"\"]\n",
    );
    let node = place.node(&[]);
    place.talk_to(&node);

    assert_eq!(added_in(&place, TRACE), format!("[\"{TRACE}\"]\n"));
    assert_eq!(added_in(&place, "nonsense"), "[\"none\"]\n");
    assert_eq!(place.done(&["add", "tell", "--wait"]), "[\"none\"]");
}

/// An endpoint that keeps the trace context of each request.
fn endpoint() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heard);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while let Some((head, _)) = request(&mut reader) {
                let trace = head.split("traceparent: ").nth(1).unwrap_or_default();
                kept.lock().unwrap().push(trace.split("\r\n").next().unwrap().to_owned());
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            }
        }
    });
    (url, heard)
}

/// The first block of the guide in this language.
fn block(language: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/traces.md");
    let text = std::fs::read_to_string(path).unwrap();
    let block = text.split(&format!("```{language}\n")).nth(1).unwrap();
    block.split("```").next().unwrap().to_owned()
}

/// The spans beneath another one by name, indented, in the order in which they began.
pub(crate) fn tree(spans: &[Span], parent: &str, indent: &str) -> String {
    told(spans, parent, indent, &|name, _| name)
}

/// The same with the service that told of each span, which of its nodes, and what it told.
fn story(spans: &[Span], parent: &str) -> String {
    told(spans, parent, "", &|name, span| {
        let facts = ["tasks", "task.id", "queue", "attempt", "outcome"];
        let facts = facts.iter().filter_map(|name| {
            let fact = span.attributes.get(&format!("taskshed.{name}"))?;
            Some(format!(" {name}={fact}"))
        });
        format!("{name:<20}{}/{} {}", span.service, span.instance, facts.collect::<String>())
    })
}

fn told(
    spans: &[Span],
    parent: &str,
    indent: &str,
    line: &dyn Fn(String, &Span) -> String,
) -> String {
    let mut found: Vec<_> = spans.iter().filter(|span| span.parent == parent).collect();
    found.sort_by_key(|span| span.start_ns);
    let lines = found.iter().map(|span| {
        let below = told(spans, &span.id, &format!("{indent}  "), line);
        format!("{}\n{below}", line(format!("{indent}{}", span.name), span))
    });
    lines.collect()
}

/// The trace of an add reaches a command, which adds a task for an endpoint: all of it is one trace.
#[test]
fn one_trace_leads_from_an_add_over_a_command_to_an_endpoint() {
    for protocol in PROTOCOLS {
        one_trace(protocol);
    }
}

fn one_trace(protocol: &str) {
    let collector = Collector::start(protocol);
    let (url, heard) = endpoint();
    let script = format!("'{PROGRAM}' add notify --id second --server \"$(cat url)\"");
    let mut place = Place::new(&format!(
        "[handlers.resize]\nexec = [\"sh\", \"-ec\", {}]\n[handlers.notify]\nhttp = \"{url}\"\n",
        serde_json::json!(script)
    ));
    place.set("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url);
    place.set("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
    let mut node = place.node(&["--name", "anna"]);
    place.talk_to(&node);
    std::fs::write(place.path("url"), &node.url).unwrap();

    let mut add = Command::new("python3");
    add.args(["-c", &block("python")]).env("TRACEPARENT", TRACE).env("TASKSHED_SERVER", &node.url);
    assert!(add.status().unwrap().success());
    until("the endpoint was asked", || !heard.lock().unwrap().is_empty());
    assert_eq!(node.leave(), Some(0), "{}", node.log());

    let spans = collector.spans();
    for span in &spans {
        assert_eq!(span.trace, &TRACE[3..35], "{span:#?}");
        assert_eq!(span.service, "taskshed");
        assert!(span.start_ns <= span.end_ns, "{span:#?}");
        assert_eq!(span.error, None, "{span:#?}");
    }
    assert_eq!(story(&spans, &TRACE[36..52]), block("text"));
    let find = |wanted: &str| spans.iter().find(|span| span.name == wanted).unwrap();
    let notify = find("run notify");
    let ack = spans.iter().find(|span| span.parent == notify.id).unwrap();
    assert_eq!(*heard.lock().unwrap(), [format!("00-{}-{}-01", notify.trace, notify.id)]);
    assert_eq!(ack.attributes["taskshed.outcome"], "done");
    let facts = [("attempt", "1"), ("node", "anna"), ("queue", "default"), ("callback", "notify")];
    for (name, value) in facts.into_iter().chain([("task.id", "second"), ("outcome", "completed")])
    {
        assert_eq!(notify.attributes[&format!("taskshed.{name}")], value);
    }
    assert!(notify.attributes["taskshed.fence"].parse::<u64>().unwrap() > 0);
}

/// A second attempt links to the ack of the first one, in the same trace.
#[test]
fn an_attempt_links_to_the_failed_one_before_it() {
    let collector = Collector::start("http/protobuf");
    let script = "test $TASKSHED_ATTEMPT = 3 || { echo no >&2; exit 1; }";
    let mut place = Place::new(&format!(
        "[handlers.try]\nexec = [\"sh\", \"-c\", {}]\n",
        serde_json::json!(script)
    ));
    place.set("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url);
    let mut node = place.node(&["--log-format", "json", "-v"]);
    place.talk_to(&node);
    let backoff = r#"{"base":"10ms"}"#;
    let task =
        format!(r#"{{"task_id":"t","callback":"try","retention":"1h","backoff":{backoff}}}"#);
    let mut add = Command::new("curl");
    add.args(["-sf", "-H", "content-type: application/json", "-d", &task]);
    add.args(["-H", &format!("traceparent: {TRACE}"), &format!("{}/v1/tasks", node.url)]);
    assert!(add.stdout(Stdio::null()).status().unwrap().success());
    place.wait_for("t", "completed");
    assert_eq!(node.leave(), Some(0), "{}", node.log());

    let spans = collector.spans();
    let mut runs: Vec<_> = spans.iter().filter(|span| span.name == "run try").collect();
    runs.sort_by_key(|run| run.start_ns);
    let ack = |run: &Span| spans.iter().find(|span| span.parent == run.id).unwrap().id.clone();
    let trace = TRACE[3..35].to_owned();
    assert_eq!(runs.len(), 3, "{spans:#?}");
    assert_eq!(runs[0].links, []);
    for pair in runs.windows(2) {
        assert_eq!(pair[1].links, [(trace.clone(), ack(pair[0]))], "{spans:#?}");
        assert_eq!(pair[1].parent, pair[0].parent);
        assert_eq!(pair[0].error.as_deref(), Some("no"));
    }

    let ended = |line: &serde_json::Value| line["fields"]["message"] == "a run ended";
    let log = node.log();
    let lines: Vec<_> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let lines: Vec<_> = lines.iter().filter(|line| ended(line)).collect();
    assert_eq!(lines.len(), 3, "{log}");
    for (line, attempt) in lines.iter().zip(1..) {
        let run = &line["spans"][0];
        assert_eq!((&run["task.id"], &run["trace.id"]), (&"t".into(), &trace.clone().into()));
        assert_eq!(run["task.attempt"], attempt);
    }
}
