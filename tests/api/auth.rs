//! Who may do what.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;
use taskshed::config::Role;
use taskshed::config::Token;

use super::Shed;
use super::asked::Client;
use super::asked::Reply;

/// A shed whose tokens are called like their roles.
pub(crate) async fn locked() -> Shed {
    let token = |role: Role| Token {
        name: format!("{role}er"),
        role,
        sha256: Sha256::digest(format!("token-{role}")).into(),
    };
    let tokens = Role::ALL.map(token);
    Shed::with(|api| api.tokens(&tokens)).await
}

/// Sends a request with an `Authorization` header.
pub(crate) async fn ask(client: &mut Client, line: &str, auth: &str, body: &Value) -> Reply {
    let body = body.to_string();
    let head = format!(
        "{line} HTTP/1.1\r\nhost: shed.example\r\nauthorization: {auth}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.send(format!("{head}{body}").as_bytes()).await
}

#[tokio::test]
async fn each_role_may_do_what_the_one_before_may() {
    let shed = locked().await;
    let mut client = shed.client().await;
    let noop = json!({ "callback": "noop" });
    let claim = json!({ "worker": "w" });
    let nothing = json!({});

    for (needed, line, body) in [
        (Role::Read, "GET /v1/tasks", &nothing),
        (Role::Read, "GET /v1/tasks/none", &nothing),
        (Role::Read, "GET /v1/queues", &nothing),
        (Role::Read, "GET /v1/nodes", &nothing),
        (Role::Read, "GET /v1/leader", &nothing),
        (Role::Read, "GET /v1/next-wakeup", &nothing),
        (Role::Read, "GET /nowhere", &nothing),
        (Role::Write, "POST /v1/tasks", &noop),
        (Role::Write, "POST /v1/tasks/pause", &nothing),
        (Role::Write, "POST /v1/tasks/explode", &nothing),
        (Role::Write, "POST /v1/queues/mail/pause", &nothing),
        (Role::Write, "POST /v1/queues/mail/resume", &nothing),
        (Role::Work, "POST /v1/claims", &claim),
        (Role::Work, "POST /v1/claims/c/renew", &nothing),
        (Role::Work, "POST /v1/claims/c/ack", &nothing),
        (Role::Admin, "POST /v1/leader/resign", &nothing),
        (Role::Admin, "POST /v1/nodes/anna/drain", &nothing),
        (Role::Admin, "DELETE /v1/tasks", &nothing),
    ] {
        for role in Role::ALL {
            let reply = ask(&mut client, line, &format!("Bearer token-{role}"), body).await;
            assert_eq!(reply.status == 403, role < needed, "{line} {role}: {reply:?}");
            assert_ne!(reply.status, 401, "{line} {role}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn to_remove_everything_needs_the_highest_role() {
    let shed = locked().await;
    let mut client = shed.client().await;
    let all = json!({ "all": true });

    let refused = ask(&mut client, "POST /v1/tasks/remove", "Bearer token-work", &all).await;
    refused.problem(403, "forbidden");
    let done = ask(&mut client, "POST /v1/tasks/remove", "bearer  token-admin", &all).await;
    assert_eq!(done.status, 200, "{done:?}");
}

#[tokio::test]
async fn without_a_token_only_the_probes_answer() {
    let shed = locked().await;
    let mut client = shed.client().await;

    for path in ["/healthz", "/readyz"] {
        assert_eq!(client.get(path).await.status, 200);
    }
    for path in ["/v1/tasks", "/v1/tasks/t", "/nowhere"] {
        let reply = client.get(path).await;
        reply.problem(401, "unauthorized");
        assert!(reply.headers.contains("www-authenticate: bearer\r\n"), "{reply:?}");
    }
    for auth in ["token-admin", "Basic token-admin", "Bearer", "Bearer ", "Bearer token-admin2"] {
        let reply = ask(&mut client, "POST /v1/tasks", auth, &json!({ "callback": "noop" })).await;
        reply.problem(401, "unauthorized");
    }
    assert_eq!(shed.store.calls("add"), 0);
}

#[tokio::test]
async fn who_gives_wrong_tokens_again_and_again_is_not_listened_to() {
    let shed = locked().await;
    let mut client = shed.client().await;
    let mut listed = async |token: &str| {
        ask(&mut client, "GET /v1/tasks", &format!("Bearer {token}"), &json!({})).await
    };
    assert_eq!(listed("token-read").await.status, 200);

    for _ in 0..10 {
        listed("wrong").await.problem(401, "unauthorized");
    }
    let limited = listed("wrong").await;
    limited.problem(429, "too-many-failures");
    assert!(limited.headers.contains("retry-after: 7\r\n"), "{limited:?}");
    listed("token-admin").await.problem(429, "too-many-failures");
    assert_eq!(listed("token-read").await.status, 200, "it was right from here before");

    shed.request_clock.advance(Duration::from_secs(6));
    assert_eq!(listed("token-admin").await.status, 200);
}
