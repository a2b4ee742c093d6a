//! An API server, as far as helm asks one: objects and watches. It admits everything, fills in nothing, and
//! knows no users.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::body::Bytes;
use axum::body::to_bytes;
use axum::extract::Query;
use axum::extract::Request;
use axum::extract::State;
use axum::http::Method;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::response::Response;
use futures_util::stream;
use serde_json::Value;
use serde_json::json;

use super::discovery::discovery;
use super::discovery::root;
use super::merging::apply;
use super::merging::merge;
use super::merging::strategic;
use super::objects::KINDS;
use super::objects::Kept;
use super::objects::Key;
use super::objects::Kind;
use super::objects::Objects;
use super::protobuf;
use super::selection::Selection;

/// The server's routes.
pub(crate) fn router(objects: Arc<Objects>) -> Router {
    Router::new().fallback(answer).with_state(objects)
}

/// What an address means: a kind, and a namespace and a name if it says so.
struct Target {
    kind: &'static Kind,
    namespace: Option<String>,
    name: Option<String>,
}

async fn answer(
    State(objects): State<Arc<Objects>>,
    Query(selection): Query<Selection>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path().trim_end_matches('/');
    if let Some(found) = discovery(path) {
        return Json(found).into_response();
    }
    let Some(target) = target(path) else { return failure(404, "NotFound", path) };
    let namespace = target.namespace.as_deref();
    if head.method == Method::GET && target.name.is_none() {
        if selection.is_watch() {
            return watch(objects, &target, selection);
        }
        return list(&objects, &target, &selection);
    }
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let body = if head.method == Method::DELETE { Value::Null } else { read(&body) };
    let name = target.name.as_deref().or_else(|| body["metadata"]["name"].as_str());
    let Some(name) = name else { return failure(422, "Invalid", "an object needs a name") };
    let key = Key::new(target.kind.plural, namespace.unwrap_or_default(), name);
    let how = head.headers.get("content-type").and_then(|how| how.to_str().ok());
    objects.with(|kept| change(kept, &head.method, &key, how.unwrap_or_default(), body))
}

fn read(body: &[u8]) -> Value {
    if body.is_empty() {
        Value::Null
    } else if body.starts_with(protobuf::MAGIC) {
        protobuf::secret(body)
    } else {
        // What helm 4 applies is YAML, of which JSON is a part.
        yaml_serde::from_slice(body).unwrap()
    }
}

fn target(path: &str) -> Option<Target> {
    KINDS.iter().find_map(|kind| {
        let rest = path.strip_prefix(&root(kind))?.strip_prefix('/')?;
        let parts: Vec<_> = rest.split('/').collect();
        let (namespace, plural, name) = match parts[..] {
            ["namespaces", namespace, plural] => (Some(namespace), plural, None),
            ["namespaces", namespace, plural, name] => (Some(namespace), plural, Some(name)),
            [plural] => (None, plural, None),
            [plural, name] => (None, plural, Some(name)),
            _ => return None,
        };
        let (namespace, name) = (namespace.map(str::to_owned), name.map(str::to_owned));
        (plural == kind.plural).then_some(Target { kind, namespace, name })
    })
}

fn list(objects: &Objects, target: &Target, selection: &Selection) -> Response {
    objects.with(|kept| {
        let mut items = kept.list(target.kind.plural, target.namespace.as_deref());
        items.retain(|(_, object)| selection.wants(object));
        Json(json!({
            "kind": format!("{}List", target.kind.name),
            "apiVersion": target.kind.group_version,
            "metadata": {"resourceVersion": kept.version().to_string()},
            "items": items.into_iter().map(|(_, object)| object).collect::<Vec<_>>(),
        }))
        .into_response()
    })
}

