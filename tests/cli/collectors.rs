//! Ways to a collector of spans, and what happens if it is away.

use std::net::TcpListener;
use std::process::Command;
use std::thread;

use crate::auth::certify;
use crate::collector::Collector;
use crate::collector::PROTOCOLS;
use crate::program::NodeProcess;
use crate::program::Place;
use crate::program::until;

/// A place whose nodes send spans to `url` at once.
fn sending(url: &str, protocol: &str) -> Place {
    let mut place = Place::new("[handlers.noop]\nexec = [\"true\"]\n");
    place.set("OTEL_EXPORTER_OTLP_ENDPOINT", url);
    place.set("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
    place.set("OTEL_BSP_SCHEDULE_DELAY", "1");
    place
}

/// How often something happened to spans of a node.
fn count(node: &NodeProcess, what: &str) -> u64 {
    let asked = Command::new("curl").args(["-sf", &format!("{}/metrics", node.url)]).output();
    let text = String::from_utf8(asked.unwrap().stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("taskshed_spans_{what} ")));
    line.unwrap_or_else(|| panic!("no {what} in {text}")).parse().unwrap()
}

const QUEUE_FULL: &str = "dropped_total{reason=\"queue_full\"}";
const NOT_SENT: &str = "dropped_total{reason=\"not_sent\"}";

/// How often the log of a node says so.
fn said(node: &NodeProcess, words: &str) -> usize {
    node.log().matches(words).count()
}

const TAKES_NONE: &str = "the collector takes no spans; they are dropped";

#[test]
fn spans_and_headers_reach_the_collector_by_each_protocol_also_over_tls() {
    for (protocol, is_tls) in PROTOCOLS.into_iter().flat_map(|one| [(one, false), (one, true)]) {
        let certified = Place::new("");
        certify(&certified.path(""));
        let collector = if is_tls {
            Collector::over_tls(protocol, &certified.path(""))
        } else {
            Collector::start(protocol)
        };
        let mut place = sending(&collector.url, protocol);
        place.set("OTEL_EXPORTER_OTLP_HEADERS", "x-from=here,authorization=Bearer%20s3cret");
        place.set("SSL_CERT_FILE", &certified.path("ca.pem").display().to_string());
        let mut node = place.node(&[]);
        place.talk_to(&node);

        place.done(&["add", "noop", "--wait"]);
        until("all spans were counted", || count(&node, "sent_total") == 4);
        assert_eq!((count(&node, QUEUE_FULL), count(&node, NOT_SENT)), (0, 0));
        assert_eq!(node.leave(), Some(0), "{}", node.log());

        let mut names: Vec<_> = collector.spans().into_iter().map(|span| span.name).collect();
        names.sort();
        assert_eq!(names, ["ack", "add", "claim", "run noop"], "{protocol}");
        for head in collector.heads() {
            assert!(head.contains("x-from: here\r\n"), "{head}");
            assert!(head.contains("authorization: bearer s3cret\r\n"), "{head}");
        }
        assert_eq!(said(&node, TAKES_NONE), 0, "{}", node.log());
    }
}

/// As OpenTelemetry has it: TLS, unless the environment says that there is none.
#[test]
fn an_address_without_a_scheme_will_do_for_grpc() {
    let certified = Place::new("");
    certify(&certified.path(""));
    let plain = Collector::start("grpc");
    let tls = Collector::over_tls("grpc", &certified.path(""));
    for (collector, insecure) in [(plain, "true"), (tls, "")] {
        let mut place = sending(collector.url.split("://").nth(1).unwrap(), "grpc");
        place.set("OTEL_EXPORTER_OTLP_INSECURE", insecure);
        place.set("SSL_CERT_FILE", &certified.path("ca.pem").display().to_string());
        let node = place.node(&[]);
        place.talk_to(&node);

        place.done(&["add", "noop"]);

        until("spans came", || collector.spans().len() == 4);
    }
}

/// A collector that takes a connection and never answers holds up neither tasks nor the node's end.
#[test]
fn a_collector_that_is_dead_costs_nothing_but_spans_which_are_counted() {
    for protocol in PROTOCOLS {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut place = sending(&format!("http://{}", silent.local_addr().unwrap()), protocol);
        place.set("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000");
        place.set("OTEL_BSP_MAX_QUEUE_SIZE", "4");
        place.set("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1");
        let mut node = place.node(&[]);
        place.talk_to(&node);

        let (_held, _) = thread::scope(|scope| {
            let taken = scope.spawn(|| silent.accept().unwrap());
            for _ in 0..10 {
                place.done(&["add", "noop", "--wait"]);
            }
            taken.join().unwrap()
        });

        until("all but those that wait are dropped", || count(&node, QUEUE_FULL) == 10 * 4 - 4);
        assert_eq!((count(&node, "sent_total"), count(&node, NOT_SENT)), (0, 0));
        assert_eq!(node.leave(), Some(0), "{}", node.log());
    }
}

