//! `/openapi.json`: the routes and their shapes, for programs.

mod schemas;

use std::sync::LazyLock;

use axum::Json;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::routes::ROUTES;
use super::routes::Route;

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

/// Answers with the document.
pub(super) async fn show() -> Json<&'static Value> {
    Json(&DOCUMENT)
}

fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_ascii_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "taskshed",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Adds, shows and changes tasks, and lets workers claim them. \
                            `x-role` says which role a token needs; each role may do what those \
                            before it may: read, write, work, admin.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(route: &Route) -> Value {
    let (status, reply) = route.reply;
    let mut responses = Map::new();
    let content = |kind: &str, name: &str| json!({ kind: { "schema": reference(name) } });
    let kind = match reply {
        "Events" => "text/event-stream",
        "Metrics" => "text/plain",
        _ => "application/json",
    };
    let done = json!({ "description": "Done", "content": content(kind, reply) });
    responses.insert(status.to_string(), done);
    for status in route.statuses() {
        let content = content("application/problem+json", "Problem");
        let problem = json!({ "description": meaning(status), "content": content });
        responses.insert(status.to_string(), problem);
    }

    let in_path = route.variables().map(|name| {
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
    });
    let in_query = route
        .query
        .iter()
        .map(|name| json!({ "name": name, "in": "query", "schema": schemas::query(name) }));
    let parameters: Vec<_> = in_path.chain(in_query).collect();
    let mut operation = json!({
        "summary": route.summary,
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(body) = route.body {
        operation["requestBody"] =
            json!({ "required": true, "content": content("application/json", body) });
    }
    match route.role {
        Some(role) => {
            operation["security"] = json!([{ "token": [role.as_str()] }]);
            operation["x-role"] = role.as_str().into();
        }
        None => operation["security"] = json!([]),
    }
    operation
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn meaning(status: u16) -> &'static str {
    match status {
        400 => "Not JSON, or a query that cannot be used",
        401 => "No token, or a wrong one",
        403 => "The role is too low, or the request is that of another site",
        404 => "There is nothing here",
        408 => "The body came too slowly",
        409 => "The state does not allow it, or the first request with this key is under way",
        410 => "The lease is gone",
        415 => "The body is encoded in an unknown way",
        413 => "The body is too large",
        422 => "A field is wrong; nothing was done",
        429 => "Too many wrong tokens came from this address",
        503 => "The store is away, or the node takes no work",
        _ => "A fault of the server",
    }
}
