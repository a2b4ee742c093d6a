//! Endpoints as handlers of a real node; the receiver of the guide among them.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;

use serde_json::json;

use crate::auth::certify;
use crate::program::Place;
use crate::program::until;

const SECRET: &str = "a secret of the tests";

/// A Python program that says on which port it listens. Dropping it kills it.
struct Receiver {
    child: Child,
    port: u16,
}

impl Receiver {
    fn start(dir: &Path, code: &str) -> Self {
        fs::write(dir.join("receiver.py"), code).unwrap();
        let mut command = Command::new("python3");
        command.args(["receiver.py", "0"]).current_dir(dir).env("TASKSHED_NOTIFY_SECRET", SECRET);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("python3 can be started; install it");
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let port = said.trim().strip_prefix("port ").and_then(|port| port.parse().ok());
        Self { port: port.unwrap_or_else(|| panic!("it listens: {said:?}")), child }
    }

    /// The status with which it answers these bytes.
    fn answer(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line.split(' ').nth(1).unwrap().to_owned()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The first block of this kind in the guide.
fn block(kind: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/http-handlers.md");
    let page = fs::read_to_string(path).unwrap();
    let rest = page.split(&format!("```{kind}\n")).nth(1).unwrap();
    rest.split("\n```").next().unwrap().to_owned()
}

/// A place with the settings of the guide and its receiver.
fn as_in_the_guide() -> (Place, Receiver) {
    let mut place = Place::new("");
    place.set("TASKSHED_NOTIFY_SECRET", SECRET);
    let receiver = Receiver::start(&place.path(""), &block("python"));
    let toml = block("toml").replace("8800", &receiver.port.to_string());
    fs::write(place.path("taskshed.toml"), format!("store = \"memory:\"\n{toml}")).unwrap();
    (place, receiver)
}

#[test]
fn the_receiver_of_the_guide_runs_tasks() {
    assert!(block("python").lines().count() < 60, "a receiver is a short program");
    let (mut place, _receiver) = as_in_the_guide();
    let node = place.node(&[]);
    place.talk_to(&node);

    let done = place.json(&["add", "notify", "--id", "größe 1", "--kwarg", "to=ada", "--wait"]);
    assert_eq!(done, json!({ "task": "größe 1", "sent_to": "ada" }));
    let dead = place.run(&["add", "notify", "--id", "bad", "--wait"]);
    assert_eq!(dead.code, 1);
    assert!(dead.err.contains("bad is dead: 422 ") && dead.err.contains("'to'"), "{}", dead.err);
}

/// What a node sends to an endpoint with the secret of the guide, as text.
fn signed_request() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut place = Place::new("");
    place.set("TASKSHED_NOTIFY_SECRET", SECRET);
    let toml = block("toml").replace("8800", &port.to_string());
    fs::write(place.path("taskshed.toml"), format!("store = \"memory:\"\n{toml}")).unwrap();
    let node = place.node(&[]);
    place.talk_to(&node);
    place.done(&["add", "notify", "--id", "a", "--kwarg", "to=ada"]);

    let (mut stream, _) = listener.accept().unwrap();
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"}") {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).unwrap();
        assert!(count > 0, "a whole request");
        bytes.extend_from_slice(&chunk[..count]);
    }
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    String::from_utf8(bytes).unwrap()
}

/// The value of a header.
fn header<'a>(request: &'a str, name: &str) -> &'a str {
    let value = request.split(&format!("\r\n{name}: ")).nth(1).unwrap();
    value.split("\r\n").next().unwrap()
}

#[test]
fn a_signature_fits_one_request_for_a_while_and_no_other() {
    let request = signed_request();
    let (_place, receiver) = as_in_the_guide();
    assert_eq!(receiver.answer(&request), "200", "{request}");

    let signature = header(&request, "taskshed-signature");
    let fence = header(&request, "taskshed-fence");
    let with_fence = |to: &str| {
        request.replace(&format!("taskshed-fence: {fence}"), &format!("taskshed-fence: {to}"))
    };
    let (at, _) = signature.strip_prefix("t=").unwrap().split_once(',').unwrap();
    for (what, changed) in [
        ("another body", request.replace("ada", "eve")),
        ("another task", request.replace("taskshed-task-id: a", "taskshed-task-id: b")),
        ("another callback", request.replace("taskshed-callback: n", "taskshed-callback: N")),
        ("another fence", with_fence("1")),
        ("another time", request.replace(&format!("t={at}"), &format!("t={at}0"))),
        ("no signature", request.replace("taskshed-signature", "taskshed-other")),
        ("another scheme", request.replace(",v1=", ",v2=")),
    ] {
        assert_ne!(changed, request, "{what}");
        assert_eq!(receiver.answer(&changed), "401", "{what}");
    }

    let then = (at.parse::<u64>().unwrap() - 600).to_string();
    let old = request.replace(signature, &signed_by_openssl(&then, &request));
    assert_eq!(receiver.answer(&old), "401", "an old one that fits");
    let now = request.replace(signature, &signed_by_openssl(at, &request));
    assert_eq!(now, request, "another program signs alike");
}

