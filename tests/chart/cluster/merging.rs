//! How a change is put into an object, in the three ways that helm asks for it.

use serde_json::Map;
use serde_json::Value;

/// A merge patch (RFC 7396): what is null goes, objects are merged, all else is replaced.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    let target = as_object(target);
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// Server-side apply by the only one who applies: what it named before and names no more goes, what
/// others set stays.
pub(crate) fn apply(target: &mut Value, before: &Value, now: &Value) {
    let Value::Object(now) = now else {
        *target = now.clone();
        return;
    };
    let target = as_object(target);
    for name in before.as_object().into_iter().flat_map(Map::keys) {
        if !now.contains_key(name) {
            target.remove(name);
        }
    }
    for (name, value) in now {
        apply(target.entry(name).or_insert(Value::Null), &before[name], value);
    }
}

/// A strategic merge patch, which helm 3 sends: lists of named things are merged by that name.
pub(crate) fn strategic(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    let target = as_object(target);
    if let Some(Value::Array(kept)) = patch.get("$retainKeys") {
        target.retain(|name, _| kept.iter().any(|kept| kept == name));
    }
    for (name, value) in patch {
        if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
            if let (Some(Value::Array(items)), Value::Array(gone)) = (target.get_mut(list), value) {
                items.retain(|item| !gone.contains(item));
            }
        } else if name.starts_with('$') {
            // The order of lists, and what was done above.
        } else if value.is_null() {
            target.remove(name);
        } else if let (Some(key), Value::Array(changes)) = (merge_key(name, value), value) {
            merge_list(target.entry(name).or_insert(Value::Array(Vec::new())), changes, key);
        } else {
            strategic(target.entry(name).or_insert(Value::Null), value);
        }
    }
}

fn merge_list(target: &mut Value, changes: &[Value], key: &str) {
    if !target.is_array() {
        *target = Value::Array(Vec::new());
    }
    let items = target.as_array_mut().unwrap();
    for change in changes {
        let same = items.iter().position(|item| item[key] == change[key]);
        match (same, change["$patch"] == "delete") {
            (Some(at), true) => drop(items.remove(at)),
            (Some(at), false) => strategic(&mut items[at], change),
            (None, true) => {}
            (None, false) => {
                let mut item = Value::Null;
                strategic(&mut item, change);
                items.push(item);
            }
        }
    }
}

/// By what the items of a list are told apart; nothing for a list that is replaced as a whole.
fn merge_key(list: &str, items: &Value) -> Option<&'static str> {
    match list {
        "containers" | "env" | "imagePullSecrets" | "initContainers" | "volumes" => Some("name"),
        "volumeMounts" => Some("mountPath"),
        "ports" if items.pointer("/0/containerPort").is_some() => Some("containerPort"),
        "ports" => Some("port"),
        "topologySpreadConstraints" => Some("topologyKey"),
        _ => None,
    }
}

fn as_object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().unwrap()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_applied_no_more_goes_and_what_others_set_stays() {
        let mut object = json!({"spec": {"a": 1, "b": 2}, "status": {"ready": true}});

        apply(&mut object, &json!({"spec": {"a": 1, "b": 2}}), &json!({"spec": {"b": 3}}));

        assert_eq!(object, json!({"spec": {"b": 3}, "status": {"ready": true}}));
    }

    #[test]
    fn lists_of_named_things_are_merged_by_name() {
        let mut object = json!({"containers": [
            {"name": "x", "image": "old", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
        ]});
        let patch = json!({"$setElementOrder/containers": [{"name": "x"}], "containers": [
            {"name": "x", "image": "new", "env": [{"name": "A", "$patch": "delete"}, {"name": "C", "value": "3"}]},
        ]});

        strategic(&mut object, &patch);

        assert_eq!(
            object,
            json!({"containers": [
                {"name": "x", "image": "new", "env": [{"name": "B", "value": "2"}, {"name": "C", "value": "3"}]},
            ]})
        );
    }
}
