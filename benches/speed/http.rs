//! Adds and reads over HTTP, on connections that are kept.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use taskshed::Node;
use taskshed::Scheduler;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use taskshed::handlers::Context;
use taskshed::http::Api;
use taskshed::http::serve;
use taskshed::store::BATCH_MAX;
use taskshed::store::Store;
use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Course;
use crate::place::Place;
use crate::report::Figure;
use crate::report::quantile;
use crate::work::timed;

/// Connections of the load.
const CONNECTIONS: usize = 64;

pub(crate) async fn measure(course: Course) -> Vec<Figure> {
    let mut place = Place::new(course.kind);
    let mut server = JoinSet::new();
    let address = served(place.open().await, &mut server).await;
    let mut client = Client::connect(address).await;
    let mut figures = Vec::new();

    let count = course.tasks / 10;
    let mut spans = Vec::with_capacity(count);
    let ((), took) = timed(async {
        for number in 0..count {
            spans.push(timed(client.add(&task(number))).await.1);
        }
    })
    .await;
    figures.push(Figure::rate("one at a time, one connection", count, took));
    figures.extend(self::spans("one at a time", spans));

    let batch: Vec<Value> = (0..BATCH_MAX).map(task).collect();
    let batch = json!({ "tasks": batch });
    let ((), took) = timed(async {
        for _ in 0..course.tasks / BATCH_MAX {
            client.add(&batch).await;
        }
    })
    .await;
    figures.push(Figure::rate("batches of 1000, one connection", course.tasks, took));
    drop(server);

    figures.extend(load(course).await);
    figures
}

/// Connections that add tasks and read them back while a node runs them.
async fn load(course: Course) -> Vec<Figure> {
    let mut place = Place::new(course.kind);
    let mut server = JoinSet::new();
    let address = served(place.open().await, &mut server).await;
    let ends = CancellationToken::new();
    let noop = |_: Context, _: Value| std::future::ready(Ok(()));
    let node = Node::builder(place.open().await).concurrency(500).handler("noop", noop);
    let mut running = JoinSet::new();
    running.spawn(node.build().unwrap().run_until(ends.clone().cancelled_owned()));

    let each = course.tasks / 5 / CONNECTIONS;
    let (spans, took) = timed(async {
        let mut clients = JoinSet::new();
        for _ in 0..CONNECTIONS {
            clients.spawn(async move {
                let mut client = Client::connect(address).await;
                let mut spans = Vec::with_capacity(2 * each);
                for number in 0..each {
                    let (id, took) = timed(client.add(&task(number))).await;
                    spans.push(took);
                    spans.push(timed(client.read(&id)).await.1);
                }
                spans
            });
        }
        clients.join_all().await.concat()
    })
    .await;
    ends.cancel();
    assert!(running.join_next().await.unwrap().unwrap().unwrap().is_clean());
    let name = format!("{CONNECTIONS} connections that add and read");
    let mut figures = vec![Figure::rate(name, 2 * each * CONNECTIONS, took)];
    figures.extend(self::spans("under load", spans));
    figures
}

/// An API on a store, for as long as the server is kept.
async fn served(store: Arc<dyn Store>, server: &mut JoinSet<io::Result<()>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let api = Api::new(Scheduler::new(store)).clock(Arc::new(SystemClock) as Arc<dyn Clock>);
    server.spawn(serve(listener, api, std::future::pending()));
    address
}

/// A task with arguments of about 100 bytes, and a result that is kept, so that it can be read.
fn task(number: usize) -> Value {
    let kwargs = json!({ "number": number, "text": "x".repeat(80) });
    json!({ "callback": "noop", "kwargs": kwargs, "retention": "1h" })
}

fn spans(name: &str, mut spans: Vec<Duration>) -> Vec<Figure> {
    spans.sort_unstable();
    let at = |share| quantile(&spans, share);
    vec![
        Figure::time(format!("{name}, p50"), at(0.5)),
        Figure::time(format!("{name}, p99"), at(0.99)),
    ]
}

/// A connection that is kept, with one request at a time.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// Adds one task or a batch, and answers the id of the first.
    async fn add(&mut self, body: &Value) -> String {
        let reply = self.ask("POST", "/v1/tasks", &body.to_string()).await;
        reply["tasks"][0]["task_id"].as_str().unwrap().to_owned()
    }

    async fn read(&mut self, id: &str) {
        let task = self.ask("GET", &format!("/v1/tasks/{id}"), "").await;
        assert_eq!(task["task_id"], id);
    }

    async fn ask(&mut self, method: &str, path: &str, body: &str) -> Value {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n"
        );
        self.0.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await.unwrap();

        let (mut line, mut length) = (String::new(), 0);
        self.0.read_line(&mut line).await.unwrap();
        assert!(line.contains(" 20"), "{method} {path}: {line}");
        while line != "\r\n" {
            line.clear();
            self.0.read_line(&mut line).await.unwrap();
            let (name, value) = line.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut reply = vec![0; length];
        self.0.read_exact(&mut reply).await.unwrap();
        serde_json::from_slice(&reply).unwrap()
    }
}
