//! A door to the server that ends the connection at a chosen statement.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::MariadbServer;
use super::fixture::tell;

/// The command byte of a statement that goes as text.
const QUERY: u8 = 3;

/// On which side of a statement the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The server ends it, and does not see the statement.
    Before,
    /// The server has answered, and nobody hears it.
    After,
}

/// Counts statements, and kills the connection of one.
pub(crate) struct Cutter {
    url: String,
    plan: Arc<Plan>,
    /// Ends with this value, and all connections with it.
    _door: JoinSet<()>,
}

struct Plan {
    server: Arc<MariadbServer>,
    at: usize,
    side: Side,
    seen: AtomicUsize,
    has_cut: AtomicBool,
}

impl Cutter {
    /// A door that ends the connection of statement number `at`, counted from 1.
    pub(crate) async fn open(server: &Arc<MariadbServer>, at: usize, side: Side) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = server.url().replace(&server.port().to_string(), &port.to_string());
        let plan = Arc::new(Plan {
            server: Arc::clone(server),
            at,
            side,
            seen: AtomicUsize::new(0),
            has_cut: AtomicBool::new(false),
        });
        let served = Arc::clone(&plan);
        let mut door = JoinSet::new();
        door.spawn(async move {
            let mut passing = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", served.server.port())).await.unwrap();
                passing.spawn(pass(client, server, Arc::clone(&served)));
            }
        });
        Self { url, plan, _door: door }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Whether there was a statement of that number.
    pub(crate) fn has_cut(&self) -> bool {
        self.plan.has_cut.load(SeqCst)
    }
}

/// Passes on what both sides say, until one of them ends.
async fn pass(client: TcpStream, server: TcpStream, plan: Arc<Plan>) {
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
    }
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let Some(greeting) = packet(&mut from_server).await else { return };
    let id = connection_id(&greeting);
    if to_client.write_all(&greeting).await.is_err() {
        return;
    }
    let (is_deaf, answered) = (AtomicBool::new(false), Notify::new());
    tokio::select! {
        () = ask(&mut from_client, &mut to_server, (&plan, id), (&is_deaf, &answered)) => {}
        () = answer(&mut from_server, &mut to_client, &is_deaf, &answered) => {}
    }
}

/// Passes on what the client says, up to the chosen statement.
async fn ask(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    (plan, id): (&Plan, u32),
    (is_deaf, answered): (&AtomicBool, &Notify),
) {
    while let Some(sent) = packet(from).await {
        let is_query = sent[3] == 0 && sent.get(4) == Some(&QUERY);
        if !is_query || plan.seen.fetch_add(1, SeqCst) + 1 != plan.at {
            if to.write_all(&sent).await.is_err() {
                return;
            }
            continue;
        }
        plan.has_cut.store(true, SeqCst);
        is_deaf.store(true, SeqCst);
        if plan.side == Side::After && to.write_all(&sent).await.is_ok() {
            answered.notified().await;
        }
        tell(&plan.server, &format!("KILL {id}")).await;
        return;
    }
}

/// Passes on what the server says, or only notes that it answered.
async fn answer(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    is_deaf: &AtomicBool,
    answered: &Notify,
) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if is_deaf.load(SeqCst) {
            answered.notify_one();
        } else if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
    if is_deaf.load(SeqCst) {
        // Whoever waits for an answer ends the connection.
        answered.notify_one();
        std::future::pending::<()>().await;
    }
}

/// A packet with its header: three bytes of length, one of its number.
async fn packet(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut header = [0; 4];
    from.read_exact(&mut header).await.ok()?;
    let length = u32::from_le_bytes([header[0], header[1], header[2], 0]);
    let mut packet = header.to_vec();
    packet.resize(4 + usize::try_from(length).unwrap(), 0);
    from.read_exact(&mut packet[4..]).await.ok()?;
    Some(packet)
}

/// The server's number of a connection stands in its greeting, after its version.
fn connection_id(greeting: &[u8]) -> u32 {
    let version = &greeting[5..];
    let end = version.iter().position(|byte| *byte == 0).unwrap();
    u32::from_le_bytes(version[end + 1..end + 5].try_into().unwrap())
}
