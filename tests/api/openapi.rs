//! `/openapi.json` says what the program does: every route, its roles, what it takes and gives.

use std::collections::BTreeSet;

use serde_json::Value;
use serde_json::json;
use taskshed::config::Role;

use super::Shed;
use super::asked::Reply;
use super::auth::ask;
use super::auth::locked;
use super::claims::claim;
use super::fixture::noop;

const ROUTER: &str = include_str!("../../src/http/router.rs");

async fn document(shed: &Shed) -> Value {
    let reply = shed.get("/openapi.json").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

/// Method, path and description of each operation.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(|(method, about)| (method.to_uppercase(), path.clone(), about))
    });
    operations.collect()
}

#[tokio::test]
async fn every_route_is_in_the_document_and_no_other() {
    let shed = Shed::new().await;
    let document = document(&shed).await;
    let mut routes = BTreeSet::new();
    for line in ROUTER.split(".route(").skip(1) {
        let path = line.split('"').nth(1).unwrap();
        let handlers = line.split("\", ").nth(1).unwrap().split("\n ").next().unwrap();
        for method in ["get", "post"] {
            if handlers.contains(&format!("{method}(")) {
                routes.insert((method.to_uppercase(), path.to_owned()));
            }
        }
    }
    assert!(routes.remove(&("POST".into(), "/v1/tasks/{id}".into())));
    for change in ["pause", "resume", "cancel", "retry", "remove", "reschedule"] {
        routes.insert(("POST".into(), format!("/v1/tasks/{change}")));
    }

    let documented: BTreeSet<_> =
        operations(&document).into_iter().map(|(method, path, _)| (method, path)).collect();

    assert_eq!(documented, routes);
}

/// No endpoint works without the role that it needs.
#[tokio::test]
async fn each_operation_is_closed_to_those_without_its_role() {
    let shed = locked().await;
    let document = document(&shed).await;
    for (method, path, about) in operations(&document) {
        let line = format!("{method} {}", path.replace(['{', '}'], ""));
        let needed = about["x-role"].as_str().map(|role| role.parse::<Role>().unwrap());
        let mut client = shed.client().await;
        let without = client.ask(&method, &path.replace(['{', '}'], ""), None).await;
        assert_eq!(without.status == 401, needed.is_some(), "{line}: {without:?}");
        for role in Role::ALL {
            let token = format!("Bearer token-{role}");
            let mut client = shed.client().await;
            let reply = ask(&mut client, &line, &token, &json!({ "callback": "noop" })).await;
            let is_closed = needed.is_some_and(|needed| role < needed);
            assert_eq!(reply.status == 403, is_closed, "{line} as {role}: {reply:?}");
        }
        let mut client = shed.client().await;
        let other = line.replace(&method, "DELETE");
        let reply = ask(&mut client, &other, "Bearer token-work", &json!({})).await;
        reply.problem(403, "forbidden");
    }
}

