//! What the API server keeps: objects, their versions, and all that happened to them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::Value;
use serde_json::json;
use tokio::sync::watch;

/// A kind of object: the group and version it is in, its name in addresses, its name in objects.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) group_version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) name: &'static str,
}

const fn kind(group_version: &'static str, plural: &'static str, name: &'static str) -> Kind {
    Kind { group_version, plural, name }
}

/// Those that this cluster knows.
pub(crate) static KINDS: [Kind; 15] = [
    kind("v1", "namespaces", "Namespace"),
    kind("v1", "pods", "Pod"),
    kind("v1", "services", "Service"),
    kind("v1", "endpoints", "Endpoints"),
    kind("v1", "configmaps", "ConfigMap"),
    kind("v1", "secrets", "Secret"),
    kind("v1", "serviceaccounts", "ServiceAccount"),
    kind("v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
    kind("apps/v1", "deployments", "Deployment"),
    kind("apps/v1", "replicasets", "ReplicaSet"),
    kind("apps/v1", "statefulsets", "StatefulSet"),
    kind("batch/v1", "jobs", "Job"),
    kind("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget"),
    kind("autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
    kind("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy"),
];

/// Where an object is. What belongs to no namespace has an empty one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) plural: &'static str,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(plural: &'static str, namespace: &str, name: &str) -> Self {
        Self { plural, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    pub(crate) fn kind(&self) -> &'static Kind {
        KINDS.iter().find(|kind| kind.plural == self.plural).unwrap()
    }
}

/// What happened to an object, as those who watch are told.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) what: &'static str,
    pub(crate) key: Key,
    pub(crate) object: Value,
}

/// All objects, and who waits for a change of them.
#[derive(Debug)]
pub(crate) struct Objects {
    kept: Mutex<Kept>,
    changes: watch::Sender<usize>,
}

/// All objects, while nobody else touches them.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    objects: BTreeMap<Key, Value>,
    /// What helm applied last, from which follows what it applies no more.
    pub(crate) applied: BTreeMap<Key, Value>,
    /// The version of the cluster is the number of events.
    events: Vec<Event>,
}

impl Objects {
    pub(crate) fn new() -> Self {
        Self { kept: Mutex::default(), changes: watch::Sender::new(0) }
    }

    /// Reads or changes objects in one step.
    pub(crate) fn with<T>(&self, step: impl FnOnce(&mut Kept) -> T) -> T {
        let mut kept = self.kept.lock().unwrap();
        let result = step(&mut kept);
        let version = kept.events.len();
        drop(kept);
        self.changes.send_if_modified(|seen| std::mem::replace(seen, version) != version);
        result
    }

    /// Hears of changes.
    pub(crate) fn changes(&self) -> watch::Receiver<usize> {
        self.changes.subscribe()
    }

    /// Waits until the objects are so.
    pub(crate) async fn until<T>(&self, mut is_so: impl FnMut(&mut Kept) -> Option<T>) -> T {
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            if let Some(found) = self.with(&mut is_so) {
                return found;
            }
            changes.changed().await.unwrap();
        }
    }
}

impl Kept {
    pub(crate) fn version(&self) -> usize {
        self.events.len()
    }

    /// What happened after a version.
    pub(crate) fn events_since(&self, version: usize) -> &[Event] {
        &self.events[version.min(self.events.len())..]
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    /// Objects of a kind, in a namespace or in all.
    pub(crate) fn list(&self, plural: &str, namespace: Option<&str>) -> Vec<(Key, Value)> {
        let wanted = |key: &Key| {
            key.plural == plural && namespace.is_none_or(|namespace| key.namespace == namespace)
        };
        let found = self.objects.iter().filter(|(key, _)| wanted(key));
        found.map(|(key, object)| (key.clone(), object.clone())).collect()
    }

    /// All objects.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.objects.iter()
    }

    /// Keeps an object, whether it is new or not; one that did not change is no event.
    pub(crate) fn put(&mut self, key: &Key, mut object: Value) -> Value {
        let old = self.objects.get(key);
        let Kind { group_version, name, .. } = key.kind();
        object["apiVersion"] = json!(group_version);
        object["kind"] = json!(name);
        object["metadata"]["name"] = json!(key.name);
        if !key.namespace.is_empty() {
            object["metadata"]["namespace"] = json!(key.namespace);
        }
        let number = |old: &Value| old["metadata"]["generation"].as_u64();
        let generation = old.and_then(number).unwrap_or(0);
        let is_asked_anew = old.is_none_or(|old| old["spec"] != object["spec"]);
        let version = self.events.len() + 1;
        for field in ["uid", "creationTimestamp", "resourceVersion"] {
            let kept = old.map(|old| old["metadata"][field].clone());
            object["metadata"][field] = kept.unwrap_or_else(|| match field {
                "uid" => json!(format!("00000000-0000-4000-8000-{version:012}")),
                "creationTimestamp" => json!(MOMENT),
                _ => Value::Null,
            });
        }
        object["metadata"]["generation"] = json!(generation + u64::from(is_asked_anew));
        if old == Some(&object) {
            return object;
        }
        let what = if old.is_some() { "MODIFIED" } else { "ADDED" };
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        self.objects.insert(key.clone(), object.clone());
        self.events.push(Event { what, key: key.clone(), object: object.clone() });
        object
    }

    /// Changes an object that is there.
    pub(crate) fn change(&mut self, key: &Key, change: impl FnOnce(&mut Value)) {
        if let Some(mut object) = self.objects.get(key).cloned() {
            change(&mut object);
            self.put(key, object);
        }
    }

    /// Takes an object away; a pod only when its kubelet says so, until then it is marked.
    pub(crate) fn delete(&mut self, key: &Key) {
        if key.plural == "pods" {
            self.change(key, |pod| {
                let seconds = pod["spec"]["terminationGracePeriodSeconds"].as_u64();
                pod["metadata"]["deletionTimestamp"] = json!(MOMENT);
                pod["metadata"]["deletionGracePeriodSeconds"] = json!(seconds.unwrap_or(30));
            });
        } else {
            self.forget(key);
        }
    }

    /// Takes an object away.
    pub(crate) fn forget(&mut self, key: &Key) {
        self.applied.remove(key);
        if let Some(object) = self.objects.remove(key) {
            self.events.push(Event { what: "DELETED", key: key.clone(), object });
        }
    }
}

/// Moments of objects are for people, and nothing here goes by them.
const MOMENT: &str = "2026-01-01T00:00:00Z";

/// Whether labels are those that a selector of a workload asks for.
pub(crate) fn selects(selector: &Value, labels: &Value) -> bool {
    let Some(selector) = selector.as_object() else { return false };
    !selector.is_empty() && selector.iter().all(|(name, value)| labels[name] == *value)
}

/// Whether an object was told to go.
pub(crate) fn is_leaving(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

/// Whether a pod is ready.
pub(crate) fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.is_some_and(|conditions| {
        conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
    })
}