/// The signature of a request at another time, by a program that shares no code with taskshed.
fn signed_by_openssl(at: &str, request: &str) -> String {
    let names = ["taskshed-task-id", "taskshed-callback", "taskshed-fence"];
    let [id, callback, fence] = names.map(|name| header(request, name));
    let body = request.split("\r\n\r\n").nth(1).unwrap();
    let mut command = Command::new("openssl");
    command.args(["dgst", "-sha256", "-hmac", SECRET]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    write!(stdin, "{at}\n{id}\n{callback}\n{fence}\n{body}").unwrap();
    drop(stdin);
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    format!("t={at},v1={}", said.trim().rsplit(' ').next().unwrap())
}

const TLS_RECEIVER: &str = r#"
import http.server, ssl

class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"[1]")

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("cert.pem", "key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
print("port", server.server_port, flush=True)
server.serve_forever()
"#;

#[test]
fn an_endpoint_with_tls_must_be_known_to_an_authority_of_the_system() {
    let mut place = Place::new("");
    certify(&place.path(""));
    let receiver = Receiver::start(&place.path(""), TLS_RECEIVER);
    let toml = format!(
        "store = \"memory:\"\n[handlers.hook]\nhttp = \"https://localhost:{}/\"\n",
        receiver.port
    );
    fs::write(place.path("taskshed.toml"), toml).unwrap();

    let stranger = place.node(&[]);
    place.talk_to(&stranger);
    place.done(&["add", "hook", "--id", "t"]);
    let error = || {
        place.task("t").and_then(|task| task["last_error"]["message"].as_str().map(str::to_owned))
    };
    until("it was tried", || error().is_some());
    let said = error().unwrap();
    assert!(said.contains("certificate"), "{said}");
    drop(stranger);

    let roots = place.path("ca.pem").display().to_string();
    place.set("SSL_CERT_FILE", &roots);
    let node = place.node(&[]);
    place.talk_to(&node);
    assert_eq!(place.done(&["add", "hook", "--max-attempts", "1", "--wait"]), "[1]");
}

#[test]
fn what_is_wrong_with_an_endpoint_is_said_by_its_key_when_a_node_starts() {
    let said = |section: &str| {
        let place = Place::new(&format!("store = \"memory:\"\n[handlers.hook]\n{section}"));
        place.done(&["config", "show"]);
        let ran = place.run(&["node", "--listen", "127.0.0.1:0"]);
        assert_eq!(ran.code, 2, "{}", ran.err);
        ran.err
    };

    for (section, wanted) in [
        ("http = \"mailer\"", "handlers.hook.http: must be a URL such as"),
        ("http = \"http://me:hunter2@a/\"", "handlers.hook.http: must be a URL such as"),
        (
            "http = \"http://a/\"\nheaders = { Host = \"b\" }",
            "handlers.hook.headers.Host: \"Host\" is not a header",
        ),
        (
            "http = \"http://a/\"\nsecret = { env = \"TASKSHED_NO\" }",
            "handlers.hook.secret: the variable TASKSHED_NO is not set",
        ),
        (
            "http = \"http://a/\"\nsecret = { file = \"no\" }",
            "handlers.hook.secret: no: No such file",
        ),
        ("http = \"http://a/\"\nsecret = \"\"", "handlers.hook.secret: is empty"),
    ] {
        let err = said(section);
        assert!(err.contains(wanted) && !err.contains("hunter2"), "{err}");
    }
}

#[test]
fn a_secret_is_read_from_a_file_without_its_line_break_and_never_shown() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut place = Place::new(&format!(
        "store = \"memory:\"\n[handlers.hook]\nhttp = \"http://{}/?token=hunter2\"\n\
         headers = {{ Authorization = {{ file = \"key\" }}, X-Team = \"s3cret\" }}\n",
        listener.local_addr().unwrap()
    ));
    fs::write(place.path("key"), "Bearer hunter2\n").unwrap();
    let shown = place.done(&["config", "show"]);
    assert!(!shown.contains("hunter2") && !shown.contains("s3cret"), "{shown}");
    let node = place.node(&["-vv"]);
    place.talk_to(&node);
    let asked = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).unwrap();
        stream.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n").unwrap();
        String::from_utf8_lossy(&chunk[..count]).into_owned()
    });

    place.done(&["add", "hook", "--id", "t"]);

    let request = asked.join().unwrap();
    assert_eq!(header(&request, "authorization"), "Bearer hunter2");
    assert_eq!(header(&request, "x-team"), "s3cret");
    until("it has failed", || place.task("t").is_some_and(|task| task["last_error"].is_object()));
    let told = format!("{}{}", node.log(), place.done(&["show", "t"]));
    assert!(!told.contains("hunter2") && !told.contains("s3cret"), "{told}");
}
