//! Histories written by hand.

use serde_json::Value;
use serde_json::json;

use crate::checker::Judgement;
use crate::checker::check;
use crate::checker::history;
use crate::checker::history::Line;
use crate::checker::report::told;

/// A history in the making. Moments are given in ms; the store's clock shows the same.
#[derive(Default)]
pub(crate) struct Hand {
    text: String,
    calls: u64,
}

impl Hand {
    /// With a lease of two seconds and terms of ten.
    pub(crate) fn new() -> Self {
        let setting = json!({
            "event": "setting", "format": 1, "store": "memory", "scenario": "hand", "seed": 1,
            "lease_us": 2_000_000, "term_us": 10_000_000,
        });
        let mut hand = Self::default();
        hand.see(0, "chaos", setting);
        hand
    }

    /// Any event.
    pub(crate) fn see(&mut self, ms: u64, by: &str, mut event: Value) {
        event["at"] = json!(ms * 1000);
        event["by"] = json!(by);
        self.text.push_str(&event.to_string());
        self.text.push('\n');
    }

    /// A call, without its answer yet; answers its number.
    pub(crate) fn ask(&mut self, ms: u64, by: &str, what: Value) -> u64 {
        self.calls += 1;
        self.see(ms, by, json!({"event": "invoked", "call": self.calls, "what": what}));
        self.calls
    }

    /// A call, answered a millisecond later.
    pub(crate) fn call(&mut self, ms: u64, by: &str, what: Value, reply: Value) {
        let call = self.ask(ms, by, what);
        self.see(ms + 1, by, json!({"event": "answered", "call": call, "reply": reply}));
    }

    /// An add that is answered as created; `more` goes into the spec.
    pub(crate) fn add(&mut self, ms: u64, task: &str, more: Value) {
        let mut spec = json!({
            "task": task, "max_attempts": 3, "retention_us": 3_600_000_000_u64,
        });
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        let what = json!({"method": "add", "tasks": [spec], "replaces": true});
        self.call(ms, "client", what, json!({"how": "added", "outcomes": ["created"]}));
    }

    /// A change by id that is answered as done.
    pub(crate) fn change(&mut self, ms: u64, action: &str, task: &str) {
        let what = json!({"method": "change", "action": action, "tasks": [task], "group": null});
        let reply = json!({"how": "changed", "affected": 1, "missing": [], "skipped": []});
        self.call(ms, "client", what, reply);
    }

    /// A claim that takes a task planned for moment 0; its id is the fence with a `c`.
    pub(crate) fn claim(&mut self, ms: u64, by: &str, task: &str, fence: u64) {
        self.claim_as(ms, by, (task, fence), json!({}));
    }

    /// The same with more about the task.
    pub(crate) fn claim_as(&mut self, ms: u64, by: &str, (task, fence): (&str, u64), more: Value) {
        let mut taken = json!({
            "task": task, "fence": fence, "planned": 0, "run_at": 0, "attempt": 1, "crashes": 0,
        });
        for (key, value) in more.as_object().unwrap() {
            taken[key] = value.clone();
        }
        let what = json!({"method": "claim", "claim": format!("c{fence}")});
        self.call(ms, by, what, json!({"how": "claimed", "now": ms * 1000, "tasks": [taken]}));
    }

    /// An ack under the claim of that fence.
    pub(crate) fn ack(
        &mut self,
        ms: u64,
        by: &str,
        task: &str,
        (fence, verdict, done): (u64, &str, bool),
    ) {
        let item =
            json!({"task": task, "claim": format!("c{fence}"), "fence": fence, "verdict": verdict});
        let reply = json!({"how": "acked", "done": [done]});
        self.call(ms, by, json!({"method": "ack", "items": [item]}), reply);
    }

    /// A reclaim of the claim of that fence, which takes the task back.
    pub(crate) fn reclaim(&mut self, ms: u64, by: &str, task: &str, (fence, term): (u64, u64)) {
        let judged = json!({"task": task, "verdict": "reclaim"});
        let what = json!({
            "method": "reclaim", "term": term, "claim": format!("c{fence}"), "tasks": [judged],
        });
        self.call(ms, by, what, json!({"how": "led", "taken": 1}));
    }

    /// A run from one moment to another.
    pub(crate) fn run(&mut self, (from, to): (u64, u64), by: &str, task: &str, fence: u64) {
        self.start(from, by, task, (fence, 1));
        self.see(
            to,
            by,
            json!({"event": "ended", "task": task, "fence": fence, "how": "completed"}),
        );
    }

    /// The start of a run.
    pub(crate) fn start(&mut self, ms: u64, by: &str, task: &str, (fence, attempt): (u64, u32)) {
        let start = json!({
            "event": "started", "task": task, "planned": 0, "attempt": attempt, "fence": fence,
            "stoppable": true,
        });
        self.see(ms, by, start);
    }

    /// Claim, run and accepted completion, 10 ms each.
    pub(crate) fn complete(&mut self, ms: u64, by: &str, task: &str, fence: u64) {
        self.claim(ms, by, task, fence);
        self.run((ms + 10, ms + 20), by, task, fence);
        self.ack(ms + 30, by, task, (fence, "completed", true));
    }

    /// A campaign that shows this term.
    pub(crate) fn campaign(&mut self, ms: u64, by: &str, (term, own): (u64, bool)) {
        let reply = json!({"how": "leads", "now": ms * 1000, "term": term, "own": own});
        self.call(ms, by, json!({"method": "campaign"}), reply);
    }

    /// The end of a process, by a code or by SIGKILL.
    pub(crate) fn exit(&mut self, ms: u64, process: &str, code: Option<i32>) {
        let signal = if code.is_some() { None } else { Some(9) };
        let exit = json!({"event": "exited", "process": process, "code": code, "signal": signal});
        self.see(ms, "chaos", exit);
    }

    /// What the store holds at the end: ids with states.
    pub(crate) fn dump(&mut self, ms: u64, tasks: &[(&str, &str)]) {
        let kept =
            |(task, state): &(&str, &str)| json!({"task": task, "state": state, "run_at": 0});
        let tasks: Vec<_> = tasks.iter().map(kept).collect();
        self.see(ms, "chaos", json!({"event": "dumped", "now": ms * 1000, "tasks": tasks}));
    }

    /// What the checker says.
    pub(crate) fn judged(&self) -> (Judgement, Vec<Line>) {
        let mut lines = history::read(self.text.as_bytes()).unwrap();
        let judgement = check(&mut lines);
        (judgement, lines)
    }

    /// Nothing is wrong.
    #[track_caller]
    pub(crate) fn holds(&self) -> Judgement {
        let (judgement, lines) = self.judged();
        assert!(judgement.violations.is_empty(), "{}", told(&judgement, &lines));
        judgement
    }

    /// This invariant alone does not hold, and the explanation is short and names what is to be seen.
    #[track_caller]
    pub(crate) fn breaks(&self, id: &str, seen: &str) {
        let (judgement, lines) = self.judged();
        let text = told(&judgement, &lines);
        assert!(!judgement.violations.is_empty(), "nothing was found\n{text}");
        assert!(judgement.violations.iter().all(|found| found.id == id), "{text}");
        assert!(text.contains(seen), "{seen} is not in\n{text}");
        assert!(text.lines().count() < 60, "{text}");
    }
}
