//! What commands leave behind in a pod.

use std::process::Command;

use serde_json::Value;
use serde_json::json;

use crate::helm::run;
use crate::podman::done;

use super::Cluster;
use super::STORE;
use super::TOKEN;
use super::installs::LAG;

/// Leaves a process behind in a group of its own, so that the node does not end it. It ends by
/// itself a moment later.
const LEAVER: &str = r"
#include <stdio.h>
#include <unistd.h>
int main(void) {
    if (fork() == 0) {
        setsid();
        for (int fd = 0; fd < 3; fd++) close(fd);
        usleep(300 * 1000);
        return 0;
    }
    return 0;
}
";

/// A command whose child outlives it leaves no zombie, since something reaps in the pod that is not the node.
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_keeps_no_zombies_of_what_commands_leave_behind() {
    let cluster = Cluster::start(LAG).await;
    let dir = tempfile::TempDir::new().unwrap();
    std::fs::write(dir.path().join("leaver.c"), LEAVER).unwrap();
    let from = format!("FROM localhost/{}:v1\nCOPY leaver /handlers/leaver\n", cluster.kubelet.run);
    std::fs::write(dir.path().join("Containerfile"), from).unwrap();
    let cc = ["-static", "-o", "leaver", "leaver.c"];
    let (content, said) = run(Command::new("cc").args(cc).current_dir(&dir));
    assert!(content, "{said}");
    let image = format!("localhost/{}:v2", cluster.kubelet.run);
    done(&["build", "--quiet", "--pull=never", "-t", &image, dir.path().to_str().unwrap()]);
    let values = format!("{STORE},handlers.leave.exec={{/handlers/leaver}},replicas=1");
    cluster.release("helm4", "install", "v2", &values).await;

    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for number in 0..5 {
        let task = json!({"task_id": format!("t{number}"), "callback": "leave", "retention": "1m"});
        let add = client.post(cluster.url("/v1/tasks")).bearer_auth(TOKEN).json(&task);
        assert_eq!(add.send().await.unwrap().status(), 201);
        let url = cluster.url(&format!("/v1/tasks/t{number}?wait=30s"));
        let ended = client.get(url).bearer_auth(TOKEN).send().await.unwrap();
        let ended: Value = ended.json().await.unwrap();
        assert_eq!(ended["state"], "completed", "{ended}\n{}", cluster.logs());
    }

    let container = format!("{}-{}-taskshed", cluster.kubelet.run, cluster.ready()[0]);
    let first = done(&["inspect", "--format", "{{.State.Pid}}", &container]);
    let mut found = Vec::new();
    cluster
        .until("nothing but the node is left", || {
            found = processes_of(&first);
            found.iter().all(|(name, state)| name == "taskshed" && state != "Z")
        })
        .await;
    assert!(!found.is_empty(), "the node is a child of what reaps");
}

/// Name and state of each child of a process.
fn processes_of(pid: &str) -> Vec<(String, String)> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    // A child that has ended meanwhile has none.
    let stat = |child: &str| std::fs::read_to_string(format!("/proc/{child}/stat")).ok();
    let stats = children.unwrap().split_whitespace().filter_map(stat).collect::<Vec<_>>();
    let told = stats.iter().filter_map(|stat| {
        let (before, after) = stat.rsplit_once(')')?;
        let name = before.split_once('(')?.1;
        Some((name.to_owned(), after.split_whitespace().next()?.to_owned()))
    });
    told.collect()
}
