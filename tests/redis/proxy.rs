//! A way to the server on which answers can be lost.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Forwards connections to a port of the loopback.
pub(crate) struct Proxy {
    port: u16,
    losing: Arc<AtomicBool>,
    _serving: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn to(server_port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let losing = Arc::new(AtomicBool::new(false));
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, server_port, losing.clone()));
        Self { port, losing, _serving: serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Loses the next answer of a call that had its effect: the request reaches the server, and the connection is closed.
    pub(crate) fn lose_next_answer(&self) {
        self.losing.store(true, Ordering::SeqCst);
    }
}

async fn serve(listener: TcpListener, server_port: u16, losing: Arc<AtomicBool>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let server = TcpStream::connect(("127.0.0.1", server_port)).await.unwrap();
        connections.spawn(forward(client, server, losing.clone()));
    }
}

async fn forward(client: TcpStream, server: TcpStream, losing: Arc<AtomicBool>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let asking = tokio::io::copy(&mut from_client, &mut to_server);
    let answering = async {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count) = from_server.read(&mut buffer).await {
            let had_effect = !buffer.starts_with(b"-NOSCRIPT");
            let lost = had_effect && losing.swap(false, Ordering::SeqCst);
            if count == 0 || lost || to_client.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = asking => {}
        () = answering => {}
    }
}
