//! A release from its first installation to its end, with both helms.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use super::Cluster;
use super::RELEASE;
use super::TOKEN;

/// How long services lead to a pod that leaves.
const LAG: Duration = Duration::from_secs(2);

/// A handler that the image itself brings.
const HANDLER: &str = "handlers.echo.exec={/usr/bin/taskshed,--version}";

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

    cluster.release(helm, "install", "v1", HANDLER).await;
    let first = cluster.ready();
    assert_eq!(first.len(), 2);
    runs_a_task(&cluster, "first").await;
    let tested = cluster.helm(helm, &["test", RELEASE]).await;
    assert!(tested.contains("Succeeded"), "{tested}");

    cluster.release(helm, "upgrade", "v2", HANDLER).await;
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

fn images(cluster: &Cluster) -> Vec<String> {
    let pods = cluster.pods();
    let images = pods.iter().map(|pod| &pod["spec"]["containers"][0]["image"]);
    images.map(|image| image.as_str().unwrap().to_owned()).collect()
}

/// Adds a task through the Service and waits for its end.
async fn runs_a_task(cluster: &Cluster, id: &str) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let task = json!({"task_id": id, "callback": "echo", "retention": "1m"});
    let added = client.post(cluster.url("/v1/tasks")).bearer_auth(TOKEN).json(&task).send().await;
    assert_eq!(added.unwrap().status(), 201);
    let url = cluster.url(&format!("/v1/tasks/{id}?wait=30s"));
    let ended = client.get(url).bearer_auth(TOKEN).send().await.unwrap();
    let ended: Value = ended.json().await.unwrap();
    assert_eq!(ended["state"], "completed", "{ended}\n{}", cluster.logs());
}
