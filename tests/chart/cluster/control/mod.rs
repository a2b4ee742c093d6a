//! What the controllers of Kubernetes do, as far as the chart needs them. Each step looks at all objects
//! and changes what is not yet as it should be, until nothing changes any more.

mod deployments;
mod jobs;
mod replicas;
mod services;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;

use super::objects::Kept;
use super::objects::Key;
use super::objects::Objects;
use super::objects::is_leaving;

pub(crate) use services::Routes;
pub(crate) use services::addresses;

/// How often the controllers look, for what time alone changes.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Controls until nobody waits for it any more.
pub(crate) async fn control(objects: Arc<Objects>, mut routes: Routes) {
    let mut changes = objects.changes();
    loop {
        changes.mark_unchanged();
        let now = SystemClock.steady();
        objects.with(|kept| {
            deployments::step(kept);
            replicas::step(kept);
            jobs::step(kept);
            budgets(kept);
            routes.step(kept, now);
            collect_garbage(kept);
        });
        tokio::select! {
            changed = changes.changed() => changed.unwrap(),
            () = SystemClock.sleep(LOOK_EVERY) => {}
        }
    }
}

/// Objects of a kind that an object owns, without those that go.
fn owned(kept: &Kept, plural: &'static str, owner: &Value) -> Vec<(Key, Value)> {
    let namespace = owner["metadata"]["namespace"].as_str();
    let mut found = kept.list(plural, namespace);
    found.retain(|(_, object)| {
        let uid = object.pointer("/metadata/ownerReferences/0/uid");
        uid == Some(&owner["metadata"]["uid"]) && !is_leaving(object)
    });
    found
}

/// Says in an object who owns it.
fn owner_reference(owner: &Value) -> Value {
    json!([{
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": true,
        "blockOwnerDeletion": true,
    }])
}

/// Makes a pod from the template of its owner.
fn create_pod(kept: &mut Kept, owner: &Value, name: &str) {
    let mut pod = owner["spec"]["template"].clone();
    pod["metadata"]["ownerReferences"] = owner_reference(owner);
    let namespace = owner["metadata"]["namespace"].as_str().unwrap();
    kept.put(&Key::new("pods", namespace, name), pod);
}

/// What owns a pod that is there no more takes it along.
fn collect_garbage(kept: &mut Kept) {
    let is_there = |uid: &Value| kept.all().any(|(_, object)| object["metadata"]["uid"] == *uid);
    let orphans: Vec<_> = kept
        .all()
        .filter(|(_, object)| !is_leaving(object))
        .filter(|(_, object)| {
            let owner = object.pointer("/metadata/ownerReferences/0/uid");
            owner.is_some_and(|uid| !is_there(uid))
        })
        .map(|(key, _)| key.clone())
        .collect();
    for key in orphans {
        kept.delete(&key);
    }
}

/// Helm waits until budgets are looked at. Nobody here asks them.
fn budgets(kept: &mut Kept) {
    for (key, budget) in kept.list("poddisruptionbudgets", None) {
        kept.change(&key, |changed| {
            changed["status"] = json!({
                "observedGeneration": budget["metadata"]["generation"],
                "currentHealthy": 1, "desiredHealthy": 0, "disruptionsAllowed": 1, "expectedPods": 1,
            });
        });
    }
}

/// A whole number of an object, or another if it says none.
fn number(value: &Value, otherwise: usize) -> usize {
    value.as_u64().map_or(otherwise, |number| usize::try_from(number).unwrap())
}
