//! The guide, done as it is written.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::helm::read;
use crate::helm::tool;
use crate::podman::done;
use crate::podman::podman;

use super::Cluster;
use super::RELEASE;
use super::installs::HANDLER;

/// Blocks of code from a section of the guide on.
pub(super) fn blocks(section: &str) -> Vec<String> {
    let guide = read("docs/guide/kubernetes.md");
    let (_, text) = guide.split_once(&format!("\n# {section}")).unwrap();
    let blocks = text.split("```").skip(1).step_by(2);
    blocks.map(|block| block.split_once('\n').unwrap().1.to_owned()).collect()
}

/// Lays out what commands of the guide need, makes its Secrets, and writes its file of values.
async fn prepared(cluster: &Cluster) {
    let dir = cluster.dir.path();
    for (name, program) in [("helm", "helm4"), ("kubectl", "kubectl")] {
        std::fs::create_dir_all(dir.join("bin")).unwrap();
        symlink(tool(program), dir.join("bin").join(name)).unwrap();
    }
    symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("helm"), dir.join("helm")).unwrap();
    let image = format!("localhost/{}", cluster.kubelet.run);
    done(&["tag", &format!("{image}:v1"), &format!("{image}:0.1.0")]);
    let store = blocks("A store");
    let url = format!("redis://:s3cret@redis.data.svc:{}/0", cluster.redis.port());
    let secrets = store[0].replace("redis://:PASSWORD@redis.data.svc:6379/0", &url);
    assert_ne!(secrets, store[0]);
    run(cluster, &secrets).await;
    cluster.write("values.yaml", &store[1].replace("REGISTRY/taskshed", &image));
}

/// From Secrets to three pods that are tested, started anew, and scaled.
#[tokio::test(flavor = "multi_thread")]
async fn it_leads_from_nothing_to_a_release_that_scales() {
    let cluster = Cluster::start(Duration::from_secs(2)).await;
    prepared(&cluster).await;
    let said = run(&cluster, &blocks("A store")[2]).await;

    assert_eq!(cluster.ready().len(), 3, "{said}");
    assert!(said.contains("Succeeded"), "{said}");
    let tasks = asked(&cluster, "/v1/tasks?callback=resize").await;
    assert_eq!(tasks["tasks"][0]["cron"], "30 4 * * SUN", "{tasks}");

    let first = cluster.ready();
    run(&cluster, &format!("kubectl rollout restart deployment/{RELEASE}")).await;
    let is_left = |pod: &String| first.contains(pod);
    cluster.until("all pods are new", || !cluster.ready().iter().any(is_left)).await;

    run(&cluster, &blocks("Scaling")[0]).await;
    assert_eq!(cluster.ready().len(), 5);
}

/// A certificate, an API behind it, and a test of the release that trusts it and nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn it_leads_to_an_api_that_speaks_tls() {
    let cluster = Cluster::start(Duration::from_secs(2)).await;
    prepared(&cluster).await;
    let commands = blocks("TLS");

    run(&cluster, &commands[0]).await;
    let said = run(&cluster, &commands[1]).await;

    assert!(said.contains("Succeeded"), "{said}");
    let ask = format!(
        "curl -s --noproxy '*' --resolve shed.jobs.svc:8090:{} https://shed.jobs.svc:8090/healthz",
        cluster.kubelet.gateway
    );
    run(&cluster, &format!("{ask} --fail --cacert ca.crt; ! {ask}")).await;
    let stranger = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=no -keyout no.key -out no.crt; \
                    kubectl create secret generic stranger --from-file=ca.crt=no.crt";
    run(&cluster, stranger).await;
    let upgrade = "helm upgrade shed helm/taskshed --wait -f values.yaml \
                   --set tls.existingSecret=shed-tls,tls.caSecret=stranger; ! helm test shed";
    run(&cluster, upgrade).await;
}

/// What a trial kept is there on the store that comes after it.
#[tokio::test(flavor = "multi_thread")]
async fn it_leads_from_a_trial_to_a_store() {
    let cluster = Cluster::start(Duration::from_secs(2)).await;
    prepared(&cluster).await;
    let values = format!("store.embedded=true,auth.insecure=true,{HANDLER}");
    cluster.release("helm4", "install", "v1", &values).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let task = serde_json::json!({"task_id": "later", "callback": "echo", "run_in": "1h"});
    let added = client.post(cluster.url("/v1/tasks")).json(&task).send().await.unwrap();
    assert_eq!(added.status(), 201);

    // What leads kubectl into a pod, this cluster has not.
    let inside = format!("podman exec {}-shed-0-taskshed", cluster.kubelet.run);
    let commands = blocks("From a trial")[0].replace("kubectl exec shed-0 --", &inside);
    assert!(commands.contains(&inside));
    let url = format!("redis://:s3cret@redis.data.svc:{}/0", cluster.redis.port());
    let said =
        run(&cluster, &commands.replace("redis://:PASSWORD@redis.data.svc:6379/0", &url)).await;

    cluster.settled().await;
    assert_eq!(cluster.ready().len(), 3, "{said}");
    let kept = asked(&cluster, "/v1/tasks/later").await;
    assert_eq!(kept["state"], "scheduled", "{kept}");
}

/// What the API answers to the client whose token the guide makes.
async fn asked(cluster: &Cluster, path: &str) -> Value {
    let ask = format!(
        "curl -sf --noproxy '*' -H \"Authorization: Bearer $(kubectl get secret taskshed-client \
         -o jsonpath='{{.data.token}}' | base64 -d)\" '{}'",
        cluster.url(path)
    );
    serde_json::from_str(&run(cluster, &ask).await).unwrap()
}

/// Runs commands of the guide, which must all be content, and answers what they said.
async fn run(cluster: &Cluster, script: &str) -> String {
    let dir = cluster.dir.path();
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", dir.join("bin").display());
    let mut command = Command::new("sh");
    command.args(["-euc", script]).current_dir(dir).stdin(Stdio::null()).env("PATH", path);
    command.env("KUBECONFIG", dir.join("kubeconfig")).env("HOME", dir);
    command.envs(podman().get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}\n{}", cluster.logs());
    String::from_utf8_lossy(&output.stdout).into_owned()
}
