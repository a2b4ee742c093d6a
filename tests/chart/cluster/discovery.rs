//! What the server tells of itself. Its documents say that it looks at fields itself, so that helm leaves
//! that to it; other tests hold the chart against the schemas of Kubernetes.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::json;

use super::objects::KINDS;
use super::objects::Kind;

/// What the server can do.
pub(super) fn discovery(path: &str) -> Option<Value> {
    match path {
        "/version" => {
            return Some(json!({
                "major": "1", "minor": "34", "gitVersion": "v1.34.0", "platform": "linux/amd64",
            }));
        }
        "/api" => return Some(json!({"kind": "APIVersions", "versions": ["v1"]})),
        "/apis" => return Some(groups()),
        "/openapi/v3" => return Some(documents()),
        _ => {}
    }
    if let Some(path) = path.strip_prefix("/openapi/v3") {
        return KINDS.iter().any(|kind| path == root(kind)).then(|| document(path));
    }
    let known = KINDS.iter().find(|kind| path == root(kind))?;
    let of_group = KINDS.iter().filter(|kind| kind.group_version == known.group_version);
    let resources: Vec<_> = of_group
        .map(|kind| {
            json!({
                "name": kind.plural,
                "singularName": kind.name.to_lowercase(),
                "kind": kind.name,
                "namespaced": kind.name != "Namespace",
                "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
            })
        })
        .collect();
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": known.group_version,
        "resources": resources,
    }))
}

fn groups() -> Value {
    let mut versions: Vec<_> = KINDS.iter().map(|kind| kind.group_version).collect();
    versions.dedup();
    let groups: Vec<_> = versions
        .iter()
        .filter_map(|group_version| {
            let (group, version) = group_version.split_once('/')?;
            let version = json!({"groupVersion": group_version, "version": version});
            Some(json!({"name": group, "versions": [version], "preferredVersion": version}))
        })
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// Where the objects of a kind are.
pub(super) fn root(kind: &Kind) -> String {
    let prefix = if kind.group_version.contains('/') { "/apis" } else { "/api" };
    format!("{prefix}/{}", kind.group_version)
}

/// Where the document of each group is.
fn documents() -> Value {
    let documents: BTreeMap<_, _> = KINDS
        .iter()
        .map(|kind| {
            (
                root(kind)[1..].to_owned(),
                json!({"serverRelativeURL": format!("/openapi/v3{}", root(kind))}),
            )
        })
        .collect();
    json!({ "paths": documents })
}

/// The document of a group: for each kind, that a patch of it may ask for strict fields.
fn document(path: &str) -> Value {
    let of_group = KINDS.iter().filter(|kind| path == root(kind));
    let paths: BTreeMap<_, _> = of_group
        .map(|kind| {
            let (group, version) =
                kind.group_version.split_once('/').unwrap_or(("", kind.group_version));
            let patch = json!({
                "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
                "responses": {},
                "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind.name},
            });
            (format!("{path}/namespaces/{{namespace}}/{}/{{name}}", kind.plural), json!({ "patch": patch }))
        })
        .collect();
    json!({"openapi": "3.0.0", "info": {"title": "tests", "version": "1"}, "paths": paths})
}
