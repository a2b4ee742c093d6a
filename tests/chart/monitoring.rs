//! What watches an installation: alerts that promtool tries, a dashboard, and how both find their numbers.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::exposition::documented;
use crate::fields::field;
use crate::helm::EXTENDED_CLUSTER;
use crate::helm::Objects;
use crate::helm::USUAL;
use crate::helm::objects;
use crate::helm::read;
use crate::helm::run;
use crate::helm::template;

const RULES: &str = "helm/taskshed/rules/taskshed.yaml";
const DASHBOARD: &str = "helm/taskshed/dashboards/taskshed.json";
const TRIALS: &str = "tests/chart/alerts.yaml";

const WATCHED: &str = "metrics.serviceMonitor.enabled=true,metrics.rules.enabled=true,\
                       metrics.dashboard.enabled=true";

/// Labels that come from who collects, and that of buckets.
const COLLECTED: [&str; 5] = ["namespace", "job", "pod", "le", "taskshed_pool"];

fn watched(more: &str) -> Objects {
    let set = format!("{USUAL},{WATCHED}{more}");
    Objects(objects(&template("helm4", &set, &EXTENDED_CLUSTER).unwrap()))
}

fn promtool(args: &[&str], file: &str) -> (bool, String) {
    let mut command = Command::new("promtool");
    run(command.args(args).arg(file).current_dir(env!("CARGO_MANIFEST_DIR")))
}

/// Writes a file for promtool.
fn written(name: &str, text: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Name and expression of each alert of some groups.
fn alerts(groups: &Value) -> Vec<(String, String)> {
    let groups = groups.as_array().unwrap().iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    rules.map(|rule| (text(&rule["alert"]), text(&rule["expr"]))).collect()
}

fn own_alerts() -> Vec<(String, String)> {
    alerts(&objects(&read(RULES))[0]["groups"])
}

/// Title and expression of each query of the dashboard.
fn queries() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let queries = panels.flat_map(|panel| {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(|target| {
            let title = panel["title"].as_str().unwrap().to_owned();
            (title, target["expr"].as_str().unwrap().to_owned())
        })
    });
    queries.collect()
}

/// The metrics that an expression names, each with the labels and values that it asks them for.
fn asked(expression: &str) -> Vec<(String, Vec<(String, String)>)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = expression.match_indices("taskshed_").map(|(at, _)| &expression[at..]);
    let starts = starts.filter(|rest| !rest.starts_with("taskshed_pool"));
    let found = starts.map(|rest| {
        let (name, rest) = rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len()));
        let selector = rest.strip_prefix('{').and_then(|rest| rest.split('}').next());
        let pairs = selector.unwrap_or_default().split(", ").filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (label, value) = pair.split_once('=').unwrap();
            (label.to_owned(), value.trim_start_matches('~').trim_matches('"').to_owned())
        });
        (name.to_owned(), pairs.collect())
    });
    found.collect()
}

/// Whoever renames a metric, a label or a value of one finds what reads it.
#[test]
fn alerts_and_dashboard_ask_for_what_nodes_show() {
    let (known, page) = (documented(), read("docs/reference/metrics.md"));
    let mut unasked: BTreeSet<_> = known.keys().cloned().collect();
    for (whose, expression) in own_alerts().into_iter().chain(queries()) {
        for (name, pairs) in asked(&expression) {
            let ends = ["_bucket", "_count", "_sum"];
            let base = ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
            let (kind, labels) =
                known.get(base).unwrap_or_else(|| panic!("{whose} asks for {name}"));
            assert_eq!(base != name, kind == "histogram", "{whose} asks for {name}, a {kind}");
            let row = page.lines().find(|line| line.contains(&format!("| `{base}` |"))).unwrap();
            for (label, value) in pairs {
                if COLLECTED.contains(&&*label) {
                    continue;
                }
                assert!(labels.contains(&label), "{whose} asks {name} for {label}");
                for value in value.split('|') {
                    assert!(row.contains(&format!("`{value}`")), "{whose}: {label}={value}");
                }
            }
            unasked.remove(base);
        }
    }
    assert!(unasked.is_empty(), "nobody sees {unasked:?}");
}

/// Each alert fires where it should, and keeps still where it should, by what promtool makes of it.
#[test]
fn each_alert_fires_and_keeps_still() {
    let (content, said) = promtool(&["test", "rules"], TRIALS);
    assert!(content, "{said}");

    let trials = objects(&read(TRIALS)).remove(0);
    let cases = trials["tests"].as_array().unwrap().iter();
    let cases: Vec<_> =
        cases.flat_map(|test| test["alert_rule_test"].as_array().unwrap()).collect();
    for (alert, _) in own_alerts() {
        let of_it: Vec<_> = cases.iter().filter(|case| case["alertname"] == *alert).collect();
        let fires = |case: &&&&Value| case["exp_alerts"].is_array();
        let firing = of_it.iter().filter(fires).count();
        assert!(firing > 0 && firing < of_it.len(), "{alert} is tried in one way only");
    }
}