#[test]
fn a_collector_that_refuses_spans_is_told_once_and_once_when_it_takes_them_again() {
    for protocol in PROTOCOLS {
        let collector = Collector::start(protocol);
        collector.refuse(true);
        let mut place = sending(&collector.url, protocol);
        let node = place.node(&[]);
        place.talk_to(&node);

        for refused in [4, 8] {
            place.done(&["add", "noop", "--wait"]);
            until("they are dropped", || count(&node, NOT_SENT) == refused);
        }
        assert_eq!(said(&node, TAKES_NONE), 1, "{}", node.log());
        collector.refuse(false);
        for sent in [4, 8] {
            place.done(&["add", "noop", "--wait"]);
            until("they are sent", || count(&node, "sent_total") == sent);
        }

        assert_eq!(said(&node, TAKES_NONE), 1, "{}", node.log());
        assert_eq!(said(&node, "the collector takes spans again"), 1, "{}", node.log());
        assert_eq!((count(&node, QUEUE_FULL), count(&node, NOT_SENT)), (0, 8));
        assert_eq!(collector.spans().len(), 8);
    }
}

/// The other protocol's port, TLS where there is none, an authority that nobody knows, and nobody at all.
#[test]
fn a_wrong_way_to_the_collector_is_told_and_costs_nothing_but_spans() {
    let certified = Place::new("");
    certify(&certified.path(""));
    let [http, grpc] = PROTOCOLS.map(Collector::start);
    let tls = PROTOCOLS.map(|protocol| Collector::over_tls(protocol, &certified.path("")));
    let as_tls = |collector: &Collector| collector.url.replace("http://", "https://");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let [of_http, of_grpc] = PROTOCOLS;
    for (url, protocol) in [
        (http.url.clone(), of_grpc),
        (grpc.url.clone(), of_http),
        (as_tls(&http), of_http),
        (as_tls(&grpc), of_grpc),
        (tls[0].url.clone(), of_http),
        (tls[1].url.clone(), of_grpc),
        (format!("http://{nobody}"), of_http),
        (format!("http://{nobody}"), of_grpc),
    ] {
        let mut place = sending(&url, protocol);
        place.set("OTEL_EXPORTER_OTLP_TIMEOUT", "100");
        let mut node = place.node(&[]);
        place.talk_to(&node);

        place.done(&["add", "noop", "--wait"]);

        until("it is told", || said(&node, TAKES_NONE) == 1);
        until("spans are dropped", || count(&node, NOT_SENT) == 4);
        assert_eq!(node.leave(), Some(0), "{}", node.log());
    }
    for collector in [http, grpc].iter().chain(&tls) {
        assert_eq!(collector.spans().len(), 0);
    }
}

/// Spans are sent if a collector is named and they are not turned off. Without them there is nothing
/// that could send any: no thread of the exporter, no counted span.
#[test]
fn spans_are_sent_by_nobody_unless_they_are_asked_for() {
    for protocol in PROTOCOLS {
        let collector = Collector::start(protocol);
        for (name, value, sends) in [
            ("OTEL_SDK_DISABLED", "true", false),
            ("OTEL_TRACES_EXPORTER", "none", false),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "", false),
            ("OTEL_SDK_DISABLED", "false", true),
            ("OTEL_TRACES_EXPORTER", "otlp", true),
        ] {
            let before = collector.spans().len();
            let mut place = sending(&collector.url, protocol);
            place.set(name, value);
            let mut node = place.node(&[]);
            place.talk_to(&node);

            place.done(&["add", "noop", "--wait"]);
            let threads = node.threads();
            let is_sender = |name: &&String| name.starts_with("OpenTelemetry") || *name == "spans";
            let senders = threads.iter().filter(is_sender).count();
            assert_eq!(node.leave(), Some(0), "{}", node.log());

            assert!(threads.iter().any(|name| name == "taskshed-keeper"), "{threads:?}");
            assert_eq!(senders > 0, sends, "{name}={value}: {threads:?}");
            let sent = collector.spans().len() - before;
            assert_eq!(sent, if sends { 4 } else { 0 }, "{name}={value}");
        }
    }
}

#[test]
fn a_collector_that_cannot_be_meant_is_refused_at_the_start() {
    for (endpoint, protocol, wanted) in [
        ("http://a:1", "http/json", "OTEL_EXPORTER_OTLP_PROTOCOL: \"http/json\" is not spoken"),
        ("ftp://a:1", "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT: must be a URL such as http://127"),
        ("a:1", "http/protobuf", "OTEL_EXPORTER_OTLP_ENDPOINT: must be a URL such as http://127"),
        ("http://a b", "grpc", "OTEL_EXPORTER_OTLP"),
    ] {
        let ran = sending(endpoint, protocol).run(&["node"]);

        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains(wanted), "{}", ran.err);
    }
}
