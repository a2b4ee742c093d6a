//! Connections that do not behave.

use tokio_util::sync::CancellationToken;

use super::Shed;

#[tokio::test]
async fn who_sends_half_a_head_is_cut_off() {
    let shed = Shed::new().await;
    let mut slow = shed.client().await;

    slow.write(b"GET /v1/tasks HTTP/1.1\r\nhost: local").await;
    let end = shed.while_time_passes(slow.end()).await;

    assert!(!end.contains("200 OK"), "{end}");
}

#[tokio::test]
async fn who_says_nothing_is_cut_off() {
    let shed = Shed::new().await;
    let mut silent = shed.client().await;
    assert_eq!(silent.get("/healthz").await.status, 200);

    let end = shed.while_time_passes(silent.end()).await;

    assert_eq!(end, "");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let shed = Shed::new().await;
    let mut client = shed.client().await;

    let request =
        format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "y".repeat(200_000));
    client.write(request.as_bytes()).await;
    let end = client.end().await;

    assert!(end.starts_with("HTTP/1.1 431"), "{end}");
}

#[tokio::test]
async fn a_node_that_drains_sends_its_clients_elsewhere() {
    let leaving = CancellationToken::new();
    let told = leaving.clone();
    let shed = Shed::with(|api| api.leaving(leaving)).await;
    let mut client = shed.client().await;
    assert!(!client.get("/healthz").await.headers.contains("connection: close"));

    told.cancel();
    let last = client.get("/healthz").await;

    assert_eq!(last.status, 200);
    assert!(last.headers.contains("connection: close"), "{last:?}");
    assert_eq!(client.end().await, "", "the connection is closed behind the reply");
}