/// The guide has a paragraph for each alert, and for no other.
#[test]
fn the_guide_says_what_to_do_for_each_alert() {
    let guide = read("docs/guide/kubernetes.md");
    let told: BTreeSet<_> = guide
        .lines()
        .filter_map(|line| line.strip_prefix("## `Taskshed")?.strip_suffix('`'))
        .collect();
    let alerts = own_alerts();
    let named: BTreeSet<_> =
        alerts.iter().map(|(alert, _)| alert.strip_prefix("Taskshed").unwrap()).collect();
    assert_eq!(told, named);
}

/// The chart's alerts look at the series of their release alone.
#[test]
fn the_rules_of_a_release_are_for_its_own_series() {
    let made = watched(",metrics.rules.without={TaskshedLag},metrics.rules.labels.release=prom");
    let rule = made.get("PrometheusRule", "shed");

    assert_eq!(rule["metadata"]["labels"]["release"], "prom");
    let kept = alerts(&rule["spec"]["groups"]);
    let mut own = own_alerts();
    own.retain(|(alert, _)| alert != "TaskshedLag");
    assert_eq!(kept.len(), own.len());
    for ((alert, made), (_, expression)) in kept.iter().zip(&own) {
        let ours = "namespace=\"jobs\", job=\"shed\"";
        assert_eq!(*made, expression.replace("job=~\".+\"", ours), "{alert}");
    }
    for (alert, expression) in own_alerts() {
        let series = asked(&expression).len();
        assert_eq!(expression.matches("job=~\".+\"").count(), series, "{alert}");
    }
    let file = written("rules.json", &rule["spec"].to_string());
    let (content, said) = promtool(&["check", "rules"], &file);
    assert!(content, "{said}");
}

/// The monitor selects the Service, by its labels and the name of its port.
#[test]
fn the_monitor_finds_the_pods() {
    for (more, scheme) in [("", Value::Null), (",tls.existingSecret=t", "https".into())] {
        let tls = format!("{more},metrics.serviceMonitor.tlsConfig.serverName=shed");
        let made = watched(&tls);
        let (monitor, service) = (made.get("ServiceMonitor", "shed"), made.get("Service", "shed"));

        let selected = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap();
        for (label, value) in selected {
            assert_eq!(service["metadata"]["labels"][label], *value, "{label}");
        }
        let endpoint = &monitor["spec"]["endpoints"][0];
        assert_eq!(endpoint["port"], service["spec"]["ports"][0]["name"]);
        assert_eq!((&endpoint["path"], &endpoint["interval"]), (&"/metrics".into(), &"30s".into()));
        assert_eq!(*field(monitor, "/spec/endpoints/0/scheme"), scheme);
        let trust = field(monitor, "/spec/endpoints/0/tlsConfig");
        assert_eq!(trust.is_null(), scheme.is_null());
        let labels = &made.get("Deployment", "shed")["spec"]["template"]["metadata"]["labels"];
        let carried = monitor["spec"]["podTargetLabels"][0].as_str().unwrap();
        assert_eq!(labels[carried], "default");
    }
}

/// Grafana's sidecar gets the file as it is.
#[test]
fn the_dashboard_comes_as_it_is() {
    let made = watched("");
    let map = made.get("ConfigMap", "shed-dashboard");

    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    assert_eq!(map["data"]["taskshed.json"].as_str().unwrap().trim(), read(DASHBOARD).trim());
}

/// Queries are sound, and panels have places of their own.
#[test]
fn the_dashboard_is_sound() {
    let mut rules = "groups: [{ name: dashboard, rules: [\n".to_owned();
    for (number, (_, expression)) in queries().iter().enumerate() {
        let plain =
            expression.replace("$__rate_interval", "5m").replace("=~\"$namespace\"", "=~\"a\"");
        let plain = plain.replace("=~\"$job\"", "=~\"b\"");
        assert!(!plain.contains('$'), "{plain}");
        assert_eq!(plain.matches("job=~\"b\"").count(), asked(&plain).len(), "{plain}");
        writeln!(rules, "{{ record: q{number}, expr: {} }},", Value::from(plain)).unwrap();
    }
    rules.push_str("] }]\n");
    let (content, said) = promtool(&["check", "rules"], &written("dashboard.yaml", &rules));
    assert!(content, "{said}");

    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}", panel["id"]);
        let place = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{}", panel["title"]);
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(cells.insert((x, y)), "{} lies on another one", panel["title"]);
            }
        }
    }
}
