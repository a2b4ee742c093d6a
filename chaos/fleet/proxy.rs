//! A way to a server on which the weather can be bad.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::dice::Dice;

/// What happens on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weather {
    /// How long each piece waits, in each direction.
    pub(crate) delay: Duration,
    /// How much gets through in a second, in each direction.
    pub(crate) bytes_per_s: Option<u64>,
    /// Connections are ended, and new ones refused.
    pub(crate) is_cut: bool,
    /// Nothing gets through, and nobody is told. Connections that met it end with it.
    pub(crate) is_mute: bool,
    /// In how many of a hundred answers the connection ends after the request went through.
    pub(crate) loses_percent: usize,
}

/// Forwards connections to a server.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    weather: watch::Sender<Weather>,
    _serving: JoinSet<()>,
}

impl Proxy {
    /// Listens on a free port; what is lost follows from the dice.
    pub(crate) async fn to(address: &str, dice: Dice) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let (weather, seen) = watch::channel(Weather::default());
        let mut serving = JoinSet::new();
        let dice = Arc::new(Mutex::new(dice));
        let address: Arc<str> = address.into();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let address = Arc::clone(&address);
                connections.spawn(serve(client, address, seen.clone(), Arc::clone(&dice)));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { port, weather, _serving: serving })
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// From now on the weather is this.
    pub(crate) fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

async fn serve(
    client: TcpStream,
    address: Arc<str>,
    seen: watch::Receiver<Weather>,
    dice: Arc<Mutex<Dice>>,
) {
    let mut ends = seen.clone();
    if pass(&mut seen.clone()).await.is_none() {
        return;
    }
    let Ok(server) = TcpStream::connect(&*address).await else { return };
    let quick = [client.set_nodelay(true), server.set_nodelay(true)];
    drop(quick);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, seen.clone(), None) => {}
        () = pump(from_server, to_client, seen, Some(dice)) => {}
        _ = ends.wait_for(|weather| weather.is_cut) => {}
    }
}

/// Waits until something may get through; `None` if the connection has to end.
async fn pass(seen: &mut watch::Receiver<Weather>) -> Option<Weather> {
    let now = *seen.borrow_and_update();
    if now.is_cut {
        return None;
    }
    if now.is_mute {
        let _the_proxy_is_gone = seen.wait_for(|weather| !weather.is_mute).await;
        return None;
    }
    Some(now)
}

/// Forwards one direction; with dice answers may be lost.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut seen: watch::Receiver<Weather>,
    dice: Option<Arc<Mutex<Dice>>>,
) {
    let mut buffer = vec![0; 1 << 14];
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(count) if count > 0 => count,
            _ => return,
        };
        let Some(weather) = pass(&mut seen).await else { return };
        let mut wait = weather.delay;
        if let Some(rate) = weather.bytes_per_s {
            wait += Duration::from_micros(count as u64 * 1_000_000 / rate.max(1));
        }
        if !wait.is_zero() {
            SystemClock.sleep(wait).await;
        }
        let is_lost = dice.as_ref().is_some_and(|dice| {
            weather.loses_percent > 0
                && dice.lock().unwrap_or_else(PoisonError::into_inner).chance(weather.loses_percent)
        });
        if is_lost
            || pass(&mut seen).await.is_none()
            || to.write_all(&buffer[..count]).await.is_err()
        {
            return;
        }
    }
}
