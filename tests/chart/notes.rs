//! What helm says when a release is installed.

use std::process::Command;

use crate::helm::USUAL;
use crate::helm::chart;
use crate::helm::run;
use crate::helm::tool;

/// The notes of a release with these values on top of a whole installation. Helm 3 shows them only where a cluster
/// is; the tests with one see it take the template.
fn notes(more: &str) -> String {
    let mut command = Command::new(tool("helm4"));
    command.args(["install", "shed", "--namespace", "jobs", "--dry-run=client"]).arg(chart());
    let (content, said) = run(command.args(["--set", &format!("{USUAL}{more}")]));
    assert!(content, "{said}");
    said.split_once("NOTES:\n").unwrap().1.to_owned()
}

#[test]
fn they_say_how_to_reach_the_api() {
    let plain = notes("");
    assert!(plain.contains("http://shed.jobs.svc:8090\n"), "{plain}");
    assert!(plain.contains("hash is in the Secret tokens"), "{plain}");
    assert!(plain.contains("There are no handlers"), "{plain}");
    assert!(plain.contains("shed: 64 tasks at once each, from default\n"), "{plain}");
    assert!(plain.contains("A pod that leaves has 35 s"), "{plain}");

    let tls = notes(",tls.existingSecret=t");
    assert!(tls.contains("https://shed.jobs.svc:8090\n"), "{tls}");
    assert!(tls.contains(r"get secret t -o jsonpath='{.data.ca\.crt}'"), "{tls}");
    assert!(tls.contains("SSL_CERT_FILE=ca.crt taskshed --server https://localhost:8090"), "{tls}");
    let public = notes(",tls.existingSecret=t,tls.caKey=");
    assert!(!public.contains("SSL_CERT_FILE") && public.contains("https://localhost"), "{public}");
}

/// 64 commands do not fit into what a pod has by default.
#[test]
fn they_warn_of_commands_without_memory() {
    let exec = ",handlers.a.exec={/a}";
    let warns = |more: &str| notes(more).contains("WARNING: pods of shed run up to 64 commands");

    assert!(warns(exec));
    assert!(!warns(&format!("{exec},concurrency=8")));
    assert!(!warns(&format!("{exec},resources.limits.memory=4Gi")));
    assert!(!warns(",handlers.a.http=http://a.b.svc/"));
    let other = notes(&format!("{exec},concurrency=8,pools.big.concurrency=64"));
    assert!(other.contains("WARNING: pods of shed-big run"), "{other}");
}
