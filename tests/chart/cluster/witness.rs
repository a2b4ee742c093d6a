//! Where tasks run: outside of the cluster, so that what was begun and ended is known whatever the store says.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use serde_json::Value;
use serde_json::json;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::serving::serve;

/// One run of a task.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// The pod that asked for it.
    pub(crate) node: String,
    pub(crate) has_ended: bool,
}

/// Runs by task, in the order in which they began.
pub(crate) type Runs = BTreeMap<String, Vec<Run>>;

/// An endpoint whose tasks say themselves how long they take.
#[derive(Debug)]
pub(crate) struct Witness {
    runs: Arc<Mutex<Runs>>,
    pub(crate) port: u16,
    _serving: JoinSet<()>,
}

impl Witness {
    pub(crate) async fn start(at: Ipv4Addr) -> Self {
        let listener = TcpListener::bind((at, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let runs = Arc::default();
        let routes = Router::new().route("/", post(work)).with_state(Arc::clone(&runs));
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, routes));
        Self { runs, port, _serving: serving }
    }

    pub(crate) fn runs(&self) -> Runs {
        self.runs.lock().unwrap().clone()
    }

    /// How many runs came to their end.
    pub(crate) fn ended(&self) -> usize {
        let runs = self.runs.lock().unwrap();
        runs.values().flatten().filter(|run| run.has_ended).count()
    }
}

async fn work(
    State(runs): State<Arc<Mutex<Runs>>>,
    headers: HeaderMap,
    Json(kwargs): Json<Value>,
) -> Json<Value> {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let (task, node) = (header("taskshed-task-id"), header("taskshed-node"));
    let at = {
        let mut runs = runs.lock().unwrap();
        let of_task = runs.entry(task.clone()).or_default();
        of_task.push(Run { node, has_ended: false });
        of_task.len() - 1
    };
    // Whoever hangs up meanwhile ends this, so the run has no end.
    SystemClock.sleep(Duration::from_millis(kwargs["ms"].as_u64().unwrap())).await;
    runs.lock().unwrap().get_mut(&task).unwrap()[at].has_ended = true;
    Json(json!({}))
}
