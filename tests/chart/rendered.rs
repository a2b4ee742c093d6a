//! What helm makes of the chart: alike in both versions, valid for every Kubernetes, safe by default.

use std::io::Write;
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;

use crate::extensions;
use crate::fields::field;
use crate::fields::of_container;
use crate::fields::of_pod;
use crate::helm::EXTENDED_CLUSTER;
use crate::helm::HELMS;
use crate::helm::Objects;
use crate::helm::USUAL;
use crate::helm::chart;
use crate::helm::objects;
use crate::helm::read;
use crate::helm::rendered;
use crate::helm::run;
use crate::helm::template;
use crate::helm::tool;
use crate::helm::variable;

/// From the oldest that the chart allows to the newest there is.
const KUBERNETES: [&str; 11] =
    ["1.25", "1.27", "1.29", "1.30", "1.31", "1.32", "1.33", "1.34", "1.35", "1.36", "1.37"];

/// Installations that differ in what they are made of.
pub(crate) const MATRIX: [&str; 9] = [
    USUAL,
    "store.existingSecret=s,auth.existingSecret=a,metrics.serviceMonitor.enabled=true,\
     metrics.rules.enabled=true,metrics.dashboard.enabled=true,metrics.serviceMonitor.labels.a=b",
    "store.embedded=true,auth.insecure=true",
    "devRedis.enabled=true,auth.insecure=true,networkPolicy.enabled=false",
    "store.existingSecret=s,auth.existingSecret=a,tls.existingSecret=t,autoscaling.enabled=true,\
     fullnameOverride=other,test.tokenSecret=r,pools.io.keda.enabled=true,pools.io.keda.tokenSecret=r,\
     pools.io.keda.unsafeSsl=true,pools.io.autoscaling.enabled=false,metrics.serviceMonitor.enabled=true,\
     metrics.serviceMonitor.tlsConfig.serverName=x",
    "store.existingSecret=s,auth.existingSecret=a,keda.enabled=true,keda.tokenSecret=r,queues={a=5,b}",
    "store.existingSecret=s,auth.existingSecret=a,handlers.a b.exec={/h,x\"y},handlers.c.exec={/c},\
     handlers.c.timeout=2m,node.shutdownDelaySeconds=60,schedules.x.callback=c,schedules.x.cron=@daily,\
     schedules.y.callback=c,schedules.y.interval=90,schedules.y.kwargs.n=1,handlers.d.http=https://d.svc/,\
     handlers.d.secret.env=TASKSHED_D,handlers.d.concurrency=3,node.wake=polling:3s,node.log=taskshed=debug",
    "store.existingSecret=s,auth.insecure=true,pools.gpu.queues={gpu},pools.gpu.concurrency=1,\
     pools.gpu.leader=false,pools.gpu.nodeSelector.gpu=yes,pools.api.run=false,pools.api.replicas=0",
    "store.existingSecret=s,auth.insecure=true,imagePullSecrets[0].name=p,volumes[0].name=v,\
     volumes[0].emptyDir.sizeLimit=1Gi,volumeMounts[0].name=v,volumeMounts[0].mountPath=/data,\
     env[0].name=A,env[0].value=b,envFrom[0].secretRef.name=e,podLabels.a=b,podAnnotations.c=d,\
     priorityClassName=high,tolerations[0].operator=Exists,networkPolicy.egress[0].to[0].podSelector.matchLabels.x=y",
];

#[test]
fn lint_finds_nothing() {
    for (helm, set) in HELMS.iter().flat_map(|helm| MATRIX.map(|set| (helm, set))) {
        if set.contains("keda") || set.contains("metrics") {
            continue;
        }
        let mut lint = Command::new(tool(helm));
        let (content, said) = run(lint.args(["lint", "--strict", "--set", set]).arg(chart()));
        assert!(content, "{helm} {set}: {said}");
    }
}

#[test]
fn both_versions_of_helm_make_the_same() {
    for set in MATRIX {
        let made = HELMS.map(|helm| {
            let mut made = objects(&template(helm, set, &EXTENDED_CLUSTER).unwrap());
            made.sort_by_key(|object| format!("{}{}", object["kind"], object["metadata"]["name"]));
            made
        });
        assert_eq!(made[0], made[1], "{set}");
    }
}

/// By the strict schemas of each version, and ours of the kinds that they do not have.
#[test]
fn every_kubernetes_takes_every_object() {
    for (helm, version) in HELMS.iter().flat_map(|helm| KUBERNETES.map(|version| (helm, version))) {
        let mut more = EXTENDED_CLUSTER.to_vec();
        more.extend(["--kube-version", version]);
        let mut own = Vec::new();
        for set in MATRIX {
            for object in objects(&template(helm, set, &more).unwrap()) {
                match extensions::look(&object) {
                    Some(wrong) => assert_eq!(wrong, "", "{helm} {version} {set}: {object}"),
                    None => own.push(object),
                }
            }
        }
        assert_eq!(validate(version, &own), "", "{helm} {version}");
    }
}

