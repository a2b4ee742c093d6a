//! Sets of replicas: as many pods as are asked for. A `StatefulSet` is one whose pods have numbers; the chart
//! never asks for more than one there.

use serde_json::json;

use super::create_pod;
use super::number;
use super::owned;
use crate::cluster::objects::Kept;
use crate::cluster::objects::Key;
use crate::cluster::objects::is_ready;

pub(super) fn step(kept: &mut Kept) {
    for plural in ["replicasets", "statefulsets"] {
        for (key, set) in kept.list(plural, None) {
            let is_numbered = plural == "statefulsets";
            let mut pods = owned(kept, "pods", &set);
            let want = number(&set["spec"]["replicas"], 1);
            for at in pods.len()..want {
                let mark = if is_numbered { at } else { kept.version() };
                let name = format!("{}-{mark}", key.name);
                // A pod with a number waits until the last one of that number has gone.
                if kept.get(&Key::new("pods", &key.namespace, &name)).is_none() {
                    create_pod(kept, &set, &name);
                }
            }
            // Those that are not ready go first, then the youngest.
            pods.sort_by_key(|(pod, object)| (!is_ready(object), age(kept, pod)));
            let surplus = pods.len().saturating_sub(want);
            for (pod, _) in pods.iter().rev().take(surplus) {
                kept.delete(pod);
            }

            let pods = owned(kept, "pods", &set);
            let ready = pods.iter().filter(|(_, pod)| is_ready(pod)).count();
            kept.change(&key, |changed| {
                changed["status"] = json!({
                    "observedGeneration": set["metadata"]["generation"],
                    "replicas": pods.len(),
                    "readyReplicas": ready,
                    "availableReplicas": ready,
                    "currentReplicas": pods.len(),
                    "updatedReplicas": pods.len(),
                });
            });
        }
    }
}

/// The version of the cluster when a pod was made, which its identity holds.
fn age(kept: &Kept, pod: &Key) -> String {
    kept.get(pod).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned()
}
