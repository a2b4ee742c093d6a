//! Takes connections, and ends them in good order.
//!
//! A connection that does not send the head of its request in time, or stands idle for as long, is
//! closed; so is one whose TLS does not come about. The number of connections is bounded.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::rt::Sleep;
use hyper::rt::Timer;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tracing::debug;
use tracing::warn;

use crate::clock::Clock;

use super::Api;
use super::auth::Peer;
use super::router::router;

/// How long requests under way may take to end once the server is to close.
pub const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// How long the head of a request may take to arrive, and how long a connection may stand idle.
pub const HEAD_WITHIN: Duration = Duration::from_secs(30);

/// How long TLS may take to come about.
const GREET_WITHIN: Duration = Duration::from_secs(10);

/// Most bytes of a head.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Most connections at once; others wait to be taken.
const CONNECTIONS_MAX: usize = 4096;

/// Wait after the system had no connection to give, mostly because too many files are open.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Serves the API on `listener` until `shutdown` is over.
///
/// Then it takes no more connections, lets requests under way end within [`CLOSE_WITHIN`], answers
/// whoever waits, and returns.
///
/// # Errors
///
/// None so far: a listener that has no connection to give is asked again.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = router(api.clone());
    let mut connections = JoinSet::new();
    let accepting = async {
        loop {
            while connections.try_join_next().is_some() {}
            if connections.len() >= CONNECTIONS_MAX {
                connections.join_next().await;
                continue;
            }
            match listener.accept().await {
                Ok((stream, peer)) => {
                    connections.spawn(take(stream, peer, api.clone(), router.clone()));
                }
                Err(error) => {
                    warn!(%error, "no connection could be taken; trying again");
                    api.clock.sleep(ACCEPT_AGAIN_AFTER).await;
                }
            }
        }
    };
    let mut keeping = pin!(api.log.keep(&*api.clock, &api.closing));
    tokio::select! {
        () = shutdown => {}
        () = accepting => {}
        () = api.desk.watch_over() => {}
        () = keeping.as_mut() => {}
    }

    drop(listener);
    api.leaving.cancel();
    api.closing.cancel();
    let ended = async {
        keeping.await;
        while connections.join_next().await.is_some() {}
        api.desk.settled().await;
    };
    tokio::select! {
        () = ended => {}
        () = api.clock.sleep(CLOSE_WITHIN) => debug!("requests were cut off"),
    }
    Ok(())
}

async fn take(stream: TcpStream, peer: SocketAddr, api: Api, router: Router) {
    let _only_slower_without = stream.set_nodelay(true);
    let Some(tls) = &api.tls else {
        return converse(stream, peer, &api, router).await;
    };
    let greeting = tls.acceptor(api.clock.steady()).accept(stream);
    tokio::select! {
        greeted = greeting => match greeted {
            Ok(stream) => converse(stream, peer, &api, router).await,
            Err(error) => debug!(%error, %peer, "TLS did not come about"),
        },
        () = api.clock.sleep(GREET_WITHIN) => debug!(%peer, "TLS took too long"),
        () = api.closing.cancelled() => {}
    }
}

/// Answers the requests of one connection, one after the other.
async fn converse<S>(stream: S, peer: SocketAddr, api: &Api, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let leaving = api.leaving.clone();
    let answer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let answered = TowerToHyperService::new(router.clone()).call(request);
        let leaving = leaving.clone();
        async move {
            let mut answered: Result<Response, Infallible> = answered.await;
            if leaving.is_cancelled()
                && let Ok(response) = &mut answered
            {
                // The client's next request goes to a node that stays, not to one that may close just then.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            answered
        }
    });
    let connection = http1::Builder::new()
        .timer(ClockTimer(Arc::clone(&api.clock)))
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = api.closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, %peer, "a connection broke");
    }
}

/// The clock, as the HTTP library asks for it.
struct ClockTimer(Arc<dyn Clock>);

/// One sleep of it.
struct ClockSleep(Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Timer for ClockTimer {
    fn sleep(&self, length: Duration) -> Pin<Box<dyn Sleep>> {
        let clock = Arc::clone(&self.0);
        Box::pin(ClockSleep(Mutex::new(Box::pin(async move { clock.sleep(length).await }))))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }
}

impl Future for ClockSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let inner = self.get_mut().0.get_mut().unwrap_or_else(PoisonError::into_inner);
        inner.as_mut().poll(context)
    }
}

impl Sleep for ClockSleep {}
