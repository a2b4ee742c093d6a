//! Jobs: a pod that must end well once, and a new one for each that did not.

use serde_json::json;

use super::create_pod;
use super::number;
use super::owned;
use crate::cluster::objects::Kept;

pub(super) fn step(kept: &mut Kept) {
    for (key, job) in kept.list("jobs", None) {
        if !job["status"]["conditions"].is_null() {
            continue;
        }
        let pods = owned(kept, "pods", &job);
        let count =
            |phase: &str| pods.iter().filter(|(_, pod)| pod["status"]["phase"] == phase).count();
        let (succeeded, failed) = (count("Succeeded"), count("Failed"));
        let end = if succeeded > 0 {
            Some("Complete")
        } else if failed > number(&job["spec"]["backoffLimit"], 6) {
            Some("Failed")
        } else {
            None
        };
        if end.is_none() && pods.len() == failed {
            create_pod(kept, &job, &format!("{}-{failed}", key.name));
        }
        kept.change(&key, |changed| {
            changed["status"] = json!({"succeeded": succeeded, "failed": failed});
            changed["status"]["startTime"] = job["metadata"]["creationTimestamp"].clone();
            if let Some(end) = end {
                changed["status"]["conditions"] = json!([{"type": end, "status": "True"}]);
            }
        });
    }
}
