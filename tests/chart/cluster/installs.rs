//! A release from its first installation to its end, with both helms.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::helm::HELMS;
use crate::helm::chart;

use super::Cluster;
use super::NAMESPACE;
use super::RELEASE;
use super::STORE;
use super::TOKEN;
use super::objects::Key;
use super::objects::is_ready;

/// How long services lead to a pod that leaves.
pub(super) const LAG: Duration = Duration::from_secs(2);

/// A handler that the image itself brings.
pub(super) const HANDLER: &str = "handlers.echo.exec={/usr/bin/taskshed,--version}";

/// How long the tests let helm wait for what never comes.
pub(super) const IMPATIENCE: &str = "10s";

#[tokio::test(flavor = "multi_thread")]
async fn helm_3_installs_upgrades_rolls_back_and_uninstalls() {
    a_release_lives_and_ends("helm3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_4_installs_upgrades_rolls_back_and_uninstalls() {
    a_release_lives_and_ends("helm4").await;
}

async fn a_release_lives_and_ends(helm: &str) {
    let cluster = Cluster::start(LAG).await;
    let values = format!("{STORE},{HANDLER}");

    cluster.release(helm, "install", "v1", &values).await;
    let first = cluster.ready();
    assert_eq!(first.len(), 2);
    runs_a_task(&cluster, "first").await;
    let tested = cluster.helm(helm, &["test", RELEASE]).await;
    assert!(tested.contains("Succeeded"), "{tested}");

    cluster.release(helm, "upgrade", "v2", &values).await;
    cluster.settled().await;
    let second = cluster.ready();
    assert_eq!(second.len(), 2);
    assert!(first.iter().all(|pod| !second.contains(pod)), "{first:?} {second:?}");
    assert!(images(&cluster).iter().all(|image| image.ends_with(":v2")));
    runs_a_task(&cluster, "second").await;

    cluster.helm(helm, &["rollback", RELEASE, "1", "--wait", "--timeout", "90s"]).await;
    cluster.settled().await;
    assert!(images(&cluster).iter().all(|image| image.ends_with(":v1")));
    runs_a_task(&cluster, "third").await;
    let history = cluster.helm(helm, &["history", RELEASE, "--output", "json"]).await;
    let history: Vec<Value> = serde_json::from_str(&history).unwrap();
    assert_eq!(history.last().unwrap()["description"], "Rollback to 1");

    cluster.helm(helm, &["uninstall", RELEASE, "--wait", "--timeout", "90s"]).await;
    cluster.settled().await;
    let left = cluster.objects.with(|kept| {
        kept.all().map(|(key, _)| format!("{} {}", key.plural, key.name)).collect::<Vec<_>>()
    });
    assert_eq!(left, ["namespaces jobs", "secrets client", "secrets store", "secrets tokens"]);
    let departures = cluster.departures();
    for pod in first.iter().chain(&second) {
        assert!(departures.iter().any(|departure| departure.pod == *pod), "{pod}: {departures:?}");
    }
    for departure in departures {
        assert_eq!(departure.code, 0, "{departure:?}\n{}", cluster.logs());
        assert!(departure.took < departure.grace, "{departure:?}");
    }
}

/// Pods of a release that works go when those of the next one are ready, so never here.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_never_gets_ready_replaces_nothing() {
    for helm in HELMS {
        let cluster = Cluster::start(LAG).await;
        let values = format!("{STORE},{HANDLER}");
        cluster.release(helm, "install", "v1", &values).await;
        let first = cluster.ready();

        let broken = format!("{values},image.tag=none,migration.enabled=false");
        let chart = chart();
        let args =
            ["upgrade", RELEASE, chart.to_str().unwrap(), "--reuse-values", "--set", &broken];
        let args = [&args[..], &["--wait", "--timeout", IMPATIENCE]].concat();
        let (is_content, said) = cluster.try_helm(helm, &args).await;

        assert!(!is_content, "{said}");
        assert_eq!(cluster.ready(), first);
        runs_a_task(&cluster, "still").await;
        cluster.helm(helm, &["rollback", RELEASE, "--wait", "--timeout", "90s"]).await;
        cluster.settled().await;
        assert_eq!(cluster.ready(), first, "{helm}: what worked was touched");
    }
}

/// One pod with a file: what it keeps is there again when the pod is another.
#[tokio::test(flavor = "multi_thread")]
async fn a_trial_keeps_its_tasks_when_its_pod_goes() {
    let cluster = Cluster::start(LAG).await;
    let values = format!("store.embedded=true,auth.insecure=true,{HANDLER}");
    cluster.release("helm4", "install", "v1", &values).await;
    assert_eq!(cluster.ready(), ["shed-0"]);
    runs_a_task(&cluster, "first").await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let task = json!({"task_id": "later", "callback": "echo", "run_in": "1h"});
    let added = client.post(cluster.url("/v1/tasks")).json(&task).send().await.unwrap();
    assert_eq!(added.status(), 201);

    let uid = |pod: &Value| pod["metadata"]["uid"].clone();
    let before = uid(&cluster.pods()[0]);
    let pod = Key::new("pods", NAMESPACE, "shed-0");
    cluster.objects.with(|kept| kept.delete(&pod));
    let is_another = |pod: &Value| uid(pod) != before && is_ready(pod);
    cluster.until("another pod is ready", || cluster.pods().iter().any(is_another)).await;

    let kept = client.get(cluster.url("/v1/tasks/later")).send().await.unwrap();
    let kept: Value = kept.json().await.unwrap();
    assert_eq!(kept["state"], "scheduled", "{kept}");
}

fn images(cluster: &Cluster) -> Vec<String> {
    let pods = cluster.pods();
    let images = pods.iter().map(|pod| &pod["spec"]["containers"][0]["image"]);
    images.map(|image| image.as_str().unwrap().to_owned()).collect()
}

/// Adds a task through the Service and waits for its end.
pub(super) async fn runs_a_task(cluster: &Cluster, id: &str) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let task = json!({"task_id": id, "callback": "echo", "retention": "1m"});
    let added = client.post(cluster.url("/v1/tasks")).bearer_auth(TOKEN).json(&task).send().await;
    assert_eq!(added.unwrap().status(), 201);
    let url = cluster.url(&format!("/v1/tasks/{id}?wait=30s"));
    let ended = client.get(url).bearer_auth(TOKEN).send().await.unwrap();
    let ended: Value = ended.json().await.unwrap();
    assert_eq!(ended["state"], "completed", "{ended}\n{}", cluster.logs());
}
