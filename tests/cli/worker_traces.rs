//! Traces of runs by workers that claim over HTTP, and of runs of recurring tasks.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use serde_json::json;

use crate::collector::Collector;
use crate::collector::Span;
use crate::program::NodeProcess;
use crate::program::Place;
use crate::program::until;
use crate::traces::TRACE;
use crate::traces::tree;

/// Posts to a node, as a part of a trace; answers the reply.
fn post(node: &NodeProcess, path: &str, trace: &str, body: &Value) -> Value {
    let mut curl = Command::new("curl");
    curl.args(["-sf", "-H", &format!("traceparent: {trace}"), "-d", &body.to_string()]);
    let reply = curl.arg(format!("{}{path}", node.url)).output().unwrap();
    assert!(reply.status.success(), "{path} {body}: {}", node.log());
    serde_json::from_slice(&reply.stdout).unwrap()
}

/// Claims the one task that is due for bob, waiting for it.
fn claim(node: &NodeProcess) -> Value {
    let wish = json!({ "worker": "bob", "wait": "20s", "limit": 1 });
    post(node, "/v1/claims", "", &wish)["tasks"][0].take()
}

/// Hands the outcome of a claimed task back, and answers what became of that.
fn ack(node: &NodeProcess, task: &Value, outcome: &Value) -> Value {
    let path = format!("/v1/claims/{}/ack", task["lease"]["claim_id"].as_str().unwrap());
    let mut result = json!({ "task_id": task["task_id"], "fence": task["lease"]["fence"] });
    result.as_object_mut().unwrap().extend(outcome.as_object().unwrap().clone());
    post(node, &path, "", &json!({ "results": [result] }))["results"][0]["outcome"].take()
}

/// Trace context as a span has it.
fn context(span: &Span) -> String {
    format!("00-{}-{}-01", span.trace, span.id)
}

