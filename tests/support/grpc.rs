//! Takes OTLP over gRPC: a call is a stream of HTTP/2 with one message, and its status is a trailer.

use std::net::TcpListener;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::Request;
use axum::http::Response;
use h2::RecvStream;
use h2::server::SendResponse;
use rustls::ServerConfig;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::collector::Kept;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Answers calls for ever.
pub(crate) fn serve(listener: &TcpListener, tls: Option<ServerConfig>, kept: &Arc<Kept>) {
    listener.set_nonblocking(true).unwrap();
    let acceptor = tls.map(|mut config| {
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    });
    Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener.try_clone().unwrap()).unwrap();
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, kept) = (acceptor.clone(), Arc::clone(kept));
            connections.spawn(async move {
                let Some(acceptor) = acceptor else { return answer(stream, kept).await };
                // Who does not trust the certificate goes away in the middle of this.
                if let Ok(stream) = acceptor.accept(stream).await {
                    answer(stream, kept).await;
                }
            });
        }
    });
}

/// Answers the calls of one connection.
async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, kept: Arc<Kept>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    let mut calls = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        calls.spawn(export(request, respond, Arc::clone(&kept)));
    }
}

/// Answers one call.
async fn export(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, kept: Arc<Kept>) {
    assert_eq!(request.uri().path(), EXPORT);
    let headers = request.headers();
    assert_eq!(headers["content-type"], "application/grpc");
    assert_eq!(headers["te"], "trailers");
    let lines = headers.iter();
    let lines = lines.map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()));
    let head = lines.collect::<String>().to_ascii_lowercase();
    let mut parts = request.into_body();
    let mut body = Vec::new();
    while let Some(part) = parts.data().await {
        let part = part.unwrap();
        parts.flow_control().release_capacity(part.len()).unwrap();
        body.extend_from_slice(&part);
    }
    let ([is_packed, length @ ..], message) = body.split_first_chunk::<5>().unwrap();
    assert_eq!((*is_packed, u32::from_be_bytes(*length) as usize), (0, message.len()));

    let status = if kept.take(head, message) { "0" } else { "3" };
    let response = Response::builder().header("content-type", "application/grpc");
    let mut reply = respond.send_response(response.body(()).unwrap(), false).unwrap();
    reply.send_data(Bytes::from_static(&[0; 5]), false).unwrap();
    let trailers = HeaderMap::from_iter(
        [("grpc-status", HeaderValue::from_static(status))]
            .map(|(name, value)| (name.parse().unwrap(), value)),
    );
    reply.send_trailers(trailers).unwrap();
}
