//! A kubelet: runs each pod as real containers of podman, as its spec says, on a bridge where each pod has an
//! address of its own.
//!
//! What it leaves out: containers of one pod do not share a network (the chart has such a pod for its test,
//! where none listens), a container that ends is started again at once, and pods need no machine to be found.

mod container;
mod probe;

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::podman;

use super::objects::Key;
use super::objects::Objects;
use super::objects::is_leaving;
use container::Container;

/// How often containers and probes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How a pod went away.
#[derive(Clone, Debug)]
pub(crate) struct Departure {
    pub(crate) pod: String,
    /// From SIGTERM to the end of its process.
    pub(crate) took: Duration,
    /// How long it might have taken.
    pub(crate) grace: Duration,
    /// 137 after SIGKILL.
    pub(crate) code: i64,
}

/// The one machine of the cluster.
#[derive(Debug)]
pub(crate) struct Kubelet {
    pub(crate) objects: Arc<Objects>,
    /// The label and the beginning of the names of its containers.
    pub(crate) run: String,
    /// The bridge that pods are on, and the machine's address there.
    pub(crate) network: String,
    pub(crate) gateway: Ipv4Addr,
    /// For what pods mount.
    pub(crate) dir: PathBuf,
    /// Names that pods know besides those of services.
    pub(crate) hosts: BTreeMap<String, Ipv4Addr>,
    pub(crate) departures: Mutex<Vec<Departure>>,
    /// What containers wrote that ended, by pod.
    pub(crate) logs: Mutex<Vec<String>>,
    pub(crate) addresses: AtomicU32,
}

impl Kubelet {
    /// Runs pods until nobody waits for it any more.
    pub(crate) async fn keep(self: Arc<Self>) {
        let mut changes = self.objects.changes();
        let (mut pods, mut known) = (JoinSet::new(), HashSet::new());
        loop {
            changes.mark_unchanged();
            for (key, pod) in self.objects.with(|kept| kept.list("pods", None)) {
                let uid = pod["metadata"]["uid"].as_str().unwrap().to_owned();
                if known.insert(uid) {
                    pods.spawn(Arc::clone(&self).live(key, pod));
                }
            }
            tokio::select! {
                changed = changes.changed() => changed.unwrap(),
                Some(ended) = pods.join_next() => ended.unwrap(),
            }
        }
    }

    /// The life of a pod.
    async fn live(self: Arc<Self>, key: Key, pod: Value) {
        let mut containers = Vec::new();
        for spec in pod["spec"]["containers"].as_array().unwrap() {
            match Container::start(&self, &key, &pod, spec).await {
                Ok(container) => containers.push(container),
                Err(error) => self.note(&key, &error),
            }
        }
        let is_whole = containers.len() == pod["spec"]["containers"].as_array().unwrap().len();
        self.report(&key, &containers, if is_whole { "Running" } else { "Pending" });
        let left = self.objects.until(|kept| match kept.get(&key) {
            Some(pod) if !is_leaving(pod) => None,
            _ => Some(()),
        });
        tokio::pin!(left);
        tokio::select! {
            biased;
            () = &mut left => {}
            () = self.watch(&key, &mut containers), if is_whole => left.await,
        }

        let grace = pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
        for container in &mut containers {
            let departure = container.stop(Duration::from_secs(grace)).await;
            self.note(&key, &container.log().await);
            container.remove().await;
            self.departures.lock().unwrap().extend(departure);
        }
        self.objects.with(|kept| kept.forget(&key));
    }

    /// Looks after the containers of a pod until all have ended for good.
    async fn watch(&self, key: &Key, containers: &mut [Container]) {
        loop {
            for container in containers.iter_mut() {
                container.look().await;
            }
            let ends: Option<Vec<i64>> = containers.iter().map(|one| one.ended).collect();
            let phase = match &ends {
                Some(codes) if codes.iter().all(|code| *code == 0) => "Succeeded",
                Some(_) => "Failed",
                None => "Running",
            };
            if phase == "Failed" {
                for container in containers.iter() {
                    self.note(key, &container.log().await);
                }
            }
            self.report(key, containers, phase);
            if ends.is_some() {
                return;
            }
            SystemClock.sleep(LOOK_EVERY).await;
        }
    }

    /// Writes into a pod how it is.
    fn report(&self, key: &Key, containers: &[Container], phase: &str) {
        let is_ready = phase == "Running" && containers.iter().all(Container::is_ready);
        let ready = if is_ready { "True" } else { "False" };
        let statuses: Vec<_> = containers.iter().map(Container::status).collect();
        let address = containers.first().map(|container| container.ip.to_string());
        self.objects.with(|kept| {
            kept.change(key, |pod| {
                pod["status"] = json!({
                    "phase": phase,
                    "podIP": address,
                    "startTime": pod["metadata"]["creationTimestamp"],
                    "conditions": [
                        {"type": "PodScheduled", "status": "True"},
                        {"type": "Initialized", "status": "True"},
                        {"type": "ContainersReady", "status": ready},
                        {"type": "Ready", "status": ready},
                    ],
                    "containerStatuses": statuses,
                });
            });
        });
    }

    /// Keeps what may tell why a test failed.
    fn note(&self, key: &Key, said: &str) {
        self.logs.lock().unwrap().push(format!("-- {}\n{said}", key.name));
    }

    /// The next free address of the bridge.
    fn next_address(&self) -> Ipv4Addr {
        let at = self.addresses.fetch_add(1, Ordering::Relaxed);
        Ipv4Addr::from_bits(self.gateway.to_bits() + at)
    }
}

/// Runs podman, which ends when nobody waits for it any more; answers what it said, or why it would not.
async fn podman<S: AsRef<OsStr>>(args: &[S]) -> Result<String, String> {
    match heard(args).await {
        (true, said) => Ok(said),
        (false, said) => Err(said),
    }
}

/// Runs podman, and answers whether it was content, and what it said on both its outputs.
async fn heard<S: AsRef<OsStr>>(args: &[S]) -> (bool, String) {
    let mut command = Command::from(podman::podman());
    let output = command.args(args).stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).trim().to_owned())
}
