//! What others look for in a chart and a Containerfile.

use std::process::Command;

use crate::helm::USUAL;
use crate::helm::read;
use crate::helm::run;
use crate::helm::template;

/// Checks that do not fit, with the reason.
const SKIPPED: [(&str, &str); 9] = [
    ("CKV_K8S_11", "a limit of CPU would stop the renewal of leases together with the work"),
    ("CKV_K8S_14", "the tag is the version of the chart; who wants more sets a digest"),
    ("CKV_K8S_43", "the digest is that of the user's image"),
    ("CKV_K8S_21", "helm chooses the namespace"),
    ("CKV_K8S_8", "the pod of the test ends by itself"),
    ("CKV_K8S_9", "the pod of the test ends by itself"),
    ("CKV2_K8S_6", "the pods of the migration and of the test listen nowhere"),
    ("CKV_K8S_15", "IfNotPresent is right for tags that do not move"),
    ("CKV_K8S_35", "a variable is what the program reads; the Secret is the user's"),
];

/// A tool of `.ci/chart-tools policy`, which a plain run does not fetch because it is large.
fn policy_tool(name: &str) -> Command {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/chart-tools");
    let (content, folder) = run(Command::new(script).arg("policy"));
    assert!(content, "{folder}");
    Command::new(std::path::Path::new(folder.trim()).join(name))
}

#[test]
fn checkov_finds_nothing_that_was_not_thought_of() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("release.yaml");
    std::fs::write(&file, template("helm4", USUAL, &[]).unwrap()).unwrap();
    let skipped: Vec<_> = SKIPPED.iter().map(|(check, _)| *check).collect();

    let mut checkov = policy_tool("checkov/bin/checkov");
    let args = ["--framework", "kubernetes", "--compact", "--quiet", "--skip-download"];
    let (content, said) =
        run(checkov.arg("-f").arg(&file).args(args).args(["--skip-check", &skipped.join(",")]));

    assert!(content, "{said}");
}

#[test]
fn hadolint_finds_nothing() {
    let mut hadolint = policy_tool("hadolint/bin/hadolint");
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("helm/Containerfile");

    let (content, said) = run(hadolint.arg(path));

    assert!(content, "{said}");
    assert!(read("helm/Containerfile").contains("FROM scratch"));
}
