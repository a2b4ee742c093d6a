//! A client that sends exactly what it is told, over a connection that stays open.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long to wait for the next bytes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to the API.
pub(crate) struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, unread: Vec::new() }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        self.ask("GET", path, None).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &str) -> Reply {
        self.ask("POST", path, Some(body.as_bytes())).await
    }

    pub(crate) async fn ask(&mut self, method: &str, path: &str, body: Option<&[u8]>) -> Reply {
        let body = body.unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let request = [head.as_bytes(), body].concat();
        self.send(&request).await
    }

    /// Sends a request without a body and does not wait for its reply.
    pub(crate) async fn start(&mut self, method: &str, path: &str) {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await.unwrap();
    }

    /// Sends a body and does not wait for the reply.
    pub(crate) async fn begin(&mut self, path: &str, body: &Value) {
        let body = body.to_string();
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.stream.write_all(request.as_bytes()).await.unwrap();
    }

    /// Sends bytes as they are and reads one reply.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Reply {
        self.stream.write_all(request).await.unwrap();
        self.reply().await
    }

    /// Sends bytes as they are.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// What comes until the server closes the connection.
    pub(crate) async fn end(&mut self) -> String {
        let mut bytes = std::mem::take(&mut self.unread);
        // A connection that is reset has ended, too.
        drop(timeout(PATIENCE, self.stream.read_to_end(&mut bytes)).await.expect("it ends"));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What comes before `mark`, which is read, too.
    pub(crate) async fn until(&mut self, mark: &str) -> String {
        let at = self.read_until(|bytes| find(bytes, mark.as_bytes())).await;
        let bytes: Vec<u8> = self.unread.drain(..at + mark.len()).collect();
        String::from_utf8_lossy(&bytes[..at]).into_owned()
    }

    pub(crate) async fn reply(&mut self) -> Reply {
        let head_end = self.read_until(|bytes| find(bytes, b"\r\n\r\n")).await;
        let head = String::from_utf8(self.unread.drain(..head_end + 4).collect()).unwrap();
        let headers = head.to_lowercase();
        let length = headers
            .split("content-length: ")
            .nth(1)
            .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
        self.read_until(|bytes| (bytes.len() >= length).then_some(length)).await;
        let body = String::from_utf8(self.unread.drain(..length).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, headers, body }
    }

    async fn read_until(&mut self, found: impl Fn(&[u8]) -> Option<usize>) -> usize {
        loop {
            if let Some(at) = found(&self.unread) {
                return at;
            }
            let mut chunk = vec![0; 16 << 10];
            let read = timeout(PATIENCE, self.stream.read(&mut chunk)).await;
            let count = read.expect("something comes").unwrap();
            assert!(count > 0, "the connection ended after {:?}", self.unread);
            self.unread.extend_from_slice(&chunk[..count]);
        }
    }
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Fails unless this is a well-formed problem document of that type; gives it.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, name: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.headers.contains("content-type: application/problem+json"), "{self:?}");
        let document = self.json();
        assert_eq!(document["type"], format!("/problems/{name}"), "{self:?}");
        assert_eq!(document["status"], status);
        assert!(!document["title"].as_str().unwrap().is_empty());
        assert!(!document["detail"].as_str().unwrap().is_empty());
        document
    }

    /// Fails unless the request was refused because of this field of this item.
    #[track_caller]
    pub(crate) fn fault(&self, index: Option<usize>, field: &str) -> String {
        let document = self.problem(422, "invalid");
        let errors = document["errors"].as_array().unwrap();
        let found = errors.iter().find(|error| {
            error["field"] == field && error["index"].as_u64() == index.map(|index| index as u64)
        });
        let found = found.unwrap_or_else(|| panic!("no fault of {index:?} {field}: {self:?}"));
        let message = found["message"].as_str().unwrap();
        assert!(!message.is_empty());
        message.into()
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