fn sending(collector: &Collector, toml: &str) -> Place {
    let mut place = Place::new(toml);
    place.set("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url);
    place
}

/// It is one trace whichever nodes the worker asks, and its attempts are linked.
#[test]
fn one_trace_leads_over_a_worker_that_asks_another_node_each_time() {
    let collector = Collector::start("grpc");
    let mut place = sending(&collector, "");
    place.set("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let (mut anna, mut otto) = (place.node(&["--name", "anna"]), place.node(&["--name", "otto"]));
    let completed = json!({ "outcome": "completed" });

    let backoff = json!({ "base": "10ms" });
    let task = json!({ "task_id": "t", "callback": "resize", "backoff": backoff });
    post(&anna, "/v1/tasks", TRACE, &task);
    let first = claim(&anna);
    let error = format!("{}no", "x".repeat(5000));
    let failed = json!({ "outcome": "failed", "error": error });
    assert_eq!(ack(&otto, &first, &failed), "done");
    assert_eq!(ack(&anna, &first, &failed), "stale");
    let second = claim(&otto);
    let below = second["traceparent"].as_str().unwrap();
    post(&anna, "/v1/tasks", below, &json!({ "callback": "notify", "queue": "default" }));
    let notify = claim(&anna);
    assert_eq!(ack(&otto, &notify, &completed), "done");
    assert_eq!(ack(&anna, &second, &completed), "done");
    assert_eq!((anna.leave(), otto.leave()), (Some(0), Some(0)), "{}", anna.log());

    let spans = collector.spans();
    let whole = "\
add
  claim
  run resize
    ack
  claim
  run resize
    add
      claim
      run notify
        ack
    ack
";
    assert_eq!(tree(&spans, &TRACE[36..52], ""), whole, "{spans:#?}");
    assert_eq!(spans.len(), whole.lines().count());
    let mut runs: Vec<_> = spans.iter().filter(|span| span.name.starts_with("run ")).collect();
    runs.sort_by_key(|run| run.start_ns);
    for (run, task) in runs.iter().zip([&first, &second, &notify]) {
        assert_eq!(task["traceparent"], context(run));
        assert_eq!(run.attributes["taskshed.fence"], task["lease"]["fence"].to_string());
        assert_eq!(run.attributes["taskshed.attempt"], task["attempt"].to_string());
        assert_eq!(run.attributes["taskshed.node"], "bob");
        assert!(run.start_ns <= run.end_ns, "{run:#?}");
    }
    let ack = spans.iter().find(|span| span.parent == runs[0].id).unwrap();
    assert_eq!(ack.attributes["taskshed.outcome"], "done");
    assert_eq!(runs[1].links, [(ack.trace.clone(), ack.id.clone())]);
    assert_eq!((runs[0].links.len(), runs[2].links.len()), (0, 0));
    let errors: Vec<_> = runs.iter().map(|run| run.error.as_deref()).collect();
    assert_eq!(errors, [Some(&error[error.len() - 4096..]), None, None]);
    assert_eq!(runs[0].attributes["taskshed.outcome"], "failed");
}

/// A recurring task outlives the trace of its add: each planned time is a trace of its own, whose first run
/// links to the add and a second attempt to the first, on a node as in a worker.
#[test]
fn runs_of_a_recurring_task_are_roots_that_link_to_its_add() {
    let collector = Collector::start("http/protobuf");
    let script = "test $TASKSHED_ATTEMPT = 2 || { echo no >&2; exit 1; }";
    let toml = format!("[handlers.beat]\nexec = [\"sh\", \"-c\", {}]\n", json!(script));
    let place = sending(&collector, &toml);
    let mut node = place.node(&["--queues", "here"]);

    for (id, queue) in [("b", "here"), ("w", "default")] {
        let mut task = json!({ "task_id": id, "callback": "beat", "queue": queue });
        task["interval"] = json!("1h");
        task["run_in"] = json!("0s");
        task["backoff"] = json!({ "base": "10ms" });
        post(&node, "/v1/tasks", TRACE, &task);
    }
    let claimed = claim(&node);
    assert_eq!(ack(&node, &claimed, &json!({ "outcome": "completed" })), "done");
    let count = |name: &str| {
        let text = Command::new("curl").args(["-sf", &format!("{}/metrics", node.url)]).output();
        let text = String::from_utf8(text.unwrap().stdout).unwrap();
        text.contains(&format!("taskshed_tasks_{name}_total{{callback=\"beat\"}} 1\n"))
    };
    until("both attempts are over", || count("failed") && count("completed"));
    assert_eq!(node.leave(), Some(0), "{}", node.log());

    let spans = collector.spans();
    let runs = |id: &str| {
        let is_of =
            |span: &&Span| span.attributes.get("taskshed.task.id").is_some_and(|it| it == id);
        let mut runs: Vec<_> = spans.iter().filter(is_of).collect();
        runs.sort_by_key(|run| run.start_ns);
        runs
    };
    let ack = |run: &Span| {
        assert_eq!((run.name.as_str(), run.parent.as_str()), ("run beat", ""));
        assert_eq!(tree(&spans, &run.id, ""), "ack\n");
        spans.iter().find(|span| span.parent == run.id).unwrap()
    };
    let added = |run: &Span| {
        let [(trace, id)] = &run.links[..] else { panic!("{run:#?}") };
        let add = spans.iter().find(|span| span.id == *id).unwrap();
        assert_eq!((add.name.as_str(), trace.as_str()), ("add", &TRACE[3..35]));
    };
    let [first, second] = runs("b")[..] else { panic!("{spans:#?}") };
    let [worker] = runs("w")[..] else { panic!("{spans:#?}") };
    added(first);
    added(worker);
    assert_eq!(second.links, [(first.trace.clone(), ack(first).id.clone())]);
    assert_eq!(
        (ack(second).trace.as_str(), ack(worker).trace.as_str()),
        (&*first.trace, &*worker.trace)
    );
    assert_eq!(second.trace, first.trace);
    assert_eq!(claimed["traceparent"], context(worker));
    let traces = BTreeSet::from([&TRACE[3..35], &first.trace, &worker.trace]);
    assert_eq!(traces.len(), 3, "{spans:#?}");
    assert_eq!(spans.len(), 2 + 2 * 2 + 2, "{spans:#?}");
}
