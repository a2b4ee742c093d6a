//! What others look for in a chart and a Containerfile.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::helm::EXTENDED_CLUSTER;
use crate::helm::read;
use crate::helm::run;
use crate::helm::template;
use crate::rendered::MATRIX;

/// Findings that are right as they are: the check, what it is about (all, if nothing is named), and why.
const REASONS: [(&str, &str, &str); 10] = [
    ("CKV_K8S_11", "", "a limit of CPU would stop the renewal of leases together with the work"),
    ("CKV_K8S_43", "", "the digest is that of the user's image"),
    ("CKV_K8S_21", "", "helm chooses the namespace"),
    ("CKV_K8S_15", "", "IfNotPresent is right for tags that do not move"),
    ("CKV_K8S_35", "", "a variable is what the program reads; the Secret is the user's"),
    ("CKV_K8S_8", "-test", "the pod of the test ends by itself"),
    ("CKV_K8S_9", "-test", "the pod of the test ends by itself"),
    ("CKV2_K8S_6", "-test", "the pod of the test listens nowhere"),
    ("CKV2_K8S_6", "-migration", "the pod of the migration listens nowhere"),
    ("CKV2_K8S_6", "-redis", "the chart's Redis is for development, and is to be looked at"),
];

/// A tool of `.ci/chart-tools policy`, which a plain run does not fetch because it is large.
fn policy_tool(name: &str) -> Command {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/chart-tools");
    let (content, folder) = run(Command::new(script).arg("policy"));
    assert!(content, "{folder}");
    Command::new(std::path::Path::new(folder.trim()).join(name))
}

/// Nothing is found in any installation of the matrix for which no reason stands above, and each reason is needed.
#[test]
fn checkov_finds_nothing_that_was_not_thought_of() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut checkov = policy_tool("checkov/bin/checkov");
    for (set, number) in MATRIX.iter().zip(1..) {
        let file = dir.path().join(format!("{number}.yaml"));
        std::fs::write(&file, template("helm4", set, &EXTENDED_CLUSTER).unwrap()).unwrap();
        checkov.arg("-f").arg(file);
    }
    checkov.args(["--framework", "kubernetes", "--skip-download"]);
    // Findings are told by its exit code, too; the report has them.
    let report = checkov.args(["--compact", "--output", "json"]).output().unwrap().stdout;
    let report: Value = serde_json::from_slice(&report).unwrap();

    println!("checkov: {}", report["summary"]);
    assert!(report["summary"]["passed"].as_u64().unwrap() > 1000, "{}", report["summary"]);
    assert_eq!(report["summary"]["parsing_errors"], 0);
    let mut unneeded: BTreeSet<_> = REASONS.into_iter().collect();
    for finding in report["results"]["failed_checks"].as_array().unwrap() {
        let (check, of) = (&finding["check_id"], finding["resource"].as_str().unwrap());
        let fits = |(known, about, _): &&(&str, &str, &str)| check == known && of.contains(about);
        let reason = REASONS.iter().find(fits);
        unneeded
            .remove(reason.unwrap_or_else(|| panic!("{check} {of}: {}", finding["check_name"])));
    }
    assert!(unneeded.is_empty(), "{unneeded:?}");
}

#[test]
fn hadolint_finds_nothing() {
    let mut hadolint = policy_tool("hadolint/bin/hadolint");
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("helm/Containerfile");

    let (content, said) = run(hadolint.arg(path));

    assert!(content, "{said}");
    assert!(read("helm/Containerfile").contains("FROM scratch"));
}
