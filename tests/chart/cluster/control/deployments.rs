//! Deployments: a set of replicas for each template, the newest of which takes over from the others.

use serde_json::Value;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;

use super::number;
use super::owned;
use super::owner_reference;
use crate::cluster::objects::Kept;
use crate::cluster::objects::Key;

/// By which its sets know their pods.
const HASH: &str = "pod-template-hash";

const REVISION: &str = "deployment.kubernetes.io/revision";

pub(super) fn step(kept: &mut Kept) {
    for (key, deployment) in kept.list("deployments", None) {
        let newest = newest_set(kept, &deployment);
        scale(kept, &deployment, &newest);
        let status = status(kept, &deployment, &newest);
        let revision = revision(kept.get(&newest).unwrap()).to_string();
        kept.change(&key, |changed| {
            changed["metadata"]["annotations"][REVISION] = json!(revision);
            changed["status"] = status;
        });
    }
}

/// The set of the template that is asked for, made if there is none, and marked as the latest.
fn newest_set(kept: &mut Kept, deployment: &Value) -> Key {
    let template = &deployment["spec"]["template"];
    let digest = Sha256::digest(template.to_string());
    let hash = format!("{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3]);
    let name = format!("{}-{hash}", deployment["metadata"]["name"].as_str().unwrap());
    let key = Key::new("replicasets", deployment["metadata"]["namespace"].as_str().unwrap(), &name);

    let others = owned(kept, "replicasets", deployment);
    let others = others.iter().filter(|(other, _)| *other != key);
    let latest = others.map(|(_, set)| revision(set)).max().unwrap_or(0);
    let mut set = kept.get(&key).cloned().unwrap_or_else(|| {
        let mut template = template.clone();
        template["metadata"]["labels"][HASH] = json!(hash);
        let mut selector = deployment["spec"]["selector"].clone();
        selector["matchLabels"][HASH] = json!(hash);
        json!({
            "metadata": {
                "labels": template["metadata"]["labels"],
                "ownerReferences": owner_reference(deployment),
            },
            "spec": {"replicas": 0, "selector": selector, "template": template},
        })
    });
    if revision(&set) <= latest {
        set["metadata"]["annotations"][REVISION] = json!((latest + 1).to_string());
    }
    kept.put(&key, set);
    key
}

fn revision(set: &Value) -> u64 {
    let text = set["metadata"]["annotations"][REVISION].as_str();
    text.map_or(0, |text| text.parse().unwrap())
}

/// Moves replicas from the older sets to the newest one, as fast as the strategy allows.
fn scale(kept: &mut Kept, deployment: &Value, newest: &Key) {
    let want = number(&deployment["spec"]["replicas"], 1);
    let strategy = &deployment["spec"]["strategy"];
    let rolling = &strategy["rollingUpdate"];
    let (surge, may_be_away) = match strategy["type"].as_str() {
        Some("Recreate") => (0, want),
        _ => (number(&rolling["maxSurge"], 1), number(&rolling["maxUnavailable"], 0)),
    };
    let sets = owned(kept, "replicasets", deployment);
    let asked = |set: &Value| number(&set["spec"]["replicas"], 0);
    let available = |set: &Value| number(&set["status"]["availableReplicas"], 0);
    let total: usize = sets.iter().map(|(_, set)| asked(set)).sum();

    let new = sets.iter().find(|(key, _)| key == newest).map(|(_, set)| set).unwrap();
    let room = (want + surge).saturating_sub(total);
    let grown = if asked(new) < want { want.min(asked(new) + room) } else { want };
    ask(kept, newest, grown);

    let all_available: usize = sets.iter().map(|(_, set)| available(set)).sum();
    let least = want - may_be_away.min(want);
    let mut spare = all_available.saturating_sub(least);
    let mut broken_may_go =
        total.saturating_sub(least + asked(new) - available(new).min(asked(new)));
    for (key, set) in sets.iter().filter(|(key, _)| key != newest) {
        let broken = asked(set).saturating_sub(available(set)).min(broken_may_go);
        let gone = (asked(set) - broken).min(spare);
        broken_may_go -= broken;
        spare -= gone;
        ask(kept, key, asked(set) - broken - gone);
    }
}

fn ask(kept: &mut Kept, set: &Key, replicas: usize) {
    kept.change(set, |set| set["spec"]["replicas"] = json!(replicas));
}

fn status(kept: &Kept, deployment: &Value, newest: &Key) -> Value {
    let want = number(&deployment["spec"]["replicas"], 1);
    let sets = owned(kept, "replicasets", deployment);
    let sum = |field: &str| -> usize {
        sets.iter().map(|(_, set)| number(&set["status"][field], 0)).sum()
    };
    let (replicas, available) = (sum("replicas"), sum("availableReplicas"));
    let new = &kept.get(newest).unwrap()["status"];
    let updated = number(&new["replicas"], 0);
    let is_done =
        updated == want && replicas == want && number(&new["availableReplicas"], 0) == want;
    let reason = if is_done { "NewReplicaSetAvailable" } else { "ReplicaSetUpdated" };
    let is_available = if available >= want { "True" } else { "False" };
    json!({
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": replicas,
        "updatedReplicas": updated,
        "readyReplicas": available,
        "availableReplicas": available,
        "unavailableReplicas": want.saturating_sub(available),
        "conditions": [
            {"type": "Available", "status": is_available, "reason": "MinimumReplicasAvailable"},
            {"type": "Progressing", "status": "True", "reason": reason},
        ],
    })
}
