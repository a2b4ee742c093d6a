//! Objects of kinds that no Kubernetes has by itself, held against what their operators read of them, as far as the
//! chart uses it.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// The fields of each kind. A name with `!` must be there; `[shape]` is a list, `{"*": shape}` a map of any names.
fn shape(kind: &str) -> Option<Value> {
    let texts = json!({"*": "text"});
    Some(match kind {
        "ScaledObject" => json!({
            "scaleTargetRef!": {"name!": "text"},
            "minReplicaCount": "count",
            "maxReplicaCount": "count",
            "pollingInterval": "count",
            "triggers!": [{
                "type!": "text",
                "metadata!": {
                    "url!": "text",
                    "valueLocation!": "text",
                    "targetValue!": "text",
                    "unsafeSsl": "text",
                    "authMode": "text",
                },
                "authenticationRef": {"name!": "text"},
            }],
        }),
        "TriggerAuthentication" => json!({
            "secretTargetRef!": [{"parameter!": "text", "name!": "text", "key!": "text"}],
        }),
        "ServiceMonitor" => json!({
            "selector!": {"matchLabels!": texts},
            "podTargetLabels": ["text"],
            "endpoints!": [{
                "port!": "text",
                "path": "text",
                "interval": "text",
                "scheme": "text",
                "tlsConfig": {"serverName": "text"},
            }],
        }),
        "PrometheusRule" => json!({
            "groups!": [{
                "name!": "text",
                "rules!": [{
                    "alert!": "text",
                    "expr!": "text",
                    "for": "text",
                    "labels": texts,
                    "annotations": texts,
                }],
            }],
        }),
        _ => return None,
    })
}

/// The shape of a whole object of such a kind.
pub(crate) fn whole(kind: &str) -> Option<Value> {
    let metadata = json!({"name!": "text", "labels": {"*": "text"}});
    let spec = shape(kind)?;
    Some(json!({"apiVersion!": "text", "kind!": "text", "metadata!": metadata, "spec!": spec}))
}

/// Whether a shape has what a path names.
pub(crate) fn has(shape: &Value, path: &str) -> bool {
    let mut parts = path.split('/').skip(1);
    let found = parts.try_fold(shape, |at, part| match at {
        Value::Array(shapes) => shapes.first(),
        Value::Object(fields) => known(fields, part),
        _ => None,
    });
    found.is_some()
}

/// Whether it is such a kind; if so, what is wrong with the object, or nothing.
pub(crate) fn look(object: &Value) -> Option<String> {
    let whole = whole(object["kind"].as_str().unwrap())?;
    let mut wrong = Vec::new();
    compare(object, &whole, "", &mut wrong);
    Some(wrong.join(", "))
}

/// The shape of a field by its name.
fn known<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    [name, &format!("{name}!"), "*"].into_iter().find_map(|known| fields.get(known))
}

fn compare(value: &Value, shape: &Value, at: &str, wrong: &mut Vec<String>) {
    match (shape, value) {
        (Value::String(kind), _) => {
            let is_it = if kind == "text" { value.is_string() } else { value.is_u64() };
            if !is_it {
                wrong.push(format!("{at} is no {kind}: {value}"));
            }
        }
        (Value::Array(shapes), Value::Array(items)) => {
            for item in items {
                compare(item, &shapes[0], &format!("{at}[]"), wrong);
            }
            if items.is_empty() {
                wrong.push(format!("{at} is empty"));
            }
        }
        (Value::Object(fields), Value::Object(given)) => {
            for (name, value) in given {
                let place = format!("{at}.{name}");
                match known(fields, name) {
                    Some(shape) => compare(value, shape, &place, wrong),
                    None => wrong.push(format!("{place} is unknown")),
                }
            }
            let needed = fields.keys().filter_map(|name| name.strip_suffix('!'));
            let missing = needed.filter(|name| !given.contains_key(*name));
            wrong.extend(missing.map(|name| format!("{at}.{name} is missing")));
        }
        _ => wrong.push(format!("{at} has another shape: {value}")),
    }
}

/// The comparison would see a field that is misspelt, missing, or of another type.
#[test]
fn a_wrong_extension_is_seen() {
    let auth = |reference: Value| {
        look(&json!({
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "TriggerAuthentication",
            "metadata": {"name": "a"},
            "spec": {"secretTargetRef": reference},
        }))
    };
    let whole = json!({"parameter": "token", "name": "a", "key": "b"});
    assert_eq!(auth(json!([whole])).as_deref(), Some(""));
    for (reference, word) in [
        (json!([{"parameter": "token", "name": "a", "key": 5}]), ".key is no text"),
        (json!([{"parameter": "token", "name": "a"}]), ".key is missing"),
        (json!([{"parameter": "token", "name": "a", "key": "b", "keys": "b"}]), ".keys is unknown"),
        (json!([]), "is empty"),
        (json!(whole), "has another shape"),
    ] {
        let wrong = auth(reference).unwrap();
        assert!(wrong.contains(word), "{wrong}");
    }
    assert_eq!(look(&json!({"kind": "Service"})), None);
}
