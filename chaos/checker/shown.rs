//! Lines of a history as people read them, cut to what one task has to do with them.

use serde_json::Value;

use super::history::Added;
use super::history::Call;
use super::history::Event;
use super::history::Line;
use super::history::Reply;

/// The lines that tell what happened to a task, in order; beats are left out.
pub(crate) fn story_of(lines: &[Line], task: &str) -> Vec<String> {
    let claims = claims_of(lines, task);
    let mut calls: Vec<(&str, u64)> = Vec::new();
    let mut shown = Vec::new();
    for line in lines {
        let text = match &line.event {
            Event::Invoked { call, what } => {
                let Some(text) = asked(what, task, &claims) else { continue };
                calls.push((&line.by, *call));
                format!("asks {text} (call {call})")
            }
            Event::Answered { call, reply } => {
                if !calls.contains(&(line.by.as_str(), *call)) {
                    continue;
                }
                format!("call {call} is answered {}", answered(reply, task))
            }
            Event::Started(start) if start.task == task => {
                let (attempt, fence, planned) = (start.attempt, start.fence, start.planned);
                format!("runs attempt {attempt} with fence {fence} for {planned}")
            }
            Event::Ended { task: id, fence, how } if id == task => {
                format!("has ended the run with fence {fence}: {how:?}")
            }
            Event::Dumped { now, tasks } => match tasks.iter().find(|kept| kept.task == task) {
                Some(kept) => format!("finds at {now} in the store {kept:?}"),
                None => "finds it no more in the store".to_owned(),
            },
            event => match around(event) {
                Some(text) => text,
                None => continue,
            },
        };
        let (whole, part) = (line.at / 1_000_000, line.at % 1_000_000);
        shown.push(format!("{whole}.{part:06}  {:<10} {text}", line.by));
    }
    shown
}

/// Claims that took the task.
fn claims_of<'a>(lines: &'a [Line], task: &str) -> Vec<&'a str> {
    let mut open: Vec<(&str, u64, &str)> = Vec::new();
    let mut claims = Vec::new();
    for line in lines {
        match &line.event {
            Event::Invoked { call, what: Call::Claim { claim } } => {
                open.push((&line.by, *call, claim));
            }
            Event::Answered { call, reply: Reply::Claimed { tasks, .. } } => {
                let asked = open.iter().find(|(by, number, _)| *by == line.by && number == call);
                if let Some((.., claim)) = asked
                    && tasks.iter().any(|taken| taken.task == task)
                {
                    claims.push(*claim);
                }
            }
            _ => {}
        }
    }
    claims
}

/// What a call asks of the task; `None` if nothing.
fn asked(what: &Call, task: &str, claims: &[&str]) -> Option<String> {
    match what {
        Call::Add { tasks, replaces } => {
            let spec = tasks.iter().find(|added| added.task == task)?;
            let how = if *replaces { "add, in place of another" } else { "add, unless there" };
            Some(format!("{how}: {}", spec_of(spec)))
        }
        Call::Change { action, tasks, group } => {
            let is_meant = tasks.iter().any(|id| id == task) || group.is_some();
            is_meant.then(|| match group {
                Some(group) => format!("{action:?} of all in group {group}"),
                None => format!("{action:?}"),
            })
        }
        Call::Claim { claim } => claims.contains(&claim.as_str()).then(|| format!("claim {claim}")),
        Call::Ack { items } => {
            let item = items.iter().find(|item| item.task == task)?;
            let (verdict, claim, fence) = (item.verdict, &item.claim, item.fence);
            Some(format!("ack {verdict:?} under {claim} with fence {fence}"))
        }
        Call::Reclaim { term, claim, tasks } => {
            let judged = tasks.iter().find(|judged| judged.task == task);
            let is_meant = judged.is_some() || claims.contains(&claim.as_str());
            is_meant.then(|| format!("reclaim of {claim} in term {term}: {judged:?}"))
        }
        Call::Keep { .. } | Call::Campaign | Call::Resign | Call::Duty { .. } => None,
    }
}

/// What a spec asks for beside defaults, as JSON.
fn spec_of(spec: &Added) -> String {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(spec) else { return String::new() };
    let nothing = [Value::Null, Value::Bool(false), Value::from(0)];
    fields.retain(|_, value| !nothing.contains(value));
    Value::Object(fields).to_string()
}

/// What an answer says of the task.
fn answered(reply: &Reply, task: &str) -> String {
    match reply {
        Reply::Claimed { now, tasks } => {
            let taken = tasks.iter().find(|taken| taken.task == task);
            format!("at {now} of the store: {taken:?}")
        }
        Reply::Changed { affected, missing, skipped } => {
            let is_in = |ids: &[String]| ids.iter().any(|id| id == task);
            match (is_in(missing), is_in(skipped)) {
                (true, _) => "missing".to_owned(),
                (_, true) => "skipped".to_owned(),
                _ => format!("done, {affected} tasks"),
            }
        }
        reply => format!("{reply:?}"),
    }
}

/// What happens around all tasks.
fn around(event: &Event) -> Option<String> {
    match event {
        Event::Exited { process, code, signal } => {
            Some(format!("sees {process} end: code {code:?}, signal {signal:?}"))
        }
        Event::Paused { process, from, to } => {
            Some(format!("sees {process} stand still for {} µs", to - from))
        }
        Event::Blocked { process, from, to } => {
            Some(format!("sees the handlers of {process} stand still for {} µs", to - from))
        }
        Event::Asked { process } => Some(format!("asks {process} to leave")),
        Event::Fault { fault, process, phase, .. } => {
            let on = process.as_deref().map_or(String::new(), |name| format!(" on {name}"));
            Some(format!("fault {fault}{on} {phase:?}"))
        }
        _ => None,
    }
}
