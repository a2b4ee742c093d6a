//! What cannot work is refused before anything is installed.

use crate::helm::EXTENDED_CLUSTER;
use crate::helm::HELMS;
use crate::helm::KEDA_IN_CLUSTER;
use crate::helm::USUAL;
use crate::helm::template;

/// Refused values on top of a whole installation, and a word that the refusal must have.
const REFUSED: [(&str, &str); 36] = [
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
