//! One container of a pod: how its spec becomes arguments of podman, and how it is stopped.

use std::net::Ipv4Addr;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;

use super::Departure;
use super::Kubelet;
use super::heard;
use super::podman;
use super::probe::Probes;
use crate::cluster::objects::Key;
use crate::cluster::protobuf::from_base64;

/// The user that pods of the chart run as.
const USER: u32 = 65532;

#[derive(Debug)]
pub(super) struct Container {
    /// Its name for podman, and that of its pod.
    name: String,
    pod: String,
    spec: Value,
    pub(super) ip: Ipv4Addr,
    /// Holds the number of the container's first process.
    pid_file: PathBuf,
    probes: Probes,
    restarts: u32,
    is_restarted: bool,
    /// Its exit code, once it has ended for good.
    pub(super) ended: Option<i64>,
}

impl Container {
    pub(super) async fn start(
        kubelet: &Kubelet,
        key: &Key,
        pod: &Value,
        spec: &Value,
    ) -> Result<Self, String> {
        let part = spec["name"].as_str().unwrap();
        let name = format!("{}-{}-{part}", kubelet.run, key.name);
        let dir = kubelet.dir.join(&name);
        std::fs::create_dir_all(&dir).unwrap();
        let (ip, pid_file) = (kubelet.next_address(), dir.join("pid"));
        let mut args = vec![
            "run".to_owned(),
            "--detach".to_owned(),
            "--pull=never".to_owned(),
            format!("--name={name}"),
            format!("--label=run={}", kubelet.run),
            format!("--hostname={}", key.name),
            format!("--network={}", kubelet.network),
            format!("--ip={ip}"),
            format!("--pidfile={}", pid_file.display()),
        ];
        // What reaps for the pause container, and passes signals on, as its kubelet would by itself.
        if pod["spec"]["shareProcessNamespace"] == true {
            args.push("--init".to_owned());
        }
        args.extend(security(&pod["spec"]["securityContext"], &spec["securityContext"]));
        if let Some(memory) = spec["resources"]["limits"]["memory"].as_str() {
            let bytes = memory.trim_end_matches('i').to_lowercase();
            args.push(format!("--memory={bytes}"));
        }
        args.extend(hosts(kubelet, key));
        args.extend(environment(kubelet, key, spec)?);
        args.extend(mounts(kubelet, key, pod, spec)?);
        let strings = |value: &Value| -> Vec<String> {
            let items = value.as_array().into_iter().flatten();
            items.map(|item| item.as_str().unwrap().to_owned()).collect()
        };
        if !spec["command"].is_null() {
            args.push(format!("--entrypoint={}", spec["command"]));
        }
        args.push(spec["image"].as_str().unwrap().to_owned());
        args.extend(strings(&spec["args"]));
        podman(&args).await?;
        Ok(Self {
            name,
            pod: key.name.clone(),
            ip,
            pid_file,
            probes: Probes::new(spec, ip),
            spec: spec.clone(),
            restarts: 0,
            is_restarted: pod["spec"]["restartPolicy"].as_str().unwrap_or("Always") == "Always",
            ended: None,
        })
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ended.is_none() && self.probes.is_ready
    }

    /// As it stands in the status of the pod.
    pub(super) fn status(&self) -> Value {
        let state = match self.ended {
            Some(code) => json!({"terminated": {"exitCode": code}}),
            None => json!({"running": {}}),
        };
        json!({
            "name": self.spec["name"],
            "image": self.spec["image"],
            "ready": self.is_ready(),
            "restartCount": self.restarts,
            "state": state,
        })
    }

    /// Looks whether it still runs, and asks its probes that are due.
    pub(super) async fn look(&mut self) {
        if self.ended.is_some() {
            return;
        }
        let is_running = self.is_running();
        if is_running && !self.probes.ask().await {
            return;
        }
        if is_running {
            // Its liveness failed.
            drop(podman(&["kill", &self.name]).await);
        }
        let code = self.code().await;
        if self.is_restarted {
            self.restarts += 1;
            self.probes = Probes::new(&self.spec, self.ip);
            podman(&["start", &self.name]).await.unwrap();
        } else {
            self.ended = Some(code);
        }
    }

    fn is_running(&self) -> bool {
        let pid = std::fs::read_to_string(&self.pid_file).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        status.is_ok_and(|status| !status.contains(") Z "))
    }

    async fn code(&self) -> i64 {
        podman(&["wait", &self.name]).await.unwrap().lines().next().unwrap().parse().unwrap()
    }

    /// Sends SIGTERM, and SIGKILL after the grace period. One that had ended before has not departed.
    pub(super) async fn stop(&mut self, grace: Duration) -> Option<Departure> {
        if self.ended.is_some() {
            return None;
        }
        let begun = SystemClock.steady();
        let seconds = grace.as_secs().to_string();
        podman(&["stop", "--time", &seconds, &self.name]).await.unwrap();
        let took = SystemClock.steady().saturating_sub(begun);
        let code = self.code().await;
        Some(Departure { pod: self.pod.clone(), took, grace, code })
    }

    pub(super) async fn log(&self) -> String {
        let (_, log) = heard(&["logs", "--tail", "40", &self.name]).await;
        log
    }

    /// Removes it, several times if need be: podman may find its files in use for a moment after it ended.
    pub(super) async fn remove(&self) {
        let mut removed = Ok(String::new());
        for _ in 0..20 {
            removed = podman(&["rm", "--force", "--time", "0", &self.name]).await;
            if removed.is_ok() {
                return;
            }
            SystemClock.sleep(Duration::from_millis(250)).await;
        }
        removed.unwrap();
    }
}

