//! A collector of spans: takes OTLP over HTTP and over gRPC, and decodes what the tests look at.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::StreamOwned;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::grpc;

/// A collector that keeps all spans in memory.
#[derive(Debug)]
pub(crate) struct Collector {
    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is to be.
    pub(crate) url: String,
    kept: Arc<Kept>,
}

/// What OTLP travels on, as `OTEL_EXPORTER_OTLP_PROTOCOL` names it.
pub(crate) const PROTOCOLS: [&str; 2] = ["http/protobuf", "grpc"];

/// What came so far, and whether more is taken.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    spans: Mutex<Vec<Span>>,
    heads: Mutex<Vec<String>>,
    refuses: AtomicBool,
}

/// A span, as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Span {
    pub(crate) service: String,
    /// Which process of it.
    pub(crate) instance: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) links: Vec<(String, String)>,
    /// What went wrong, if something did.
    pub(crate) error: Option<String>,
}

impl Collector {
    /// One that speaks `protocol`.
    pub(crate) fn start(protocol: &str) -> Self {
        Self::speaking(protocol, None)
    }

    /// One that does so over TLS, with `cert.pem` and `key.pem` of a directory.
    pub(crate) fn over_tls(protocol: &str, dir: &Path) -> Self {
        let certificate = CertificateDer::from_pem_file(dir.join("cert.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(dir.join("key.pem")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate], key);
        Self::speaking(protocol, Some(config.unwrap()))
    }

    fn speaking(protocol: &str, tls: Option<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = match tls {
            None => format!("http://127.0.0.1:{port}"),
            Some(_) => format!("https://localhost:{port}"),
        };
        let kept = Arc::new(Kept::default());
        let keeps = Arc::clone(&kept);
        match protocol {
            "grpc" => thread::spawn(move || grpc::serve(&listener, tls, &keeps)),
            _ => thread::spawn(move || accept(&listener, tls, &keeps)),
        };
        Self { url, kept }
    }

    /// Sets whether it refuses all spans.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.kept.refuses.store(refuses, Relaxed);
    }

    /// What came so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.kept.spans.lock().unwrap().clone()
    }

    /// The headers of all requests, in small letters.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.kept.heads.lock().unwrap().clone()
    }
}

impl Kept {
    /// Keeps an `ExportTraceServiceRequest` that came with these headers, unless it is refused.
    pub(crate) fn take(&self, head: String, message: &[u8]) -> bool {
        self.heads.lock().unwrap().push(head);
        let takes = !self.refuses.load(Relaxed);
        if takes {
            self.spans.lock().unwrap().extend(decode(message));
        }
        takes
    }
}

/// Takes OTLP over HTTP.
fn accept(listener: &TcpListener, tls: Option<ServerConfig>, kept: &Arc<Kept>) {
    let tls = tls.map(Arc::new);
    for stream in listener.incoming() {
        let (stream, tls, kept) = (stream.unwrap(), tls.clone(), Arc::clone(kept));
        thread::spawn(move || match tls {
            None => serve(stream, &kept),
            Some(tls) => {
                serve(StreamOwned::new(ServerConnection::new(tls).unwrap(), stream), &kept);
            }
        });
    }
}

/// Answers the requests of one connection.
fn serve(stream: impl Read + Write, kept: &Kept) {
    let mut reader = BufReader::new(stream);
    while let Some((head, body)) = request(&mut reader) {
        assert!(head.starts_with("post /v1/traces "), "{head}");
        assert!(head.contains("content-type: application/x-protobuf"), "{head}");
        let status = if kept.take(head, &body) { "200 OK" } else { "400 Bad Request" };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        reader.get_mut().write_all(answer.as_bytes()).unwrap();
    }
}

/// The next request: its head in small letters, and its body. `None` at the end of the connection.
pub(crate) fn request(reader: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1)?.split("\r\n").next()?;
    let mut body = vec![0; length.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// All spans of an `ExportTraceServiceRequest`.
fn decode(request: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_resource in all(request, 1) {
        let resource: BTreeMap<_, _> =
            all(of_resource, 1).flat_map(|resource| all(resource, 1)).map(attribute).collect();
        let of = |name: &str| resource.get(name).cloned().unwrap_or_default();
        let (service, instance) = (of("service.name"), of("service.instance.id"));
        for of_scope in all(of_resource, 2) {
            let scoped = all(of_scope, 2).map(span);
            spans.extend(scoped.map(|span| Span {
                service: service.clone(),
                instance: instance.clone(),
                ..span
            }));
        }
    }
    spans
}

fn span(bytes: &[u8]) -> Span {
    let mut span = Span::default();
    for (number, value) in Fields(bytes) {
        match (number, value) {
            (1, Value::Bytes(bytes)) => span.trace = hex(bytes),
            (2, Value::Bytes(bytes)) => span.id = hex(bytes),
            (4, Value::Bytes(bytes)) => span.parent = hex(bytes),
            (5, Value::Bytes(bytes)) => span.name = text(bytes),
            (7, Value::Number(ns)) => span.start_ns = ns,
            (8, Value::Number(ns)) => span.end_ns = ns,
            (9, Value::Bytes(bytes)) => span.attributes.extend([attribute(bytes)]),
            (13, Value::Bytes(bytes)) => {
                let part = |number| all(bytes, number).map(hex).next().unwrap_or_default();
                span.links.push((part(1), part(2)));
            }
            (15, Value::Bytes(bytes)) => span.error = all(bytes, 2).map(text).next(),
            _ => {}
        }
    }
    span
}

fn attribute(bytes: &[u8]) -> (String, String) {
    let key = all(bytes, 1).map(text).next().unwrap_or_default();
    let value = all(bytes, 2).flat_map(Fields).map(|(_, value)| match value {
        Value::Number(number) => number.to_string(),
        Value::Bytes(bytes) => text(bytes),
    });
    (key, value.collect())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The parts of a message that have this number.
fn all(bytes: &[u8], wanted: u64) -> impl Iterator<Item = &[u8]> {
    Fields(bytes).filter_map(move |(number, value)| match value {
        Value::Bytes(bytes) if number == wanted => Some(bytes),
        _ => None,
    })
}

/// Reads the fields of a message of Protocol Buffers, one by one.
struct Fields<'a>(&'a [u8]);

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> u64 {
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let byte = self.take(1)[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        number
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let key = self.varint();
        let value = match key & 7 {
            0 => Value::Number(self.varint()),
            1 => Value::Number(u64::from_le_bytes(self.take(8).try_into().unwrap())),
            2 => {
                let length = usize::try_from(self.varint()).unwrap();
                Value::Bytes(self.take(length))
            }
            5 => Value::Number(u32::from_le_bytes(self.take(4).try_into().unwrap()).into()),
            kind => panic!("a field of kind {kind}"),
        };
        Some((key >> 3, value))
    }
}
