//! What a server says about itself.

use std::collections::HashMap;

use redis::Value;

use crate::store::Error;
use crate::store::Result;
use crate::store::redis::failure::read;
use crate::store::redis::link::Link;

/// What the server says about itself.
pub(super) struct Info(HashMap<String, String>);

impl Info {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// How many replicas have caught up and follow.
    pub(super) fn replica_count(&self) -> u64 {
        let replicas = self.0.iter().filter(|(name, _)| {
            name.strip_prefix("slave").is_some_and(|rest| rest.parse::<u32>().is_ok())
        });
        replicas.filter(|(_, told)| told.contains("state=online")).count() as u64
    }

    pub(super) fn number(&self, name: &str) -> u64 {
        self.text(name).and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

/// `None` if the user may not ask.
pub(super) async fn info(link: &Link, method: &'static str) -> Result<Option<Info>> {
    let Some(answer) = allowed(link.send(method, &redis::cmd("INFO")).await)? else {
        return Ok(None);
    };
    let text: String = read(method, answer)?;
    let lines = text.lines().filter_map(|line| line.trim_end().split_once(':'));
    Ok(Some(Info(lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())))
}

/// Settings by name; empty where the server does not tell them, as managed ones do.
pub(in crate::store::redis) async fn settings(link: &Link) -> Result<HashMap<String, String>> {
    let mut ask = redis::cmd("CONFIG");
    ask.arg("GET").arg("appendfsync").arg("save").arg("cluster-*");
    match allowed(link.send("check", &ask).await)? {
        Some(answer) => read("check", answer),
        None => Ok(HashMap::new()),
    }
}

/// `None` if the server refuses to answer this user, or at all.
fn allowed(answer: Result<Value>) -> Result<Option<Value>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(Error::Unusable { problem })
            if ["NOPERM", "unknown command", "No permission", "no permissions"]
                .iter()
                .any(|sign| problem.contains(sign)) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