/// What a value breaks of a schema: one line each.
fn breaches(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        let schema = &document["components"]["schemas"][name];
        assert!(schema.is_object(), "there is no schema {name}");
        return breaches(document, schema, value, at);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let fits = any.iter().any(|one| breaches(document, one, value, at).is_empty());
        return if fits { Vec::new() } else { vec![format!("{at}: fits none: {value}")] };
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let kinds = match &schema["type"] {
        Value::String(kind) => vec![kind.as_str()],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return Vec::new(),
    };
    let fits = kinds.iter().any(|one| *one == kind || (*one == "number" && kind == "integer"));
    if !fits {
        return vec![format!("{at}: is {kind}, not {kinds:?}")];
    }
    let mut found = Vec::new();
    if let (Some(words), Value::String(_)) = (schema["enum"].as_array(), value)
        && !words.contains(value)
    {
        found.push(format!("{at}: {value} is none of {words:?}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(breaches(document, &schema["items"], item, &format!("{at}[{index}]")));
    }
    if let Some(fields) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten() {
            if !fields.contains_key(name.as_str().unwrap()) {
                found.push(format!("{at}: lacks {name}"));
            }
        }
        for (name, field) in fields {
            match &schema["properties"][name] {
                Value::Null if schema["additionalProperties"] == false => {
                    found.push(format!("{at}: has {name}"));
                }
                Value::Null => {}
                one => found.extend(breaches(document, one, field, &format!("{at}.{name}"))),
            }
        }
    }
    found
}

/// Fails unless a reply is as its operation says.
#[track_caller]
fn fits(document: &Value, operation: &Value, reply: &Reply) {
    let response = &operation["responses"][reply.status.to_string()];
    let content = response["content"].as_object();
    let mut content = content.unwrap_or_else(|| panic!("not documented: {reply:?}")).iter();
    let (kind, content) = content.next().unwrap();
    assert!(reply.headers.contains(&format!("content-type: {kind}")), "{reply:?}");
    let found = breaches(document, &content["schema"], &reply.json(), "");
    assert!(found.is_empty(), "{found:?} of {reply:?}");
}

#[tokio::test]
async fn what_comes_out_has_the_documented_shape() {
    let shed = Shed::new().await;
    let document = document(&shed).await;
    for task in [
        noop("a"),
        json!({ "task_id": "b", "callback": "noop", "interval": 5, "timeout": "5s", "paused": true,
                "group_id": "g", "unique_key": "k", "expires_in": "1h", "retention": "1h" }),
        json!({ "task_id": "c", "callback": "noop", "cron": "@daily", "metadata": { "a": "b" } }),
        json!({ "task_id": "d", "callback": "noop", "max_attempts": 1, "priority": "high" }),
    ] {
        shed.add(task).await;
    }
    let claimed = claim(&shed, "w", json!({ "limit": 2, "claim_id": "c1" })).await.json();
    let fence = claimed["tasks"][0]["lease"]["fence"].clone();
    let item = json!({ "task_id": "d", "fence": fence, "outcome": "failed", "error": "x" });
    shed.campaign().await;
    shed.beat("anna").await;

    let mut seen = BTreeSet::new();
    for (method, path, route, body) in [
        ("POST", "/v1/claims/c1/ack", "/v1/claims/{claim_id}/ack", json!({ "results": [item] })),
        ("POST", "/v1/claims/c1/renew", "/v1/claims/{claim_id}/renew", json!({})),
        ("POST", "/v1/claims", "/v1/claims", json!({ "worker": "v" })),
        ("POST", "/v1/claims", "/v1/claims", json!({ "worker": "w", "claim_id": "c1" })),
        ("GET", "/v1/tasks", "/v1/tasks", json!({})),
        ("GET", "/v1/tasks/d", "/v1/tasks/{id}", json!({})),
        ("GET", "/v1/tasks/none", "/v1/tasks/{id}", json!({})),
        ("GET", "/v1/queues", "/v1/queues", json!({})),
        ("GET", "/v1/nodes", "/v1/nodes", json!({})),
        ("GET", "/v1/leader", "/v1/leader", json!({})),
        ("GET", "/v1/next-wakeup", "/v1/next-wakeup", json!({})),
        ("POST", "/v1/tasks", "/v1/tasks", json!({ "tasks": [noop("e"), noop("f")] })),
        ("POST", "/v1/tasks", "/v1/tasks", json!({ "colour": "red" })),
        ("POST", "/v1/tasks/pause", "/v1/tasks/pause", json!({ "task_ids": ["none", "d", "e"] })),
        ("POST", "/v1/tasks/resume", "/v1/tasks/resume", json!({ "group_id": "g" })),
        ("POST", "/v1/tasks/cancel", "/v1/tasks/cancel", json!({ "task_ids": ["d"] })),
        ("POST", "/v1/tasks/retry", "/v1/tasks/retry", json!({ "state": "dead" })),
        (
            "POST",
            "/v1/tasks/reschedule",
            "/v1/tasks/reschedule",
            json!({ "task_ids": ["e"], "run_in": "1h" }),
        ),
        ("POST", "/v1/tasks/remove", "/v1/tasks/remove", json!({ "all": true })),
        ("POST", "/v1/queues/q/pause", "/v1/queues/{queue}/pause", json!({})),
        ("POST", "/v1/queues/q/resume", "/v1/queues/{queue}/resume", json!({})),
        ("POST", "/v1/nodes/anna/drain", "/v1/nodes/{name}/drain", json!({})),
        ("POST", "/v1/nodes/nobody/drain", "/v1/nodes/{name}/drain", json!({})),
        ("POST", "/v1/leader/resign", "/v1/leader/resign", json!({})),
        ("POST", "/v1/leader/resign", "/v1/leader/resign", json!({})),
        ("GET", "/healthz", "/healthz", json!({})),
        ("GET", "/readyz", "/readyz", json!({})),
        ("GET", "/openapi.json", "/openapi.json", json!({})),
    ] {
        let body = body.to_string();
        let reply = shed.client().await.ask(method, path, Some(body.as_bytes())).await;
        fits(&document, &document["paths"][route][method.to_lowercase()], &reply);
        seen.insert((method.to_owned(), route.to_owned()));
    }
    // A stream and a text, which other tests read.
    seen.extend(["/v1/events", "/metrics"].map(|path| ("GET".into(), path.into())));
    let all = operations(&document).into_iter().map(|(method, path, _)| (method, path)).collect();
    assert_eq!(seen, all, "every operation is compared");
}

#[tokio::test]
async fn what_goes_in_is_known_and_nothing_else_is() {
    let shed = Shed::new().await;
    let document = document(&shed).await;
    let schemas = &document["components"]["schemas"];
    for (path, name, index) in [
        ("/v1/tasks", "NewTask", Some(0)),
        ("/v1/tasks", "Batch", None),
        ("/v1/tasks/pause", "Target", None),
        ("/v1/tasks/cancel", "Selection", None),
        ("/v1/tasks/remove", "Removal", None),
        ("/v1/tasks/reschedule", "RescheduleEach", None),
        ("/v1/tasks/reschedule", "RescheduleTogether", None),
        ("/v1/claims", "Claim", None),
        ("/v1/claims/c/renew", "Renewal", None),
        ("/v1/claims/c/ack", "Results", None),
    ] {
        let fields = schemas[name]["properties"].as_object().unwrap();
        let mut body: Value = fields.keys().map(|name| (name.clone(), json!([7]))).collect();
        body["colour"] = json!("red");
        let reply = shed.post(path, &body).await;
        assert!(reply.fault(index, "colour").contains("not known"), "{name}: {reply:?}");
        let unknown = reply.body.matches("is not known here").count();
        assert_eq!(unknown, 1, "{name}: {reply:?}");
    }
}
