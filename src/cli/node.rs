//! `taskshed node`: a node with its HTTP API.
//!
//! The API runs on the main runtime and handlers on one of the node's own, so a blocked handler does
//! not fail the probes.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::error;
use tracing::info;
use tracing::warn;

use crate::clock::Clock;
use crate::clock::SystemClock;
use crate::config::Endpoint;
use crate::config::Environment;
use crate::config::HandlerSettings;
use crate::config::Means;
use crate::config::Settings;
use crate::domain::declared::Declared;
use crate::events::Events;
use crate::handlers::Handler;
use crate::handlers::Handlers;
use crate::handlers::exec::Exec;
use crate::handlers::exec::Launcher;
use crate::handlers::http::Http;
use crate::http;
use crate::http::Api;
use crate::http::Readiness;
use crate::http::Tls;
use crate::metrics::Metrics;
use crate::node::Drained;
use crate::node::Node;
use crate::node::NodeHandle;
use crate::node::StartError;
use crate::scheduler::Scheduler;
use crate::store::measured;
use crate::traces::Traces;

use super::failure::Failure;
use super::output;
use super::store;
#[cfg(feature = "otlp")]
use super::traces::Exporter;

/// How long the API may take to end after the node has.
const CLOSE_WITHIN: Duration = Duration::from_millis(250);

/// How often a starting node is asked whether it is ready.
const READY_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// Runs a node until it is told to stop.
pub(super) fn run(
    settings: &Settings,
    variables: &Environment,
    declared: Option<Declared>,
) -> Result<(), Failure> {
    let metrics = Metrics::default();
    #[cfg(feature = "otlp")]
    let exporter = Exporter::start(variables, settings.node.name.as_str(), metrics.clone())?;
    #[cfg(feature = "otlp")]
    let traces = exporter.as_ref().map(Exporter::traces);
    #[cfg(not(feature = "otlp"))]
    let (traces, _) = (None, variables);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(serve(settings, declared, metrics, traces));
    runtime.shutdown_background();
    ended
}

async fn serve(
    settings: &Settings,
    declared: Option<Declared>,
    metrics: Metrics,
    traces: Option<Arc<dyn Traces>>,
) -> Result<(), Failure> {
    let store = store::open(settings)?;
    let listener = bind(settings.listen).await?;
    let events = Events::default();
    let mut node = Node::builder(Arc::clone(&store))
        .config(settings.node.clone())
        .events(events.clone())
        .metrics(metrics.clone())
        .handlers(handlers(settings)?);
    if let Some(declared) = declared {
        node = node.schedules(declared);
    }
    if let Some(traces) = &traces {
        node = node.traces(Arc::clone(traces));
    }
    let node = node.build().map_err(|error| Failure::Usage(error.to_string()))?;

    let handle = node.handle();
    let looked_at = handle.clone();
    let store = measured(store, metrics.clone(), Arc::new(SystemClock));
    let scheduler = Scheduler::new(store).kwargs_bytes_max(settings.max_kwargs_bytes);
    let mut api = api(settings, scheduler)?
        .readiness(move || readiness(&looked_at))
        .leaving(handle.draining())
        .prepared(handle.prepared())
        .events(events)
        .metrics(metrics)
        .default_timeout(settings.node.default_timeout);
    if let Some(traces) = traces {
        api = api.traces(traces);
    }
    let listen = listener.local_addr()?;
    info!(%listen, store = %settings.store, "the API answers; the node starts with its store");
    let greeting = greeting(settings, listen);
    let (told, closing) = (CancellationToken::new(), CancellationToken::new());
    let signals = Signals::listen()?;
    let mut lingering = JoinSet::new();
    let hurried = CancellationToken::new();
    lingering.spawn(linger(handle.clone(), settings.shutdown_delay, hurried.clone()));
    let mut parts = JoinSet::new();
    parts.spawn(greet(handle.clone(), greeting));
    parts.spawn(signals.obey(told.clone(), handle.clone(), hurried));
    let mut server = JoinSet::new();
    server.spawn(answer(listener, api, closing.clone(), handle));

    let drained = node.run_until(told.cancelled_owned()).await;
    if drained.is_ok() {
        lingering.join_next().await;
    }
    closing.cancel();
    tokio::select! {
        _ = server.join_next() => {}
        () = SystemClock.sleep(CLOSE_WITHIN) => {}
    }
    parts.shutdown().await;
    end(&drained.map_err(|error| not_started(settings, &error))?)
}

/// The API with its locks, as the settings have them.
fn api(settings: &Settings, scheduler: Scheduler) -> Result<Api, Failure> {
    let mut api = Api::new(scheduler).tokens(&settings.tokens);
    if settings.insecure {
        api = api.any_host();
    }
    let is_far = !settings.listen.ip().is_loopback();
    if is_far && settings.tokens.is_empty() {
        warn!(listen = %settings.listen, "everybody who reaches the API may do everything");
    }
    match &settings.tls {
        None if is_far && !settings.tokens.is_empty() => {
            warn!("tokens travel unencrypted; see node.tls_cert, or let a proxy speak TLS");
            Ok(api)
        }
        None => Ok(api),
        Some(files) => {
            let tls = Tls::load(files.clone());
            Ok(api.tls(tls.map_err(|error| Failure::Refused(error.to_string()))?))
        }
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::Refused(format!(
            "{address}: {error}; another node may listen there: name another address with --listen"
        ))
    })
}

