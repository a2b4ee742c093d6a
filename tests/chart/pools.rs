//! Pools of pods: each has what is its own, and the rest from the chart.

use serde_json::Value;

use crate::fields::field;
use crate::helm::KEDA_IN_CLUSTER;
use crate::helm::Objects;
use crate::helm::objects;
use crate::helm::rendered;
use crate::helm::template;
use crate::helm::variable;

const STORE: &str = "store.existingSecret=s,auth.insecure=true";

#[test]
fn a_pool_has_its_own_over_those_of_all() {
    let set = format!(
        "{STORE},concurrency=9,pools.gpu.queues={{gpu=3,big}},pools.gpu.concurrency=1,\
         pools.gpu.leader=false,pools.gpu.replicas=0,pools.gpu.resources.limits.memory=4Gi,\
         pools.gpu.image.tag=cuda,image.digest=sha256:{}",
        "a".repeat(64)
    );
    let made = rendered(&set);

    let (usual, gpu) = (made.get("Deployment", "shed"), made.get("Deployment", "shed-gpu"));
    for (name, all, own) in [
        ("TASKSHED_QUEUES", "default", "gpu=3,big"),
        ("TASKSHED_CONCURRENCY", "9", "1"),
        ("TASKSHED_LEADER", "true", "false"),
        ("TASKSHED_RUN", "true", "true"),
    ] {
        assert_eq!(variable(usual, name)["value"], all);
        assert_eq!(variable(gpu, name)["value"], own);
    }
    assert_eq!((&usual["spec"]["replicas"], &gpu["spec"]["replicas"]), (&2.into(), &0.into()));
    let container =
        |of: &serde_json::Value| of["spec"]["template"]["spec"]["containers"][0].clone();
    assert_eq!(container(gpu)["resources"]["limits"]["memory"], "4Gi");
    assert_eq!(container(gpu)["resources"]["requests"]["memory"], "64Mi");
    assert_eq!(container(gpu)["image"], "taskshed:cuda", "a digest is that of one image");
    assert!(container(usual)["image"].as_str().unwrap().starts_with("taskshed@sha256:"));
}

/// Two Deployments that select each other's pods would fight over them.
#[test]
fn each_pool_selects_its_own_pods_and_the_service_all() {
    let made = rendered(&format!("{STORE},pools.gpu.queues={{gpu}}"));
    let service = made.get("Service", "shed")["spec"]["selector"].as_object().unwrap();
    let mut selectors = Vec::new();

    for name in ["shed", "shed-gpu"] {
        let pool = made.get("Deployment", name);
        let labels = pool["spec"]["template"]["metadata"]["labels"].as_object().unwrap();
        assert!(service.iter().all(|(label, value)| labels.get(label) == Some(value)), "{name}");
        let selector = &pool["spec"]["selector"];
        assert_eq!(&made.get("PodDisruptionBudget", name)["spec"]["selector"], selector);
        let spread = &pool["spec"]["template"]["spec"]["topologySpreadConstraints"];
        assert!(spread.as_array().unwrap().iter().all(|each| &each["labelSelector"] == selector));
        let chosen = selector["matchLabels"].as_object().unwrap();
        assert!(chosen.iter().all(|(label, value)| labels.get(label) == Some(value)), "{name}");
        selectors.push(selector.clone());
    }
    assert_ne!(selectors[0], selectors[1]);
}

/// Who scales does so alone: a number of replicas in the release would undo it at each upgrade.
#[test]
fn a_scaled_pool_has_no_number_of_its_own() {
    let set = format!(
        "{STORE},pools.cpu.autoscaling.enabled=true,pools.io.keda.enabled=true,pools.io.queues={{a=2,b}}"
    );
    let made = Objects(objects(&template("helm4", &set, &KEDA_IN_CLUSTER).unwrap()));

    assert!(field(made.get("Deployment", "shed-cpu"), "/spec/replicas").is_null());
    let cpu = &made.get("HorizontalPodAutoscaler", "shed-cpu")["spec"];
    assert_eq!(cpu["scaleTargetRef"]["name"], "shed-cpu");
    assert_eq!(cpu["metrics"][0]["resource"]["target"]["averageUtilization"], 70);

    assert!(field(made.get("Deployment", "shed-io"), "/spec/replicas").is_null());
    let io = made.get("ScaledObject", "shed-io");
    assert_eq!(field(io, "/spec/triggers").as_array().unwrap().len(), 1);
    let asked = field(io, "/spec/triggers/0/metadata");
    assert_eq!(asked["url"], "http://shed.jobs.svc:8090/v1/queues?queue=a&queue=b");
    assert_eq!(asked["valueLocation"], "backlog");
    assert!(made.find("HorizontalPodAutoscaler", "shed").is_none());
}

/// A pod is worth as many tasks as it runs at once, so full pods are not too many.
#[test]
fn a_pool_scales_by_what_it_can_run() {
    let scaled = |more: &str| {
        let set = format!("{STORE},keda.enabled=true{more}");
        let made = Objects(objects(&template("helm4", &set, &KEDA_IN_CLUSTER).unwrap()));
        made.get("ScaledObject", "shed").clone()
    };

    let one = scaled(",concurrency=8");
    assert_eq!(one["spec"]["triggers"][0]["metadata"]["targetValue"], "8");
    let own = scaled(",keda.tasksPerReplica=500");
    assert_eq!(own["spec"]["triggers"][0]["metadata"]["targetValue"], "500");
}

/// KEDA trusts the authorities that it was told, so a certificate of another one needs a word.
#[test]
fn keda_looks_at_the_certificate_unless_told_otherwise() {
    let trigger = |more: &str| {
        let set = format!("{STORE},keda.enabled=true{more}");
        let made = Objects(objects(&template("helm4", &set, &KEDA_IN_CLUSTER).unwrap()));
        let scaled = made.get("ScaledObject", "shed");
        let place = "/spec/triggers/0/metadata";
        (field(scaled, place)["url"].clone(), field(scaled, &format!("{place}/unsafeSsl")).clone())
    };
    let looks = trigger(",tls.existingSecret=t");
    assert_eq!(looks, ("https://shed.jobs.svc:8090/v1/queues?queue=default".into(), Value::Null));
    let trusts = trigger(",tls.existingSecret=t,keda.unsafeSsl=true");
    assert_eq!(trusts.1, "true");
    assert_eq!(trigger(",keda.unsafeSsl=true").1, Value::Null);
}
