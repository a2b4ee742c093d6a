//! A real Prometheus collects from real nodes, with the alerts of the chart loaded, and the queries of the
//! dashboard have answers.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use taskshed::Task;

use crate::program::NodeProcess;
use crate::program::Place;
use crate::program::pause;
use crate::program::until;
use crate::witness::Shed;

const RULES: &str = "helm/taskshed/rules/taskshed.yaml";
const DASHBOARD: &str = include_str!("../../helm/taskshed/dashboards/taskshed.json");

/// Panels that are empty while all is well.
const EMPTY_AT_BEST: [&str; 2] = ["Dead", "Errors"];

/// A Prometheus of its own. Dropping it kills it.
struct Prometheus {
    server: Child,
    url: String,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ended_already = self.server.kill();
        let _reaped = self.server.wait();
    }
}

impl Prometheus {
    /// Collects from these nodes twice a second, as the chart's monitor would have it do.
    fn watch(place: &Place, nodes: &[(&str, &NodeProcess)]) -> Self {
        let targets = nodes.iter().map(|(pod, node)| {
            let address = node.url.strip_prefix("http://").unwrap();
            json!({ "targets": [address], "labels": { "namespace": "jobs", "pod": pod } })
        });
        let scrape = json!({ "job_name": "shed", "static_configs": targets.collect::<Vec<_>>() });
        let config = json!({
            "global": { "scrape_interval": "500ms", "evaluation_interval": "500ms", "scrape_timeout": "500ms" },
            "rule_files": [Path::new(env!("CARGO_MANIFEST_DIR")).join(RULES)],
            "scrape_configs": [scrape],
        });
        let file = place.path("prometheus.yml");
        fs::write(&file, config.to_string()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = fs::File::create(place.path("prometheus.log")).unwrap();
        // It dies with the thread that started it.
        let server = place
            .command(&["__exec", "launch", &std::process::id().to_string(), "prometheus"])
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", place.path("prometheus").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let this = Self { server, url: format!("http://127.0.0.1:{port}") };
        until("Prometheus, of the package of that name, answers", || {
            this.ask("/api/v1/targets", "").is_some()
        });
        this
    }

    /// The data of an answer of its API.
    fn ask(&self, path: &str, query: &str) -> Option<Value> {
        let output = Command::new("curl")
            .args(["--silent", "--get", "--data-urlencode", &format!("query={query}")])
            .arg(format!("{}{path}", self.url))
            .output()
            .unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
        assert_ne!(answer["status"], "error", "{query}: {answer}");
        Some(answer["data"].clone())
    }

    /// How many series a query finds now.
    fn finds(&self, query: &str) -> usize {
        let data = self.ask("/api/v1/query", query);
        data.map_or(0, |data| data["result"].as_array().unwrap().len())
    }
}

/// Title and query of each panel, as it is for all jobs.
fn queries() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let queries = panels.flat_map(|panel| {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(|target| {
            let query = target["expr"].as_str().unwrap().replace("$__rate_interval", "10s");
            let query = query.replace("$namespace", ".*").replace("$job", ".*");
            (panel["title"].as_str().unwrap().to_owned(), query)
        })
    });
    queries.collect()
}

#[tokio::test]
async fn prometheus_collects_what_nodes_show_and_the_dashboard_has_answers() {
    let mut shed = Shed::new(&[("quick", "true"), ("nap", "sleep 60")]).await;
    let (a, b) = (shed.node("a", &[]), shed.node("b", &[]));
    let prometheus = Prometheus::watch(&shed.place, &[("a", &a), ("b", &b)]);
    shed.place.talk_to(&a);
    let kept = |callback: &str| {
        Task::new(callback, &json!({})).unwrap().retention(Duration::from_secs(3600))
    };
    shed.add([kept("quick"), kept("nap"), kept("quick").run_in(Duration::from_secs(3600))]).await;
    shed.place.done(&["add", "quick", "--wait"]);

    let mut silent: Vec<_> = queries();
    silent.retain(|(title, _)| !EMPTY_AT_BEST.contains(&&**title));
    assert!(silent.len() > 30, "{silent:?}");
    for _ in 0..60 {
        silent.retain(|(_, query)| prometheus.finds(query) == 0);
        if silent.is_empty() {
            break;
        }
        pause(Duration::from_millis(500));
    }

    assert!(silent.is_empty(), "no answer to {silent:#?}");
    let targets = prometheus.ask("/api/v1/targets", "").unwrap();
    let targets = targets["activeTargets"].as_array().unwrap();
    assert_eq!(targets.len(), 2);
    for target in targets {
        assert_eq!((&target["health"], &target["lastError"]), (&"up".into(), &"".into()));
    }
    assert_eq!(prometheus.finds("max by (namespace, job) (taskshed_leader) == 1"), 1);
    let rules = prometheus.ask("/api/v1/rules", "").unwrap();
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 10);
    for rule in rules {
        assert_eq!((&rule["health"], &rule["state"]), (&"ok".into(), &"inactive".into()), "{rule}");
    }
}
