//! What cannot work is refused before anything is installed.

use std::process::Command;

use crate::helm::EXTENDED_CLUSTER;
use crate::helm::HELMS;
use crate::helm::KEDA_IN_CLUSTER;
use crate::helm::USUAL;
use crate::helm::chart;
use crate::helm::run;
use crate::helm::template;
use crate::helm::tool;

/// Refused values on top of a whole installation, and a word that the refusal must have.
const REFUSED: [(&str, &str); 75] = [
    ("concurrency=0", "concurrency"),
    ("concurrency=100001", "concurrency"),
    ("node.lease=soon", "lease"),
    ("node.lease=10", "lease"),
    ("node.drainTimeoutSeconds=25s", "drainTimeoutSeconds"),
    ("node.shutdownDelaySeconds=-1", "shutdownDelaySeconds"),
    ("node.leese=10s", "leese"),
    ("colour=red", "colour"),
    ("queues={}", "queues"),
    ("queues={a b}", "queues"),
    ("queues={a=0}", "queues"),
    ("image.digest=sha256:12", "digest"),
    ("store.embedded=true", ""),
    ("devRedis.enabled=true", ""),
    ("store.existingSecret=", ""),
    ("store.url=redis://me:pw@host", "url"),
    ("store.durability=disk", "durability"),
    ("auth.existingSecret=", "auth"),
    ("handlers.a.shell=true", "handlers"),
    ("handlers.a.exec=", "exec"),
    ("handlers.a.http=https://x,handlers.a.secret=hunter2", "secret"),
    ("handlers.a.http=https://x,handlers.a.exec={x}", "handlers"),
    ("schedules.a.callback=x", "schedules"),
    ("extraConfig=store = \"redis://host\"", "extraConfig"),
    ("env[0].name=TASKSHED_STORE", "env"),
    ("node.lease=999ms", "node.lease: 999ms is out of range"),
    ("node.lease=9m61s", "node.lease: 9m61s is out of range"),
    ("node.lease=5s1m", "lease"),
    ("node.defaultTimeout=0s", "node.defaultTimeout: 0s is out of range"),
    ("store.keepDead=40000d", "store.keepDead: 40000d is out of range"),
    ("node.wake=polling:soon", "wake"),
    ("node.wake=polling:10us", "node.wake: 10us is out of range"),
    ("node.listenAddress=127.0.0.1", "listenAddress"),
    ("node.listenAddress=[::1]", "listenAddress"),
    ("store.durability=replicated:256", "durability"),
    ("queues={a,a=5}", "queues: a is there twice"),
    ("handlers.a.exec={x},handlers.a.concurrency=2", "handlers"),
    ("handlers.a.exec={x},handlers.a.secret.env=TASKSHED_X", "handlers"),
    ("handlers.a.exec={}", "exec"),
    ("handlers.a.exec[0]=", "exec"),
    ("handlers.a.exec={x},handlers.a.timeout=0s", "handlers.a.timeout: 0s is out of range"),
    ("handlers.a.http=https://me:pw@x/", "http"),
    ("handlers.a.http=https://", "http"),
    ("handlers.a.http=https://x/#y", "http"),
    ("handlers.a.http=https://x,handlers.a.headers.a b.env=TASKSHED_X", "a b"),
    ("schedules.a b.callback=x,schedules.a b.interval=5s", "a b"),
    ("schedules.revision.callback=x,schedules.revision.interval=5s", "revision"),
    ("schedules.a.callback=x,schedules.a.every=5s", "schedules"),
    ("schedules.a.callback=x,schedules.a.interval=5s,schedules.a.task_id=t", "schedules"),
    ("schedules.a.callback=x,schedules.a.interval=0", "schedules"),
    ("extraConfig=[node]", "extraConfig: [node]"),
    ("resources.requests.memory=300Mi", "resources: more memory is requested"),
    ("pools.a.resources.limits.memory=32Mi", "pools.a: resources: more memory is requested"),
    ("resources.limits.cpu=50m", "resources: more cpu is requested"),
    ("resources.limits.memory=64mi", "memory"),
    ("podLabels.taskshed/pool=x", "taskshed/pool"),
    ("volumes[0].name=tmp", "volumes"),
    ("volumes[0].name=a,volumes[1].name=a", "volumes: a is there twice"),
    ("volumeMounts[0].name=a,volumeMounts[0].mountPath=/a", "no volume is called a"),
    ("volumes[0].name=a,volumeMounts[0].name=a,volumeMounts[0].mountPath=/tmp", "mountPath"),
    ("env[0].name=TASKSHED_QUEUES", "env"),
    ("env[0].name=TASKSHED_INSECURE", "env"),
    ("env[0].name=A B", "env"),
    ("env[0].name=A,env[1].name=A", "env: A is there twice"),
    ("pools.default.leader=false", "nobody would take back"),
    ("pools.default=null", "there must be one"),
    ("pools.Upper.run=false", ""),
    ("pools.a.replica=3", "replica"),
    ("autoscaling.enabled=true,autoscaling.minReplicas=11", "minReplicas is above"),
    ("autoscaling.enabled=true,keda.enabled=true,keda.tokenSecret=t", "enable one"),
    ("keda.enabled=true", "keda.tokenSecret"),
    ("metrics.enabled=true", "metrics"),
    ("metrics.serviceMonitor.interval=often", "interval"),
    ("metrics.rules.without={NoLeader}", "without"),
    ("metrics.rules.enabled=true", "needs the Prometheus operator"),
];

