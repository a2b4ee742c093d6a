//! Which objects a request wants.

use serde::Deserialize;
use serde_json::Value;

/// The query of a request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(crate) struct Selection {
    label_selector: String,
    field_selector: String,
    watch: String,
    resource_version: String,
    send_initial_events: String,
}

impl Selection {
    pub(crate) fn is_watch(&self) -> bool {
        matches!(self.watch.as_str(), "1" | "true")
    }

    pub(crate) fn wants_initial_events(&self) -> bool {
        self.send_initial_events == "true"
    }

    /// The version after which events are wanted; nothing if it is what is there now and all events since.
    pub(crate) fn version(&self) -> Option<usize> {
        self.resource_version.parse().ok().filter(|version| *version > 0)
    }

    pub(crate) fn wants(&self, object: &Value) -> bool {
        let metadata = &object["metadata"];
        let is_named = self.field_selector.split(',').all(|field| {
            let name =
                field.strip_prefix("metadata.name=").map(|name| name.trim_start_matches('='));
            name.is_none_or(|name| metadata["name"] == name)
        });
        is_named && requirements(&self.label_selector).all(|one| is_met(one, &metadata["labels"]))
    }
}

/// The parts of a selector, which commas divide except in a list.
fn requirements(selector: &str) -> impl Iterator<Item = &str> {
    let mut is_in_list = false;
    let parts = selector.split(move |letter| {
        is_in_list = (is_in_list || letter == '(') && letter != ')';
        letter == ',' && !is_in_list
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

fn is_met(requirement: &str, labels: &Value) -> bool {
    if let Some((name, list)) = requirement.split_once(" in ") {
        let list = list.trim().trim_start_matches('(').trim_end_matches(')');
        return list.split(',').any(|value| labels[name] == value.trim());
    }
    if let Some((name, list)) = requirement.split_once(" notin ") {
        let list = list.trim().trim_start_matches('(').trim_end_matches(')');
        return list.split(',').all(|value| labels[name] != value.trim());
    }
    if let Some((name, value)) = requirement.split_once("!=") {
        return labels[name] != value;
    }
    if let Some((name, value)) = requirement.split_once('=') {
        return labels[name] == value.trim_start_matches('=');
    }
    match requirement.strip_prefix('!') {
        Some(name) => labels[name].is_null(),
        None => !labels[requirement].is_null(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_are_asked_for_in_all_ways() {
        let object = json!({"metadata": {"name": "x", "labels": {"a": "1", "b": "2"}}});
        let wants = |selector: &str| {
            Selection { label_selector: selector.to_owned(), ..Selection::default() }.wants(&object)
        };

        for met in ["", "a=1", "a==1,b=2", "a", "!c", "a!=2", "a in (0,1),b", "a notin (2, 3)"] {
            assert!(wants(met), "{met}");
        }
        for unmet in ["a=2", "a=1,b=1", "c", "!a", "a!=1", "a in (2,3)", "a notin (1)"] {
            assert!(!wants(unmet), "{unmet}");
        }
    }
}
