//! The probes of a container: whether it has started, is ready, and lives.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::Value;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;

#[derive(Debug)]
pub(super) struct Probes {
    startup: Option<Probe>,
    liveness: Option<Probe>,
    readiness: Option<Probe>,
    pub(super) is_ready: bool,
}

#[derive(Debug)]
struct Probe {
    url: String,
    client: reqwest::Client,
    period: Duration,
    failures_max: u64,
    successes_min: u64,
    failures: u64,
    successes: u64,
    due: Duration,
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

impl Probe {
    fn new(spec: &Value, name: &str, ip: Ipv4Addr) -> Self {
        let probe = &spec[name];
        let get = &probe["httpGet"];
        assert!(get.is_object(), "no {name} but over HTTP can be asked: {probe}");
        let ports = spec["ports"].as_array().into_iter().flatten();
        let named = ports.into_iter().find(|port| port["name"] == get["port"]);
        let port = named.map_or(&get["port"], |port| &port["containerPort"]);
        let seconds = |field: &str, otherwise| {
            Duration::from_secs(probe[field].as_u64().unwrap_or(otherwise))
        };
        let timeout = seconds("timeoutSeconds", 1);
        let client = reqwest::Client::builder().timeout(timeout).pool_max_idle_per_host(0);
        Self {
            url: format!("http://{ip}:{port}{}", get["path"].as_str().unwrap()),
            client: client.no_proxy().build().unwrap(),
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
        let answer = self.client.get(&self.url).send().await;
        if answer.is_ok_and(|answer| answer.status().as_u16() < 400) {
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