#[test]
fn what_cannot_work_is_refused_by_name() {
    for (helm, (set, word)) in HELMS.iter().flat_map(|helm| REFUSED.map(|each| (helm, each))) {
        let whole = format!("{USUAL},{set}");
        match template(helm, &whole, &KEDA_IN_CLUSTER) {
            Ok(_) => panic!("{helm} takes {set}"),
            Err(said) => assert!(said.contains(word), "{helm} {set}: {said}"),
        }
    }
}

/// What the chart takes of the same kind, so that the refusals are not too wide.
#[test]
fn what_can_work_is_taken() {
    for set in [
        "node.lease=1s,node.wake=polling:1.5s,node.defaultTimeout=1h30m,store.keepDead=0s",
        "node.lease=10m,node.listenAddress=[::],store.durability=replicated:255",
        "handlers.a.http=https://x:8443/y?z=a@b,handlers.a.concurrency=9,handlers.a.headers.X-A.env=TASKSHED_A",
        "schedules.a.callback=x,schedules.a.interval=90,schedules.a.kwargs.deep.er=1",
        "resources.requests.cpu=2,resources.limits.cpu=2500m,resources.limits.memory=1Gi",
        "volumes[0].name=data,volumes[0].emptyDir.sizeLimit=1Gi,volumeMounts[0].name=data,volumeMounts[0].mountPath=/data",
        "env[0].name=TASKSHED_SERVER,env[0].value=http://shed:8090,env[1].name=TASKSHED_MAX_KWARGS_BYTES,env[1].value=9",
        "extraConfig=[handlers.d]",
    ] {
        for helm in HELMS {
            template(helm, &format!("{USUAL},{set}"), &[])
                .unwrap_or_else(|said| panic!("{helm} {set}: {said}"));
        }
    }
}

#[test]
fn a_store_promises_what_it_can() {
    for (set, word) in [
        ("store.embedded=true,store.durability=replicated:1", "has no replicas"),
        ("store.embedded=true,volumes[0].name=data", "volumes: data is there twice"),
        ("devRedis.enabled=true,store.durability=fsync", "nothing but its memory"),
        ("devRedis.enabled=true,pools.redis.leader=false", "pools.redis: this is the name"),
    ] {
        let said = template("helm4", &format!("auth.insecure=true,{set}"), &[]).unwrap_err();
        assert!(said.contains(word), "{set}: {said}");
    }
    let fsync = "auth.insecure=true,store.embedded=true,store.durability=fsync";
    assert!(template("helm4", fsync, &[]).is_ok());
}