/// The handlers of the settings.
fn handlers(settings: &Settings) -> Result<Handlers, Failure> {
    let mut handlers = Handlers::default();
    if settings.handlers.is_empty() && settings.node.runs_tasks {
        warn!("there are no handlers, so this node runs no tasks; see [handlers] in taskshed.toml");
    }
    let mut launcher = None;
    for handler in &settings.handlers {
        let made: Arc<dyn Handler> = match &handler.means {
            Means::Exec(words) => {
                let launcher = match &launcher {
                    Some(launcher) => Launcher::clone(launcher),
                    None => launcher.insert(Launcher::through_this_program()?).clone(),
                };
                Arc::new(command(handler, words)?.launcher(launcher))
            }
            Means::Http(asked) => Arc::new(endpoint(handler, asked)?),
        };
        handlers.insert(handler.callback.clone(), made);
    }
    Ok(handlers)
}

fn command(handler: &HandlerSettings, words: &[String]) -> Result<Exec, Failure> {
    let exec = Exec::new(words)
        .map_err(|error| Failure::Usage(format!("handlers.{}.exec: {error}", handler.callback)))?;
    Ok(match handler.timeout {
        Some(timeout) => exec.timeout(timeout),
        None => exec,
    })
}

/// The endpoint of a handler, with its secrets, which are read only by a node.
fn endpoint(handler: &HandlerSettings, asked: &Endpoint) -> Result<Http, Failure> {
    let wrong = |key: &str, why: &dyn fmt::Display| {
        Failure::Usage(format!("handlers.{}.{key}: {why}", handler.callback))
    };
    let mut http = Http::new(asked.url.reveal()).map_err(|error| wrong("http", &error))?;
    for (name, value) in &asked.headers {
        let key = format!("headers.{name}");
        let value = value.read().map_err(|error| wrong(&key, &error))?;
        http = http.header(name, value.reveal()).map_err(|error| wrong(&key, &error))?;
    }
    if let Some(secret) = &asked.secret {
        http = http.signed(secret.read().map_err(|error| wrong("secret", &error))?);
    }
    if let Some(count) = asked.concurrency {
        http = http.concurrency(count);
    }
    if let Some(timeout) = handler.timeout {
        http = http.timeout(timeout);
    }
    Ok(http)
}

/// What is said once, when the node is ready.
fn greeting(settings: &Settings, listen: SocketAddr) -> String {
    let names = settings.handlers.iter().map(|handler| handler.callback.as_str());
    let names = names.collect::<Vec<_>>().join(", ");
    let handlers = if names.is_empty() { "no handlers".into() } else { format!("runs {names}") };
    let warning = match settings.store.reveal() {
        "memory:" => " (tasks end with this process)",
        _ => "",
    };
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    format!(
        "node {} is ready: {scheme}://{listen}, store {}{warning}, {handlers}",
        settings.node.name, settings.store
    )
}

/// Says that the node is ready when it is.
async fn greet(node: NodeHandle, greeting: String) {
    while !node.is_ready() {
        SystemClock.sleep(READY_AGAIN_AFTER).await;
    }
    let _nobody_reads_it = output::line(&greeting);
}

async fn answer(listener: TcpListener, api: Api, closing: CancellationToken, node: NodeHandle) {
    if let Err(error) = http::serve(listener, api, closing.cancelled_owned()).await {
        error!(%error, "the API cannot go on; the node leaves");
        node.drain();
    }
}

/// Returns when those who send requests had `delay` to hear that the node leaves.
///
/// Whoever routes to it learns that from `/readyz`, or in Kubernetes at the moment of SIGTERM, and needs a
/// while to act on it. Requests that come meanwhile are served, as are those that came before.
/// Nobody routes to a node that never reached its store.
async fn linger(node: NodeHandle, delay: Duration, hurried: CancellationToken) {
    node.draining().cancelled().await;
    if !node.prepared().is_cancelled() {
        return;
    }
    tokio::select! {
        () = SystemClock.sleep(delay) => {}
        () = hurried.cancelled() => {}
    }
}

fn readiness(node: &NodeHandle) -> Readiness {
    if node.is_ready() {
        return Readiness::Ready;
    }
    if node.status().draining { Readiness::Draining } else { Readiness::StoreAway }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The first one lets the node drain, the second one stops it at once.
    async fn obey(mut self, told: CancellationToken, node: NodeHandle, hurried: CancellationToken) {
        self.next().await;
        told.cancel();
        self.next().await;
        warn!("stopping at once");
        node.stop_now();
        hurried.cancel();
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Says why the node did not start.
fn not_started(settings: &Settings, error: &StartError) -> Failure {
    match error {
        StartError::Store(error) => store::explain(settings, error),
        error => Failure::Refused(super::failure::chain(error)),
    }
}

/// Names what could not be handed back.
fn end(drained: &Drained) -> Result<(), Failure> {
    if drained.is_clean() {
        return Ok(());
    }
    let open = drained.unsent.iter().map(|open| {
        let why = if open.runs { "it still runs" } else { "the store did not answer" };
        format!("\n  {} ({}): {why}", output::plain(open.task.as_str()), open.callback)
    });
    Err(Failure::Unreachable(format!(
        "left with tasks that could not be handed back; they run again when their leases end:{}",
        open.collect::<String>()
    )))
}
