//! What each route needs. A route that is not here is closed to all but `admin`.

use axum::http::Method;

use crate::config::Role;

/// Routes, with what it takes to use them; without a role they are open to everybody.
const NEEDS: &[(&str, &str, Option<Role>)] = &[
    ("GET", "/v1/tasks", Some(Role::Read)),
    ("POST", "/v1/tasks", Some(Role::Write)),
    ("GET", "/v1/tasks/{id}", Some(Role::Read)),
    ("POST", "/v1/tasks/{id}", Some(Role::Write)),
    ("GET", "/v1/next-wakeup", Some(Role::Read)),
    ("GET", "/v1/queues", Some(Role::Read)),
    ("POST", "/v1/queues/{queue}/pause", Some(Role::Write)),
    ("POST", "/v1/queues/{queue}/resume", Some(Role::Write)),
    ("POST", "/v1/claims", Some(Role::Work)),
    ("POST", "/v1/claims/{claim_id}/renew", Some(Role::Work)),
    ("POST", "/v1/claims/{claim_id}/ack", Some(Role::Work)),
    ("GET", "/v1/nodes", Some(Role::Read)),
    ("GET", "/v1/leader", Some(Role::Read)),
    ("POST", "/v1/leader/resign", Some(Role::Admin)),
    ("GET", "/healthz", None),
    ("GET", "/readyz", None),
];

/// What it takes to use a route; `None` if it is open to everybody.
pub(super) fn needed(method: &Method, path: &str) -> Option<Role> {
    let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
    let found = NEEDS.iter().find(|(verb, route, _)| *verb == method && *route == path);
    found.map_or(Some(Role::Admin), |(.., role)| *role)
}