/// Tells of changes, line by line, for as long as somebody listens.
fn watch(objects: Arc<Objects>, target: &Target, selection: Selection) -> Response {
    let (plural, namespace) = (target.kind.plural, target.namespace.clone());
    let (mut version, mut lines) = (selection.version(), VecDeque::new());
    if version.is_none() || selection.wants_initial_events() {
        objects.with(|kept| {
            let mut items = kept.list(plural, namespace.as_deref());
            items.retain(|(_, object)| selection.wants(object));
            lines.extend(items.iter().map(|(_, object)| line("ADDED", object)));
            version = Some(kept.version());
            if selection.wants_initial_events() {
                lines.push_back(line("BOOKMARK", &bookmark(target.kind, kept.version())));
            }
        });
    }
    let changes = objects.changes();
    let state = (objects, changes, version.unwrap_or_default(), lines);
    let told = stream::unfold(state, move |(objects, mut changes, mut version, mut lines)| {
        let (namespace, selection) = (namespace.clone(), selection.clone());
        async move {
            while lines.is_empty() {
                changes.mark_unchanged();
                objects.with(|kept| {
                    let wanted = kept.events_since(version).iter().filter(|event| {
                        event.key.plural == plural
                            && namespace.as_ref().is_none_or(|of| *of == event.key.namespace)
                            && selection.wants(&event.object)
                    });
                    lines.extend(wanted.map(|event| line(event.what, &event.object)));
                    version = kept.version();
                });
                if lines.is_empty() {
                    changes.changed().await.ok()?;
                }
            }
            let line = Ok::<_, Infallible>(lines.pop_front()?);
            Some((line, (objects, changes, version, lines)))
        }
    });
    ([("content-type", "application/json")], Body::from_stream(told)).into_response()
}

fn line(what: &str, object: &Value) -> Bytes {
    format!("{}\n", json!({"type": what, "object": object})).into()
}

fn bookmark(kind: &Kind, version: usize) -> Value {
    json!({
        "kind": kind.name,
        "apiVersion": kind.group_version,
        "metadata": {
            "resourceVersion": version.to_string(),
            "annotations": {"k8s.io/initial-events-end": "true"},
        },
    })
}

/// Does what is asked of one object.
fn change(kept: &mut Kept, method: &Method, key: &Key, how: &str, body: Value) -> Response {
    let current = kept.get(key).cloned();
    let is_apply = how.contains("apply-patch");
    let (status, object) = match (method.as_str(), current) {
        ("POST", Some(_)) => {
            return failure(409, "AlreadyExists", &format!("{} already exists", key.name));
        }
        ("POST", None) => (StatusCode::CREATED, without_text(body)),
        ("PATCH", current) if is_apply => {
            let mut object = current.unwrap_or_else(|| json!({}));
            apply(&mut object, kept.applied.get(key).unwrap_or(&Value::Null), &body);
            kept.applied.insert(key.clone(), body);
            (StatusCode::OK, object)
        }
        (_, None) => return failure(404, "NotFound", &format!("{} {}", key.plural, key.name)),
        ("GET", Some(current)) => return Json(current).into_response(),
        ("DELETE", Some(_)) => {
            kept.delete(key);
            return Json(json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
                .into_response();
        }
        ("PUT", Some(current)) => {
            let mut object = without_text(body);
            if !current["status"].is_null() {
                object["status"] = current["status"].clone();
            }
            (StatusCode::OK, object)
        }
        ("PATCH", Some(mut object)) => {
            let patch = if how.contains("strategic") { strategic } else { merge };
            patch(&mut object, &body);
            (StatusCode::OK, object)
        }
        _ => return failure(405, "MethodNotAllowed", method.as_str()),
    };
    (status, Json(kept.put(key, object))).into_response()
}

/// A Secret whose plain texts are encoded, as the real server keeps it.
fn without_text(mut object: Value) -> Value {
    let texts = object.as_object_mut().and_then(|object| object.remove("stringData"));
    for (name, text) in texts.as_ref().and_then(Value::as_object).into_iter().flatten() {
        object["data"][name] = json!(protobuf::base64(text.as_str().unwrap().as_bytes()));
    }
    object
}

fn failure(code: u16, reason: &str, message: &str) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": reason, "message": message,
    });
    (StatusCode::from_u16(code).unwrap(), Json(status)).into_response()
}
