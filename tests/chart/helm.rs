//! Runs helm, in both of its living versions.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::Value;

/// Both versions that people have.
pub(crate) const HELMS: [&str; 2] = ["helm3", "helm4"];

/// Tells helm that the cluster has KEDA.
pub(crate) const KEDA_IN_CLUSTER: [&str; 2] = ["--api-versions", "keda.sh/v1alpha1"];

/// Tells helm that the cluster has the operator of Prometheus, too.
pub(crate) const EXTENDED_CLUSTER: [&str; 4] =
    ["--api-versions", "keda.sh/v1alpha1", "--api-versions", "monitoring.coreos.com/v1"];

/// Values that make a whole installation, and no more.
pub(crate) const USUAL: &str = "store.existingSecret=store,auth.existingSecret=tokens";

/// The folder of the chart.
pub(crate) fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("helm/taskshed")
}

/// A file of the repository.
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// A program that `.ci/chart-tools` fetches.
pub(crate) fn tool(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/chart-tools");
        let output = Command::new(script).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
    });
    folder.join(name)
}

/// Runs a program and answers what it wrote, its errors last, and whether it was content.
pub(crate) fn run(command: &mut Command) -> (bool, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
    (status.success(), text.into_owned())
}

/// `helm template` with `--set` of these values and more arguments.
pub(crate) fn template(helm: &str, set: &str, more: &[&str]) -> Result<String, String> {
    let mut command = Command::new(tool(helm));
    command.args(["template", "shed", "--namespace", "jobs"]).arg(chart());
    if !set.is_empty() {
        command.args(["--set", set]);
    }
    let output = command.args(more).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// The objects of a text of YAML.
pub(crate) fn objects(yaml: &str) -> Vec<Value> {
    let documents = yaml_serde::Deserializer::from_str(yaml);
    let objects = documents.map(|document| Value::deserialize(document).unwrap());
    objects.filter(|object| !object.is_null()).collect()
}

/// What helm 4 makes of these values.
pub(crate) fn rendered(set: &str) -> Objects {
    Objects(objects(&template("helm4", set, &[]).unwrap_or_else(|error| panic!("{error}"))))
}

/// Objects of a release.
#[derive(Debug)]
pub(crate) struct Objects(pub(crate) Vec<Value>);

impl Objects {
    /// The one of this kind and name.
    pub(crate) fn get(&self, kind: &str, name: &str) -> &Value {
        self.find(kind, name).unwrap_or_else(|| panic!("there is no {kind} {name}"))
    }

    /// The same, if it is there.
    pub(crate) fn find(&self, kind: &str, name: &str) -> Option<&Value> {
        let is_it = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
        self.0.iter().find(is_it)
    }

    /// The templates of all pods.
    pub(crate) fn pods(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().filter_map(|object| match object["kind"].as_str()? {
            "Deployment" | "StatefulSet" | "Job" => object.pointer("/spec/template/spec"),
            "Pod" => object.get("spec"),
            _ => None,
        })
    }

    /// What the file of the nodes says.
    pub(crate) fn toml(&self, name: &str) -> toml::Table {
        let text = self.get("ConfigMap", name)["data"]["taskshed.toml"].as_str().unwrap();
        text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"))
    }
}

/// A variable of the first container of a workload.
pub(crate) fn variable<'a>(workload: &'a Value, name: &str) -> &'a Value {
    let env = workload.pointer("/spec/template/spec/containers/0/env").unwrap().as_array().unwrap();
    let found = env.iter().find(|variable| variable["name"] == name);
    found.unwrap_or_else(|| panic!("there is no {name}"))
}
