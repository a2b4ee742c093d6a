//! The probes of a container: whether it has started, is ready, and lives.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::Value;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;
use tokio::net::TcpStream;

#[derive(Debug)]
pub(super) struct Probes {
    startup: Option<Probe>,
    liveness: Option<Probe>,
    readiness: Option<Probe>,
    pub(super) is_ready: bool,
}

#[derive(Debug)]
struct Probe {
    target: Target,
    timeout: Duration,
    period: Duration,
    failures_max: u64,
    successes_min: u64,
    failures: u64,
    successes: u64,
    due: Duration,
}

/// What must answer.
#[derive(Debug)]
enum Target {
    Http(reqwest::Client, String),
    Tcp(Ipv4Addr, u16),
}

impl Probes {
    pub(super) fn new(spec: &Value, ip: Ipv4Addr) -> Self {
        let probe = |name: &str| (!spec[name].is_null()).then(|| Probe::new(spec, name, ip));
        let readiness = probe("readinessProbe");
        Self {
            startup: probe("startupProbe"),
            liveness: probe("livenessProbe"),
            is_ready: readiness.is_none(),
            readiness,
        }
    }

    /// Asks what is due, and answers whether the container must be started anew.
    pub(super) async fn ask(&mut self) -> bool {
        if let Some(startup) = &mut self.startup {
            startup.ask().await;
            let has_failed = startup.has_failed();
            if startup.has_succeeded() {
                self.startup = None;
            }
            return has_failed;
        }
        if let Some(readiness) = &mut self.readiness {
            readiness.ask().await;
            self.is_ready = match (readiness.has_succeeded(), readiness.has_failed()) {
                (true, _) => true,
                (_, true) => false,
                _ => self.is_ready,
            };
        }
        let Some(liveness) = &mut self.liveness else { return false };
        liveness.ask().await;
        liveness.has_failed()
    }
}

impl Target {
    async fn answers(&self) -> bool {
        match self {
            Self::Http(client, url) => {
                let answer = client.get(url).send().await;
                answer.is_ok_and(|answer| answer.status().as_u16() < 400)
            }
            Self::Tcp(ip, port) => TcpStream::connect((*ip, *port)).await.is_ok(),
        }
    }
}

impl Probe {
    fn new(spec: &Value, name: &str, ip: Ipv4Addr) -> Self {
        let probe = &spec[name];
        let asked = if probe["httpGet"].is_object() { "httpGet" } else { "tcpSocket" };
        let ports = spec["ports"].as_array().into_iter().flatten();
        let named = ports.into_iter().find(|port| port["name"] == probe[asked]["port"]);
        let port = named.map_or(&probe[asked]["port"], |port| &port["containerPort"]);
        let port = u16::try_from(port.as_u64().unwrap()).unwrap();
        let seconds = |field: &str, otherwise| {
            Duration::from_secs(probe[field].as_u64().unwrap_or(otherwise))
        };
        let target = match probe["httpGet"]["path"].as_str() {
            Some(path) => {
                let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0);
                // No kubelet looks at certificates.
                let client = client.tls_danger_accept_invalid_certs(true).build().unwrap();
                let scheme = probe["httpGet"]["scheme"].as_str().unwrap_or("HTTP").to_lowercase();
                Target::Http(client, format!("{scheme}://{ip}:{port}{path}"))
            }
            None => Target::Tcp(ip, port),
        };
        Self {
            target,
            timeout: seconds("timeoutSeconds", 1),
            period: seconds("periodSeconds", 10),
            failures_max: probe["failureThreshold"].as_u64().unwrap_or(3),
            successes_min: probe["successThreshold"].as_u64().unwrap_or(1),
            failures: 0,
            successes: 0,
            due: SystemClock.steady() + seconds("initialDelaySeconds", 0),
        }
    }

    async fn ask(&mut self) {
        let now = SystemClock.steady();
        if now < self.due {
            return;
        }
        self.due = now + self.period;
        let is_well = tokio::select! {
            is_well = self.target.answers() => is_well,
            () = SystemClock.sleep(self.timeout) => false,
        };
        if is_well {
            (self.successes, self.failures) = (self.successes + 1, 0);
        } else {
            (self.successes, self.failures) = (0, self.failures + 1);
        }
    }

    fn has_succeeded(&self) -> bool {
        self.successes >= self.successes_min
    }

    fn has_failed(&self) -> bool {
        self.failures >= self.failures_max
    }
}
