//! A handler in Python, in an image that the guide's file makes, with the guide's values.

use std::process::Command;

use serde_json::Value;
use serde_json::json;

use crate::helm::run;
use crate::podman::done;

use super::Cluster;
use super::STORE;
use super::TOKEN;
use super::guide::blocks;
use super::installs::LAG;

/// Python as this machine has it, with its libraries, in place of an image with an interpreter.
const PYTHON: &str = r#"
python=$(readlink -f /usr/bin/python3)
library=/usr/lib/$(basename "$python")
mkdir -p "root$library" root/usr/bin
cp "$python" root/usr/bin/python3
for file in "$library"/*.py "$library"/encodings "$library"/json "$library"/re "$library"/collections; do
    cp -r "$file" "root$library/"
done
for file in $(ldd "$python" | grep -o '/[^ ]*'); do
    mkdir -p "root$(dirname "$file")"
    cp -L "$file" "root$file"
done
printf 'FROM scratch\nCOPY root/ /\nENV PATH=/usr/bin\n' >Containerfile
"#;

const HANDLER: &str =
    "import json, sys\nprint(json.dumps({'twice': 2 * json.load(sys.stdin)['n']}))\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_in_python_runs_as_the_guide_has_it() {
    let cluster = Cluster::start(LAG).await;
    let dir = tempfile::TempDir::new().unwrap();
    let name = |tag: &str| format!("localhost/{}:{tag}", cluster.kubelet.run);
    let place = dir.path().to_str().unwrap();
    let (content, said) = run(Command::new("sh").args(["-euc", PYTHON]).current_dir(&dir));
    assert!(content, "{said}");
    done(&["build", "--quiet", "-t", &name("redis"), place]);
    let guide = blocks("Handlers of yours");
    let file = guide[1].replace("python:3.14-slim", &name("redis"));
    let file = file.replace("REGISTRY/taskshed:0.1.0", &name("v1"));
    assert!(file.contains(&name("v1")) && file.contains(&name("redis")), "{file}");
    std::fs::write(dir.path().join("Containerfile"), file).unwrap();
    std::fs::write(dir.path().join("resize.py"), HANDLER).unwrap();
    done(&["build", "--quiet", "--pull=never", "-t", &name("v2"), place]);

    let values = cluster.write("values.yaml", &guide[2].replace("REGISTRY/resizer", "none"));
    let chart = crate::helm::chart();
    let set = format!("{STORE},image.repository=localhost/{},image.tag=v2", cluster.kubelet.run);
    let args = ["install", "shed", chart.to_str().unwrap(), "-f", &values, "--set", &set];
    cluster.helm("helm4", &[&args[..], &["--wait", "--timeout", "90s"]].concat()).await;

    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let task =
        json!({"task_id": "t", "callback": "resize", "kwargs": {"n": 21}, "retention": "1m"});
    let added = client.post(cluster.url("/v1/tasks")).bearer_auth(TOKEN).json(&task).send().await;
    assert_eq!(added.unwrap().status(), 201);
    let ended = client.get(cluster.url("/v1/tasks/t?wait=30s")).bearer_auth(TOKEN).send().await;
    let ended: Value = ended.unwrap().json().await.unwrap();
    assert_eq!(ended["result"], json!({"twice": 42}), "{ended}\n{}", cluster.logs());
}
