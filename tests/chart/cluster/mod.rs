//! A cluster in this process: an API server that helm talks to, the controllers that the chart needs, and a
//! kubelet that runs its pods as real containers. Redis stands beside it.
//!
//! It needs podman, as root, and what podman needs for a bridge. What a real cluster does besides stays
//! untested: admission, defaults, rights, schedulers, network policies, scaling by load.

mod api;
mod control;
mod discovery;
mod guide;
mod interpreter;
mod kubelet;
mod merging;
mod objects;
mod protobuf;
mod proxy;
mod selection;
mod serving;
mod stores;

mod installs;
mod load;
mod orphans;
mod rollouts;
mod witness;

use std::io::Write;
use std::net::Ipv4Addr;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::MutexGuard;
use tokio::task::JoinSet;

use crate::helm::chart;
use crate::helm::run;
use crate::helm::tool;
use crate::podman::done;
use crate::podman::image;
use crate::podman::podman;
use crate::redis_server::RedisServer;
use control::Routes;
use kubelet::Departure;
use kubelet::Kubelet;
use objects::Key;
use objects::Objects;
use objects::is_leaving;
use objects::is_ready;

/// The namespace of the release.
const NAMESPACE: &str = "jobs";

/// The release, after which the chart names its objects.
const RELEASE: &str = "shed";

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often tests look whether what they wait for has come.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Values that name the Secrets of [`Cluster::prepare`].
const STORE: &str = "store.existingSecret=store,auth.existingSecret=tokens,test.tokenSecret=client";

/// The token that clients show, of the role `admin`, and its hash.
const TOKEN: &str = "open-sesame";
const TOKEN_HASH: &str = "d7ecdf25eaf3deba0f2628771dbdd22d4138ab6cf38f91ed02a2ca0dec7c8ab7";

/// Ends all that podman keeps of a cluster when standard input ends, so that nothing outlives the tests.
const GUARD: &str = r#"
cat >/dev/null
for round in 1 2 3; do
    podman ps --all --quiet --filter "label=run=$1" | xargs --no-run-if-empty podman rm --force --time 0
done
podman network rm --force "$1"
for tag in v1 v2 0.1.0 redis; do podman rmi "localhost/$1:$tag"; done
"#;

/// A cluster that is gone when this value is.
#[derive(Debug)]
struct Cluster {
    objects: Arc<Objects>,
    kubelet: Arc<Kubelet>,
    redis: RedisServer,
    tasks: JoinSet<()>,
    guard: Child,
    dir: TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// One cluster at a time: they are heavy.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

impl Cluster {
    /// A cluster whose services lead to a pod for `lag` after it should not be led to any more.
    async fn start(lag: Duration) -> Self {
        let alone = ALONE.lock().await;
        drop(rustls::crypto::ring::default_provider().install_default());
        let run = format!("taskshed-test-{}", SystemClock.wall().as_us());
        let guard = guard(&run);
        for tag in ["v1", "v2"] {
            done(&["tag", image(), &format!("localhost/{run}:{tag}")]);
        }
        let gateway = bridge(&run);
        let redis = RedisServer::start(&[
            "--bind",
            "127.0.0.1",
            &gateway.to_string(),
            "--requirepass",
            "s3cret",
            "--appendonly",
            "yes",
        ]);
        let (dir, objects) = (TempDir::new().unwrap(), Arc::new(Objects::new()));
        let kubelet = Arc::new(Kubelet {
            objects: Arc::clone(&objects),
            network: run.clone(),
            run,
            gateway,
            dir: dir.path().join("pods"),
            hosts: ["redis.data.svc", "witness.data.svc"]
                .map(|name| (name.to_owned(), gateway))
                .into(),
            departures: Mutex::default(),
            logs: Mutex::default(),
            addresses: 10.into(),
        });
        let mut tasks = JoinSet::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tasks.spawn(serving::serve(listener, api::router(Arc::clone(&objects))));
        tasks.spawn(control::control(Arc::clone(&objects), Routes::new(gateway, lag)));
        tasks.spawn(proxy::lead(Arc::clone(&objects), gateway));
        tasks.spawn(Arc::clone(&kubelet).keep());
        let cluster = Self { objects, kubelet, redis, tasks, guard, dir, _alone: alone };
        cluster.write("kubeconfig", &kubeconfig(port));
        cluster.prepare();
        cluster
    }

    /// What the user has made before: a namespace and three Secrets.
    fn prepare(&self) {
        let store = format!("redis://:s3cret@redis.data.svc:{}/0", self.redis.port());
        let secrets = [
            ("store", "store", store),
            ("tokens", "tokens", format!("tests=admin:{TOKEN_HASH}")),
            ("client", "token", TOKEN.to_owned()),
        ];
        self.objects.with(|kept| {
            kept.put(
                &Key::new("namespaces", "", NAMESPACE),
                json!({"status": {"phase": "Active"}}),
            );
            for (name, key, text) in secrets {
                let data = json!({"data": {key: protobuf::base64(text.as_bytes())}});
                kept.put(&Key::new("secrets", NAMESPACE, name), data);
            }
        });
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Runs a helm, and answers whether it was content and what it said.
    async fn try_helm(&self, helm: &str, args: &[&str]) -> (bool, String) {
        let mut command = tokio::process::Command::new(tool(helm));
        command.args(args).args(["--namespace", NAMESPACE]).stdin(Stdio::null());
        command.env("KUBECONFIG", self.dir.path().join("kubeconfig"));
        for home in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(home, self.dir.path().join(home));
        }
        let Output { status, stdout, stderr } = command.output().await.unwrap();
        let said = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
        (status.success(), said.into_owned())
    }