fn security(pod: &Value, own: &Value) -> Vec<String> {
    let said = |name: &str| if own[name].is_null() { pod[name].clone() } else { own[name].clone() };
    let mut args = Vec::new();
    let (user, group) = (said("runAsUser"), said("runAsGroup"));
    assert!(said("runAsNonRoot") != true || user != 0, "a pod without rights runs as root");
    if !user.is_null() {
        args.push(format!("--user={user}:{}", group.as_u64().unwrap_or(0)));
    }
    if said("readOnlyRootFilesystem") == true {
        args.extend(["--read-only".to_owned(), "--read-only-tmpfs=false".to_owned()]);
    }
    if said("allowPrivilegeEscalation") == false {
        args.push("--security-opt=no-new-privileges".to_owned());
    }
    let dropped = said("capabilities")["drop"].clone();
    for capability in dropped.as_array().into_iter().flatten() {
        args.push(format!("--cap-drop={}", capability.as_str().unwrap()));
    }
    args
}

/// Names of services, which are all at the gateway, and of what is outside of the cluster.
fn hosts(kubelet: &Kubelet, key: &Key) -> Vec<String> {
    let services = kubelet.objects.with(|kept| kept.list("services", Some(&key.namespace)));
    let services = services.iter().flat_map(|(service, _)| {
        let whole = format!("{}.{}.svc", service.name, service.namespace);
        [service.name.clone(), whole].map(|name| (name, kubelet.gateway))
    });
    let outside = kubelet.hosts.iter().map(|(name, ip)| (name.clone(), *ip));
    services.chain(outside).map(|(name, ip)| format!("--add-host={name}:{ip}")).collect()
}

fn environment(kubelet: &Kubelet, key: &Key, spec: &Value) -> Result<Vec<String>, String> {
    let mut args = Vec::new();
    for variable in spec["env"].as_array().into_iter().flatten() {
        let source = &variable["valueFrom"];
        let value = if source.is_null() {
            variable["value"].as_str().unwrap_or_default().to_owned()
        } else if let Some(field) = source["fieldRef"]["fieldPath"].as_str() {
            match field {
                "metadata.name" => key.name.clone(),
                "metadata.namespace" => key.namespace.clone(),
                _ => return Err(format!("no pod has the field {field}")),
            }
        } else {
            let (plural, reference) = match source.get("secretKeyRef") {
                Some(reference) => ("secrets", reference),
                None => ("configmaps", &source["configMapKeyRef"]),
            };
            let (name, entry) = (&reference["name"], &reference["key"]);
            let data = data(kubelet, key, plural, name.as_str().unwrap())?;
            let text = data.iter().find(|(known, _)| entry == known).map(|(_, text)| text.clone());
            text.ok_or(format!("{plural} {name} has no {entry}"))?
        };
        args.push(format!("--env={}={value}", variable["name"].as_str().unwrap()));
    }
    for whole in spec["envFrom"].as_array().into_iter().flatten() {
        let (plural, reference) = match whole.get("secretRef") {
            Some(reference) => ("secrets", reference),
            None => ("configmaps", &whole["configMapRef"]),
        };
        let data = data(kubelet, key, plural, reference["name"].as_str().unwrap())?;
        args.extend(data.iter().map(|(name, value)| format!("--env={name}={value}")));
    }
    Ok(args)
}

/// What a Secret or a `ConfigMap` holds.
fn data(
    kubelet: &Kubelet,
    key: &Key,
    plural: &'static str,
    name: &str,
) -> Result<Vec<(String, String)>, String> {
    let of = Key::new(plural, &key.namespace, name);
    let object = kubelet.objects.with(|kept| kept.get(&of).cloned());
    let object = object.ok_or(format!("there is no {name} among the {plural}"))?;
    let entries = object["data"].as_object().into_iter().flatten();
    let plain = |text: &str| match plural {
        "secrets" => String::from_utf8(from_base64(text)).unwrap(),
        _ => text.to_owned(),
    };
    Ok(entries.map(|(name, text)| (name.clone(), plain(text.as_str().unwrap()))).collect())
}

/// Volumes as folders and file systems in memory. One that the pod does not define is a claim of its set.
fn mounts(kubelet: &Kubelet, key: &Key, pod: &Value, spec: &Value) -> Result<Vec<String>, String> {
    let mut args = Vec::new();
    for mount in spec["volumeMounts"].as_array().into_iter().flatten() {
        let (name, at) = (mount["name"].as_str().unwrap(), mount["mountPath"].as_str().unwrap());
        let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
        let volume = volumes.into_iter().find(|volume| volume["name"] == *name);
        if volume.is_some_and(|volume| volume.get("emptyDir").is_some()) {
            args.push(format!("--tmpfs={at}:mode=1777"));
            continue;
        }
        let folder = kubelet.dir.join(format!("{}-{name}", key.name));
        std::fs::create_dir_all(&folder).unwrap();
        let source = volume.and_then(|volume| {
            let secret = volume["secret"]["secretName"].as_str().map(|name| ("secrets", name));
            secret.or(volume["configMap"]["name"].as_str().map(|name| ("configmaps", name)))
        });
        match (source, volume) {
            (Some((plural, of)), _) => {
                for (file, text) in data(kubelet, key, plural, of)? {
                    std::fs::write(folder.join(file), text).unwrap();
                }
                args.push(format!("--volume={}:{at}:ro", folder.display()));
            }
            (None, None) => {
                chown(&folder, Some(USER), Some(USER)).unwrap();
                args.push(format!("--volume={}:{at}", folder.display()));
            }
            (None, Some(volume)) => return Err(format!("no volume is made of {volume}")),
        }
    }
    Ok(args)
}