/// Objects are named after the release, and a Service cannot be called all that a release can.
#[test]
fn a_release_whose_name_is_not_for_a_service_is_refused() {
    let made = |name: &str, more: &str| {
        let mut command = Command::new(tool("helm4"));
        command.args(["template", name]).arg(chart()).args(["--set", &format!("{USUAL}{more}")]);
        run(&mut command)
    };
    for name in ["1shed", "my.shed"] {
        let (content, said) = made(name, "");
        assert!(!content && said.contains("cannot be the name of a Service"), "{said}");
        assert!(made(name, ",fullnameOverride=shed").0);
    }
    assert!(made("shed-1", "").0);
}

#[test]
fn nothing_is_installed_without_a_store_and_a_lock() {
    for helm in HELMS {
        assert!(template(helm, "", &[]).is_err());
        assert!(template(helm, "auth.insecure=true", &[]).is_err());
        assert!(template(helm, "store.existingSecret=s", &[]).is_err());
    }
}

#[test]
fn a_file_has_one_pod() {
    let trial = "store.embedded=true,auth.insecure=true";
    for more in ["replicas=2", "autoscaling.enabled=true", "pools.b.queues={b}"] {
        let said = template("helm4", &format!("{trial},{more}"), &[]).unwrap_err();
        assert!(said.contains("store.embedded is one pod"), "{said}");
    }
    assert!(template("helm4", &format!("{trial},replicas=1"), &[]).is_ok());
}

#[test]
fn keda_must_be_there_and_somebody_must_be_left_to_ask() {
    let keda = format!("{USUAL},keda.enabled=true,keda.tokenSecret=t");
    let said = template("helm4", &keda, &[]).unwrap_err();
    assert!(said.contains("needs KEDA in the cluster"), "{said}");

    let none = format!("{keda},keda.minReplicas=0");
    let said = template("helm4", &none, &KEDA_IN_CLUSTER).unwrap_err();
    assert!(said.contains("nobody would be there"), "{said}");
    let one = format!("{none},pools.api.run=false,pools.api.keda.enabled=false");
    assert!(template("helm4", &one, &KEDA_IN_CLUSTER).is_ok());
}

/// A pool without a pod leads nobody.
#[test]
fn a_pool_that_always_has_a_pod_must_stand_for_leader() {
    let workers = "pools.work.leader=false,pools.work.queues={w}";
    let keda = "pools.default.keda.enabled=true,keda.tokenSecret=t,pools.default.keda.minReplicas";
    let cpu = "pools.default.autoscaling.enabled=true,pools.default.replicas=0";
    for (set, is_led) in [
        ("replicas=0".to_owned(), false),
        ("pools.default.replicas=0".to_owned(), false),
        ("pools.default.replicas=1".to_owned(), true),
        (format!("{keda}=0"), false),
        (format!("{keda}=1"), true),
        (cpu.to_owned(), true),
    ] {
        match template("helm4", &format!("{USUAL},{workers},{set}"), &KEDA_IN_CLUSTER) {
            Ok(_) => assert!(is_led, "{set}"),
            Err(said) => assert!(!is_led && said.contains("always has a pod"), "{set}: {said}"),
        }
    }
}

#[test]
fn what_the_operator_of_prometheus_reads_needs_it() {
    for part in ["serviceMonitor", "rules"] {
        let set = format!("{USUAL},metrics.{part}.enabled=true");
        let said = template("helm4", &set, &[]).unwrap_err();
        assert!(said.contains(&format!("metrics.{part}.enabled needs the Prometheus")), "{said}");
        assert!(template("helm4", &set, &EXTENDED_CLUSTER).is_ok());
    }
    assert!(template("helm4", &format!("{USUAL},metrics.dashboard.enabled=true"), &[]).is_ok());
}

#[test]
fn an_old_kubernetes_is_refused() {
    for helm in HELMS {
        let said = template(helm, USUAL, &["--kube-version", "1.24.0"]).unwrap_err();
        assert!(said.contains("incompatible"), "{said}");
    }
}