    /// Runs a helm, which must be content.
    async fn helm(&self, helm: &str, args: &[&str]) -> String {
        let (content, said) = self.try_helm(helm, args).await;
        assert!(content, "{helm} {args:?}: {said}\n{}", self.logs());
        said
    }

    /// Installs or upgrades with the image of this tag and more values, and waits as helm does.
    async fn release(&self, helm: &str, verb: &str, tag: &str, set: &str) -> String {
        let chart = chart();
        let image = format!("image.repository=localhost/{},image.tag={tag}", self.kubelet.run);
        let set = format!("{image},{set}");
        let args = [verb, RELEASE, chart.to_str().unwrap(), "--set", &set, "--wait"];
        self.helm(helm, &[&args[..], &["--timeout", "90s"]].concat()).await
    }

    /// Pods of the release's nodes that are there, with those that leave.
    fn pods(&self) -> Vec<Value> {
        let pods = self.objects.with(|kept| kept.list("pods", Some(NAMESPACE)));
        let pods = pods.into_iter().map(|(_, pod)| pod);
        pods.filter(|pod| pod["metadata"]["labels"]["app.kubernetes.io/component"] == "node")
            .collect()
    }

    /// Names of pods that are ready and stay.
    fn ready(&self) -> Vec<String> {
        let mut pods = self.pods();
        pods.retain(|pod| is_ready(pod) && !is_leaving(pod));
        pods.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until no pod is leaving.
    async fn settled(&self) {
        let is_any_leaving = || {
            let pods = self.objects.with(|kept| kept.list("pods", None));
            pods.iter().any(|(_, pod)| is_leaving(pod))
        };
        self.until("no pod leaves", || !is_any_leaving()).await;
    }

    /// Waits until the cluster is so.
    async fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let patience = SystemClock.steady() + PATIENCE;
        while !is_so() {
            let is_over = SystemClock.steady() >= patience;
            assert!(!is_over, "it never came that {what}\n{}", self.logs());
            SystemClock.sleep(LOOK_EVERY).await;
        }
    }

    /// Pods that went away since this was asked last.
    fn departures(&self) -> Vec<Departure> {
        std::mem::take(&mut self.kubelet.departures.lock().unwrap())
    }

    /// The address of the release's Service.
    fn url(&self, path: &str) -> String {
        format!("http://{}:8090{path}", self.kubelet.gateway)
    }

    /// What containers said: those that ended, and those that are there.
    fn logs(&self) -> String {
        let mut logs = self.kubelet.logs.lock().unwrap().clone();
        let filter = format!("label=run={}", self.kubelet.run);
        let there = done(&["ps", "--all", "--filter", &filter, "--format", "{{.Names}}"]);
        for name in there.lines() {
            let (_, said) = run(podman().args(["logs", "--tail", "20", name]));
            logs.push(format!("-- {name}\n{said}"));
        }
        logs.join("\n")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.tasks.abort_all();
        drop(self.guard.stdin.take());
        self.guard.wait().unwrap();
    }
}

/// Starts what clears up in the end, whatever becomes of the tests.
fn guard(run: &str) -> Child {
    let settings = podman().get_envs().next().unwrap().1.unwrap().to_owned();
    Command::new("sh")
        .args(["-c", GUARD, "sh", run])
        .env("CONTAINERS_CONF", settings)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Makes a bridge, and answers the address that this machine has there. It is there as long as a container
/// is, so one that does nothing holds it.
fn bridge(run: &str) -> Ipv4Addr {
    done(&["network", "create", "--disable-dns", run]);
    let format = "{{range .Subnets}}{{.Gateway}}{{end}}";
    let gateway = done(&["network", "inspect", "--format", format, run]).parse().unwrap();
    let (label, network) = (format!("--label=run={run}"), format!("--network={run}"));
    let image = format!("localhost/{run}:v1");
    let args = ["run", "--detach", "--pull=never", "--env=TASKSHED_STORE=memory:"];
    done(&[&args[..], &[&label, &network, &image, "node", "--no-run"]].concat());
    gateway
}

fn kubeconfig(port: u16) -> String {
    let context = json!({"cluster": "tests", "user": "tests", "namespace": NAMESPACE});
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "tests",
        "contexts": [{"name": "tests", "context": context}],
        "clusters": [{"name": "tests", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
        "users": [{"name": "tests", "user": {}}],
    })
    .to_string()
}
