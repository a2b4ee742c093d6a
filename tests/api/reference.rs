//! The reference names what the program has, and nothing that it has not.

use std::collections::BTreeSet;

use super::Shed;
use super::fixture::noop;

const REFERENCE: &str = include_str!("../../docs/reference/http.md");
const PROBLEMS: &str = include_str!("../../src/http/problem.rs");
const ROUTES: &str = include_str!("../../src/http/router.rs");

/// What stands after `start`, as far as an address goes.
fn found<'a>(text: &'a str, start: &str) -> BTreeSet<&'a str> {
    let after = text.match_indices(start).map(|(at, _)| {
        let rest = &text[at..];
        let allowed = |c: char| c.is_ascii_alphanumeric() || "/-{}_".contains(c);
        &rest[..rest.find(|c| !allowed(c)).unwrap_or(rest.len())]
    });
    after.collect()
}

#[test]
fn every_problem_is_documented_and_no_other() {
    assert_eq!(found(REFERENCE, "/problems/"), found(PROBLEMS, "/problems/"));
}

#[test]
fn every_route_is_documented_and_no_other() {
    let changes = ["pause", "resume", "cancel", "retry", "remove", "reschedule"];
    let mut routes: BTreeSet<String> =
        found(ROUTES, "/v1/").into_iter().map(str::to_owned).collect();
    routes.extend(changes.map(|change| format!("/v1/tasks/{change}")));

    let documented: BTreeSet<String> =
        found(REFERENCE, "/v1/").into_iter().map(str::to_owned).collect();

    assert_eq!(documented, routes);
    for probe in ["/healthz", "/readyz", "/metrics"] {
        assert!(ROUTES.contains(probe) && REFERENCE.contains(probe), "{probe}");
    }
}

#[tokio::test]
async fn every_field_that_comes_out_is_documented() {
    let shed = Shed::new().await;
    shed.add(noop("t")).await;
    shed.claim(1).await;

    for path in ["/v1/tasks/t", "/v1/queues"] {
        let shown = shed.get(path).await.json();
        let object = match path {
            "/v1/queues" => &shown["queues"][0],
            _ => &shown,
        };
        for name in object.as_object().unwrap().keys() {
            assert!(REFERENCE.contains(&format!("`{name}`")), "{name} of {path}");
        }
    }
}