/// The check above would see a field that is misspelt, and a kind that is gone.
#[test]
fn a_wrong_object_is_seen() {
    let misspelt =
        r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"spec":{"prots":[]}}"#;
    let gone =
        r#"{"apiVersion":"policy/v1beta1","kind":"PodDisruptionBudget","metadata":{"name":"a"}}"#;
    for wrong in [misspelt, gone] {
        let object: Value = serde_json::from_str(wrong).unwrap();
        assert_ne!(validate("1.34", &[object]), "", "{wrong}");
    }
}

/// What the strict schemas say of these objects; nothing if they are content. A kind that they do not
/// know makes them warn, which counts.
fn validate(version: &str, objects: &[Value]) -> String {
    let mut command = Command::new(tool("schemas/bin/kubernetes-validate"));
    command.args(["-k", version, "--strict", "--quiet", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for object in objects {
        writeln!(input, "---\n{object}").unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    match (output.status.success(), said.trim()) {
        (true, "") => String::new(),
        (_, said) => format!("{}: {said}", output.status),
    }
}

#[test]
fn every_pod_is_at_the_restricted_level() {
    for set in MATRIX {
        for pod in objects_of(set).pods() {
            let security = &pod["securityContext"];
            assert_eq!(security["runAsNonRoot"], true, "{set}");
            assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault", "{set}");
            assert_eq!(pod["automountServiceAccountToken"], false, "{set}");
            assert_eq!(pod["enableServiceLinks"], false, "{set}");
            for container in pod["containers"].as_array().unwrap() {
                let security = &container["securityContext"];
                assert_eq!(security["allowPrivilegeEscalation"], false, "{set}");
                assert_eq!(security["readOnlyRootFilesystem"], true, "{set}");
                assert_eq!(security["capabilities"]["drop"][0], "ALL", "{set}");
                assert!(of_container(container, "/securityContext/privileged").is_null(), "{set}");
                assert!(container["resources"]["requests"]["memory"].is_string(), "{set}");
                assert!(container["resources"]["limits"]["memory"].is_string(), "{set}");
                assert!(of_container(container, "/resources/limits/cpu").is_null(), "{set}");
            }
        }
    }
}

/// What helm makes in a cluster with all extensions.
pub(crate) fn objects_of(set: &str) -> Objects {
    Objects(objects(&template("helm4", set, &EXTENDED_CLUSTER).unwrap()))
}

/// What is secret comes from Secrets of the user, by name; the chart makes none.
#[test]
fn nothing_secret_is_in_the_release() {
    let made = rendered(USUAL);
    let node = made.get("Deployment", "shed");

    let store = &variable(node, "TASKSHED_STORE")["valueFrom"]["secretKeyRef"];
    assert_eq!((&store["name"], &store["key"]), (&"store".into(), &"store".into()));
    let tokens = &variable(node, "TASKSHED_TOKENS")["valueFrom"]["secretKeyRef"];
    assert_eq!((&tokens["name"], &tokens["key"]), (&"tokens".into(), &"tokens".into()));
    assert!(made.0.iter().all(|object| object["kind"] != "Secret"));
    let toml = made.toml("shed");
    assert!(
        !toml.contains_key("store") && !toml.contains_key("token") && !toml.contains_key("auth")
    );
    for pod in made.pods() {
        let args = pod["containers"][0]["args"].as_array().unwrap();
        assert_eq!(args.len(), 1, "a command and nothing else: {args:?}");
    }
}

/// SIGKILL comes after all that a node may do from SIGTERM on.
#[test]
fn the_grace_period_covers_the_drain_and_the_delay() {
    for (drain, delay, grace) in [(25, 5, 35), (0, 5, 10), (10, 60, 64), (3600, 5, 3610)] {
        let set =
            format!("{USUAL},node.drainTimeoutSeconds={drain},node.shutdownDelaySeconds={delay}");
        let made = rendered(&set);
        let toml = made.toml("shed");

        let pod = &made.get("Deployment", "shed")["spec"]["template"]["spec"];
        assert_eq!(pod["terminationGracePeriodSeconds"], grace);
        assert_eq!(toml["node"]["drain_timeout"].as_str(), Some(&*format!("{drain}s")));
        assert_eq!(toml["node"]["shutdown_delay"].as_str(), Some(&*format!("{delay}s")));
    }
}

#[test]
fn the_store_decides_what_is_made() {
    let own = rendered(USUAL);
    assert_eq!(
        own.get("Job", "shed-migration")["metadata"]["annotations"]["helm.sh/hook"],
        "pre-install,pre-upgrade"
    );
    assert!(own.find("Deployment", "shed-redis").is_none());

    let embedded = rendered("store.embedded=true,auth.insecure=true");
    let set = embedded.get("StatefulSet", "shed");
    assert_eq!(set["spec"]["replicas"], 1);
    assert_eq!(set["spec"]["volumeClaimTemplates"][0]["metadata"]["name"], "data");
    assert_eq!(variable(set, "TASKSHED_STORE")["value"], "sqlite:/var/lib/taskshed/taskshed.db");
    assert!(embedded.find("Job", "shed-migration").is_none());

    let dev = rendered("devRedis.enabled=true,auth.insecure=true");
    assert_eq!(dev.get("Deployment", "shed-redis")["spec"]["replicas"], 1);
    let node = dev.get("Deployment", "shed");
    assert_eq!(variable(node, "TASKSHED_STORE")["value"], "redis://shed-redis:6379/0");
    assert!(dev.find("Job", "shed-migration").is_none());
    // A store that forgets by design would never pass.
    let tests = dev.get("Pod", "shed-test")["spec"]["containers"].as_array().unwrap();
    assert!(tests.iter().all(|container| container["name"] == "api"), "{tests:?}");
}

/// Handlers come out of the file as they went in, whatever letters they have.
#[test]
fn the_file_says_what_the_values_say() {
    let values =
        r#"{"a \"b\" é":{"exec":["/h","x\"y\\z","<&>"],"timeout":"2m"},"c":{"exec":["/c"]}}"#;
    let extra = r#"extraConfig="[handlers.d]\nexec = [\"/d\"]\n""#;
    let json = format!("handlers={values}");
    let more = ["--set-json", &json, "--set-json", extra];
    let made = Objects(objects(&template("helm4", USUAL, &more).unwrap()));
    let handlers = &made.toml("shed")["handlers"];

    let odd = &handlers["a \"b\" é"];
    let exec: Vec<_> =
        odd["exec"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
    assert_eq!(exec, ["/h", "x\"y\\z", "<&>"]);
    assert_eq!(odd["timeout"].as_str(), Some("2m"));
    assert!(handlers["c"].get("timeout").is_none());
    assert_eq!(handlers["d"]["exec"][0].as_str(), Some("/d"));
}

/// Schedules come out as they went in, under the number of the release.
#[test]
fn the_file_has_the_schedules() {
    let json = r#"schedules={"a.b":{"callback":"x","interval":90,"coalesce":false,
        "kwargs":{"n":[1,2.5,{"m":"é"}],"e":{}}}}"#;
    let more = ["--set-json", json];
    let made = Objects(objects(&template("helm4", USUAL, &more).unwrap()));
    let schedules = &made.toml("shed")["schedules"];

    assert_eq!(schedules["revision"].as_integer(), Some(1));
    let one = &schedules["a.b"];
    assert_eq!((one["interval"].as_integer(), one["coalesce"].as_bool()), (Some(90), Some(false)));
    let numbers = &one["kwargs"]["n"];
    assert_eq!((numbers[0].as_integer(), numbers[1].as_float()), (Some(1), Some(2.5)));
    assert_eq!(numbers[2]["m"].as_str(), Some("é"));
}

/// A change of the file rolls the pods, anything else in a release does not.
#[test]
fn pods_are_replaced_when_their_file_changes() {
    let sum = |set: &str| {
        let made = rendered(set);
        made.get("Deployment", "shed")["spec"]["template"]["metadata"]["annotations"].clone()
    };
    assert_ne!(sum(USUAL), sum(&format!("{USUAL},node.lease=5s")));
    assert_eq!(sum(USUAL), sum(&format!("{USUAL},service.port=80")));
}

/// An image of a user's may have another entry point, or none; the program is at the place where ours has it.
#[test]
fn every_pod_names_its_program() {
    let made = rendered(&format!("{USUAL},test.tokenSecret=r"));
    let place = "/usr/bin/taskshed";

    for container in made.pods().flat_map(|pod| pod["containers"].as_array().unwrap()) {
        assert_eq!(container["command"], serde_json::json!([place]), "{container}");
    }
    let file = read("helm/Containerfile");
    assert!(file.contains("ENTRYPOINT [\"/usr/bin/taskshed\"]"));
    assert!(file.contains("/image/usr/bin/"));
}

/// PID 1 of a pod that runs commands is not the node, which reaps nothing that it did not start.
#[test]
fn something_reaps_in_pods_that_run_commands() {
    let made = rendered(USUAL);
    let pod = &made.get("Deployment", "shed")["spec"]["template"]["spec"];

    assert_eq!(pod["shareProcessNamespace"], true);
    assert!(made.pods().all(|pod| of_pod(pod, "/hostPID").is_null()));
}

/// A pod that is not ready keeps no machine from being drained, where Kubernetes can be told so.
#[test]
fn budgets_are_for_pods_that_are_well() {
    let policy = |version: &str| {
        let made = template("helm4", USUAL, &["--kube-version", version]).unwrap();
        let made = Objects(objects(&made));
        let budget = made.get("PodDisruptionBudget", "shed");
        field(budget, "/spec/unhealthyPodEvictionPolicy").clone()
    };
    assert_eq!(policy("1.26.0"), Value::Null);
    assert_eq!(policy("1.27.0"), "AlwaysAllow");
    assert_eq!(policy("1.37.0"), "AlwaysAllow");
}
