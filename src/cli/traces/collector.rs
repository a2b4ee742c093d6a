//! The way to the collector, as the environment describes it.

use opentelemetry_otlp::SpanExporter;
use opentelemetry_otlp::WithTonicConfig;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use tokio::runtime::Builder;
use tokio::runtime::Runtime;

use crate::cli::failure::Failure;
use crate::config::Environment;

/// What sends spans.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) exporter: SpanExporter,
    /// What its connection lives on, if it needs that.
    pub(super) runtime: Option<Runtime>,
}

/// Finds the way, if the environment names a collector.
pub(super) fn find(variables: &Environment) -> Result<Option<Way>, Failure> {
    let is_off = variables.text("OTEL_SDK_DISABLED") == Some("true")
        || variables.text("OTEL_TRACES_EXPORTER") == Some("none");
    let Some((name, endpoint)) = own(variables, "ENDPOINT").filter(|_| !is_off) else {
        return Ok(None);
    };
    let scheme = endpoint.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    let is_url = matches!(scheme.as_deref(), Some("http" | "https"));

    // Without a provider of its own a client would choose one that is not compiled in.
    let _chosen_before = rustls::crypto::ring::default_provider().install_default();
    match own(variables, "PROTOCOL") {
        None | Some((_, "http/protobuf")) if is_url => by_http().map(Some),
        None | Some((_, "http/protobuf")) => {
            let why = "must be a URL such as http://127.0.0.1:4318";
            Err(Failure::Usage(format!("{name}: {why}")))
        }
        Some((_, "grpc")) if is_url || scheme.is_none() => {
            let is_plain = own(variables, "INSECURE")
                .is_some_and(|(_, value)| value.eq_ignore_ascii_case("true"));
            let is_tls = scheme.map_or(!is_plain, |scheme| scheme == "https");
            by_grpc(is_tls).map(Some)
        }
        Some((_, "grpc")) => {
            let why = "must be a URL such as http://127.0.0.1:4317";
            Err(Failure::Usage(format!("{name}: {why}")))
        }
        Some((name, other)) => {
            let why = "is not spoken here; http/protobuf and grpc are";
            Err(Failure::Usage(format!("{name}: {other:?} {why}")))
        }
    }
}

/// The value of a variable and its name: that for spans alone goes before that for all of OTLP.
fn own<'e>(variables: &'e Environment, name: &str) -> Option<(String, &'e str)> {
    let names = ["OTEL_EXPORTER_OTLP_TRACES", "OTEL_EXPORTER_OTLP"];
    names.into_iter().find_map(|prefix| {
        let name = format!("{prefix}_{name}");
        variables.text(&name).map(|value| (name, value))
    })
}

fn by_http() -> Result<Way, Failure> {
    let exporter = SpanExporter::builder().with_http().build();
    Ok(Way { exporter: exporter.map_err(|error| refuse(&error))?, runtime: None })
}

/// The SDK sends from a thread of its own, and the connection needs a runtime. It has its own, because
/// that of the node has ended when the last spans are sent.
fn by_grpc(is_tls: bool) -> Result<Way, Failure> {
    let mut runtime = Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).thread_name("spans").enable_all().build()?;
    let entered = runtime.enter();
    let mut exporter = SpanExporter::builder().with_tonic();
    if is_tls {
        exporter = exporter.with_tls_config(ClientTlsConfig::new().with_native_roots());
    }
    let exporter = exporter.build().map_err(|error| refuse(&error))?;
    drop(entered);
    Ok(Way { exporter, runtime: Some(runtime) })
}

fn refuse(error: &opentelemetry_otlp::ExporterBuildError) -> Failure {
    Failure::Usage(format!("OTEL_EXPORTER_OTLP: {error}"))
}
