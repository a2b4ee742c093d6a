//! Every status of a problem that the document gives for a route can be met there.

use std::collections::BTreeSet;

use serde_json::Value;
use serde_json::json;
use taskshed::http::Readiness;

use super::Shed;
use super::asked::Reply;
use super::auth::locked;
use super::faulty::Fault;
use super::fixture::noop;

/// A body with which a route asks the store.
fn body(path: &str) -> Value {
    match path {
        "/v1/tasks" => noop("t"),
        "/v1/tasks/reschedule" => json!({ "group_id": "g", "run_in": "5s" }),
        "/v1/claims" => json!({ "worker": "w" }),
        ack if ack.ends_with("/ack") => {
            json!({ "results": [{ "task_id": "t", "fence": 1, "outcome": "released" }] })
        }
        change if change.starts_with("/v1/tasks/") => json!({ "group_id": "g" }),
        _ => json!({}),
    }
}

/// One operation of the document, as it is asked.
struct Operation {
    method: String,
    path: String,
}

impl Operation {
    fn request(&self, headers: &str, body: &[u8]) -> Vec<u8> {
        let (method, path, length) = (&self.method, &self.path, body.len());
        let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}");
        [format!("{head}content-length: {length}\r\n\r\n").as_bytes(), body].concat()
    }

    async fn ask(&self, shed: &Shed, headers: &str, body: &[u8]) -> Reply {
        shed.client().await.send(&self.request(headers, body)).await
    }

    /// A request that is in order.
    async fn fine(&self, shed: &Shed) -> Reply {
        let body = if self.method == "POST" { body(&self.path).to_string() } else { String::new() };
        self.ask(shed, "", body.as_bytes()).await
    }

    /// Brings a status about.
    async fn provoke(&self, status: u16) -> Reply {
        let shed = Shed::new().await;
        let is_post = self.method == "POST";
        match status {
            400 if is_post => {
                let headers = "idempotency-key: k\r\ncontent-encoding: gzip\r\n";
                self.ask(&shed, headers, b"\x1f\x8b\x08").await
            }
            400 => self.elsewhere("?colour=red").ask(&shed, "", b"").await,
            401 => self.fine(&locked().await).await,
            403 => self.ask(&shed, "origin: http://evil.example\r\n", b"").await,
            404 => self.unknown().fine(&shed).await,
            408 => {
                let head = self.request("idempotency-key: k\r\n", b"{}");
                let mut slow = shed.client().await;
                shed.while_time_passes(slow.send(&head[..head.len() - 1])).await
            }
            409 => self.while_under_way(&shed).await,
            410 | 500 | 503 => self.with_a_store_that_fails(&shed, status).await,
            413 => self.ask(&shed, "idempotency-key: k\r\n", &vec![b' '; (8 << 20) + 1]).await,
            415 => self.ask(&shed, "content-encoding: br\r\n", b"{}").await,
            422 if is_post => self.ask(&shed, "idempotency-key: a b\r\n", b"{}").await,
            422 => {
                let many: Vec<_> = (0..1001).map(|index| format!("task_id={index}")).collect();
                self.elsewhere(&format!("?{}", many.join("&"))).ask(&shed, "", b"").await
            }
            429 => {
                let shed = locked().await;
                for _ in 0..10 {
                    self.ask(&shed, "authorization: Bearer wrong\r\n", b"").await;
                }
                self.ask(&shed, "authorization: Bearer wrong\r\n", b"").await
            }
            _ => panic!("{} {}: nobody knows how to meet {status}", self.method, self.path),
        }
    }

    fn elsewhere(&self, query: &str) -> Self {
        Self { method: self.method.clone(), path: format!("{}{query}", self.path) }
    }

    /// The same for something whose name is none.
    fn unknown(&self) -> Self {
        Self { method: self.method.clone(), path: self.path.replace("/x", "/%FF") }
    }

    /// The second request with a key, while the first waits for the store.
    async fn while_under_way(&self, shed: &Shed) -> Reply {
        let body = body(&self.path).to_string();
        let request = self.request("idempotency-key: k\r\n", body.as_bytes());
        shed.store.freeze(true);
        let mut first = shed.client().await;
        first.write(&request).await;
        while shed.store.all_calls() == 0 {
            tokio::task::yield_now().await;
        }
        shed.client().await.send(&request).await
    }

    async fn with_a_store_that_fails(&self, shed: &Shed, status: u16) -> Reply {
        match status {
            500 => shed.store.plan_next(Fault::Panic),
            503 => {
                shed.store.cut(true);
                shed.readiness.send_replace(Readiness::Draining);
            }
            _ => {}
        }
        self.fine(shed).await
    }
}

#[tokio::test]
async fn each_documented_status_of_each_route_can_be_met() {
    let document = Shed::new().await.get("/openapi.json").await.json();
    let mut met = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, about) in methods.as_object().unwrap() {
            let mut path = path.clone();
            for name in ["{id}", "{queue}", "{claim_id}", "{name}"] {
                path = path.replace(name, "x");
            }
            let operation = Operation { method: method.to_uppercase(), path };
            for status in about["responses"].as_object().unwrap().keys() {
                let status: u16 = status.parse().unwrap();
                if status < 400 {
                    continue;
                }
                let reply = operation.provoke(status).await;
                let line = format!("{} {} {status}", operation.method, operation.path);
                assert_eq!(reply.status, status, "{line}: {reply:?}");
                assert!(
                    reply.headers.contains("content-type: application/problem+json"),
                    "{line}: {reply:?}"
                );
                met.insert(line);
            }
        }
    }
    assert!(met.len() > 200, "{}", met.len());
}
