//! Fields of objects by path. Kubernetes must have them, by its schemas: a misspelt one would else look like one that
//! is not set, and what asserts that could not fail.

use std::sync::OnceLock;

use serde_json::Value;

use crate::extensions;
use crate::helm::tool;

/// The newest schemas, of which the path is asked.
const SCHEMAS: &str =
    "kubernetes_validate/kubernetes-json-schema/v1.37.0-local-strict/_definitions.json";

/// What stands at a path such as `/spec/replicas` of an object, or null if nothing does.
pub(crate) fn field<'a>(object: &'a Value, path: &str) -> &'a Value {
    let text = |name: &str| object[name].as_str().unwrap();
    let kind = text("kind");
    let is_known = if let Some(shape) = extensions::whole(kind) {
        extensions::has(&shape, path)
    } else {
        let (group, version) =
            text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
        let is_it = |definition: &&Value| {
            let kinds = definition["x-kubernetes-group-version-kind"].as_array();
            kinds
                .into_iter()
                .flatten()
                .any(|it| it["group"] == group && it["version"] == version && it["kind"] == kind)
        };
        let definition = definitions().as_object().unwrap().values().find(is_it);
        has(definition.unwrap_or_else(|| panic!("there is no kind {kind}")), path)
    };
    assert!(is_known, "{kind} has no field {path}");
    object.pointer(path).unwrap_or(&Value::Null)
}

/// The same of the spec of a pod.
pub(crate) fn of_pod<'a>(spec: &'a Value, path: &str) -> &'a Value {
    assert!(has(&definitions()["io.k8s.api.core.v1.PodSpec"], path), "a pod has no field {path}");
    spec.pointer(path).unwrap_or(&Value::Null)
}

/// The same of a container.
pub(crate) fn of_container<'a>(container: &'a Value, path: &str) -> &'a Value {
    let is_known = has(&definitions()["io.k8s.api.core.v1.Container"], path);
    assert!(is_known, "a container has no field {path}");
    container.pointer(path).unwrap_or(&Value::Null)
}

fn definitions() -> &'static Value {
    static READ: OnceLock<Value> = OnceLock::new();
    let read = READ.get_or_init(|| {
        let libraries = std::fs::read_dir(tool("schemas/lib")).unwrap();
        let mut places = libraries.map(|it| it.unwrap().path().join("site-packages").join(SCHEMAS));
        let text = std::fs::read_to_string(places.find(|place| place.exists()).unwrap());
        serde_json::from_str(&text.unwrap()).unwrap()
    });
    &read["$defs"]
}

/// Whether a definition has what a path names.
fn has(definition: &Value, path: &str) -> bool {
    let mut at = definition;
    for part in path.split('/').skip(1) {
        at = resolved(at);
        let next = if part.bytes().all(|byte| byte.is_ascii_digit()) {
            at.get("items")
        } else {
            at["properties"].get(part.replace("~1", "/"))
        };
        match next.or(at.get("additionalProperties").filter(|any| any.is_object())) {
            Some(next) => at = next,
            None => return false,
        }
    }
    true
}

fn resolved(definition: &Value) -> &Value {
    let name = definition["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
    name.map_or(definition, |name| &definitions()[name])
}

#[test]
fn a_misspelt_path_is_seen() {
    let object = serde_json::json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {
        "labels": {"a/b": "c"}}, "spec": {"template": {"spec": {"containers": [{"name": "x"}]}}}});
    let labels = field(&object, "/metadata/labels/a~1b");
    assert_eq!(labels, "c");
    assert_eq!(field(&object, "/spec/template/spec/containers/0/name"), "x");
    assert!(field(&object, "/spec/template/spec/containers/0/resources/limits/cpu").is_null());
    for path in
        ["/spec/replica", "/spec/template/spec/hostPid", "/spec/template/spec/containers/0/arg"]
    {
        assert!(std::panic::catch_unwind(|| field(&object, path)).is_err(), "{path}");
    }
    let scaled = serde_json::json!({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject"});
    assert!(field(&scaled, "/spec/triggers/0/metadata/unsafeSsl").is_null());
    assert!(std::panic::catch_unwind(|| field(&scaled, "/spec/triggers/0/meta")).is_err());
}
