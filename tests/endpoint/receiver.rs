//! A server that answers as a test tells it, and remembers what it was asked.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// What came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) line: String,
    /// Names in small letters.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// What it says to that.
pub(crate) enum Reply {
    /// These bytes.
    Bytes(String),
    /// These bytes, and the end of the connection.
    Last(String),
    /// These bytes, when there is a permit.
    When(Arc<Semaphore>, String),
    /// Nothing, until the other side hangs up.
    Nothing,
}

type Answers = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    pub(crate) seen: Arc<Seen>,
    _serving: JoinSet<()>,
}

#[derive(Debug, Default)]
pub(crate) struct Seen {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub(crate) requests: Vec<Request>,
    pub(crate) connections: usize,
    /// Connections that the other side closed before it got its answer.
    pub(crate) hung_up: usize,
    /// Requests that are not answered, and the most that there were at once.
    pub(crate) open: usize,
    pub(crate) open_max: usize,
}

/// A reply with this status line, these further headers and this body.
pub(crate) fn reply(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

impl Receiver {
    pub(crate) async fn new(answers: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?of=tests", listener.local_addr().unwrap());
        let seen = Arc::new(Seen::default());
        let (answers, noted): (Answers, _) = (Arc::new(answers), Arc::clone(&seen));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                noted.note(|inner| inner.connections += 1);
                connections.spawn(converse(stream, Arc::clone(&answers), Arc::clone(&noted)));
            }
        });
        Self { url, seen, _serving: serving }
    }
}

impl Seen {
    pub(crate) fn look(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Waits until what was seen is so.
    pub(crate) async fn until(&self, is_so: impl Fn(&Inner) -> bool) {
        loop {
            let changed = self.changed.notified();
            if is_so(&self.look()) {
                return;
            }
            changed.await;
        }
    }

    fn note(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.look());
        self.changed.notify_waiters();
    }
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

async fn converse(mut stream: TcpStream, answers: Answers, seen: Arc<Seen>) {
    let mut unread = Vec::new();
    while let Some(request) = take(&mut stream, &mut unread).await {
        let reply = answers(&request);
        seen.note(|inner| {
            inner.requests.push(request);
            inner.open += 1;
            inner.open_max = inner.open_max.max(inner.open);
        });
        let is_last = matches!(reply, Reply::Last(_));
        let text = match reply {
            Reply::Bytes(text) | Reply::Last(text) => Some(text),
            Reply::When(turns, text) => tokio::select! {
                turn = turns.acquire() => {
                    turn.unwrap().forget();
                    Some(text)
                }
                _ = stream.read_u8() => None,
            },
            Reply::Nothing => {
                drop(stream.read_u8().await);
                None
            }
        };
        seen.note(|inner| inner.open -= 1);
        let Some(text) = text else { return seen.note(|inner| inner.hung_up += 1) };
        if stream.write_all(text.as_bytes()).await.is_err() || is_last {
            return;
        }
    }
}

/// The next request of a connection; `None` at its end.
async fn take(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Request> {
    let head_end = loop {
        if let Some(at) = unread.windows(4).position(|part| part == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(unread).await.ok()? == 0 {
            return None;
        }
    };
    let head: Vec<u8> = unread.drain(..head_end + 4).collect();
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let pairs = lines.map(|line| line.split_once(": ").unwrap());
    let headers: Vec<_> =
        pairs.map(|(name, text)| (name.to_lowercase(), text.to_owned())).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, text)| text.parse().unwrap());
    while unread.len() < length {
        assert!(stream.read_buf(unread).await.ok()? > 0, "half a body");
    }
    let body = String::from_utf8(unread.drain(..length).collect()).unwrap();
    Some(Request { line, headers, body })
}
