//! Tokens and TLS, from the command line to a node.

use std::fs;
use std::path::Path;
use std::process::Command;

use sha2::Digest;
use sha2::Sha256;

use crate::program::Place;
use crate::program::Ran;
use crate::program::until;

fn with_token() -> Place {
    let hex = format!("{:x}", Sha256::digest("s3cret"));
    Place::new(&format!(
        "store = \"memory:\"\n[auth]\ntokens = [{{ name = \"ci\", role = \"write\", sha256 = \"{hex}\" }}]\n"
    ))
}

#[test]
fn commands_give_the_token_that_they_are_told() {
    let mut place = with_token();
    let node = place.node(&["--no-run"]);
    place.talk_to(&node);

    let without = place.run(&["add", "noop"]);
    assert_eq!(without.code, 1, "{}", without.err);
    assert!(without.err.contains("--token or TASKSHED_TOKEN"), "{}", without.err);
    let wrong = place.run(&["--token", "wr0ng", "queues"]);
    assert_eq!(wrong.code, 1, "{}", wrong.err);
    assert!(!wrong.err.contains("wr0ng"), "{}", wrong.err);
    let id = place.done(&["add", "noop", "--id", "a", "--token", "s3cret"]);
    assert_eq!(id, "a");
    let mut list = place.command(&["list"]);
    list.env("TASKSHED_TOKEN", "s3cret");
    assert!(Ran::of(list).out.contains("\"a\""));
    let resign = place.run(&["leader", "resign", "--token", "s3cret"]);
    assert_eq!(resign.code, 1);
    assert!(resign.err.contains("needs the role admin"), "{}", resign.err);

    let log = node.log();
    assert!(log.contains("what=\"tasks.add\" ids=[\"a\"] affected=1"), "{log}");
    assert!(log.contains("who=ci") && !log.contains("s3cret") && !log.contains("wr0ng"), "{log}");
}

#[test]
fn a_token_is_never_shown() {
    let place = with_token();
    let mut show = place.command(&["config", "show"]);
    show.env("TASKSHED_TOKEN", "s3cret");

    let shown = Ran::of(show).out;

    assert!(shown.contains("\"***\"") && !shown.contains("s3cret"), "{shown}");
    assert!(shown.contains("\"auth.tokens.ci\"") && shown.contains("\"write\""), "{shown}");
}

#[test]
fn nobody_listens_to_other_machines_without_tokens_unless_told_so() {
    let place = Place::new("store = \"memory:\"\n");
    let refused = place.run(&["node", "--listen", "0.0.0.0:0"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("--insecure"), "{}", refused.err);

    place.done(&["config", "show", "--listen", "0.0.0.0:0", "--insecure"]);
    with_token().done(&["config", "show", "--listen", "0.0.0.0:0"]);
}

fn openssl(dir: &Path, words: &str) {
    let done = Command::new("openssl").args(words.split_whitespace()).current_dir(dir).output();
    let done = done.expect("openssl can be started; install it, for example: apt install openssl");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Makes an authority and a certificate for `localhost` that it signed.
pub(crate) fn certify(dir: &Path) {
    fs::write(dir.join("ext"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
        .unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(dir, &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=ca"));
    openssl(dir, &format!("req {key} -keyout key.pem -out csr.pem -subj /CN=localhost"));
    let sign = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext";
    openssl(dir, &format!("x509 -req -in csr.pem {sign} -out cert.pem"));
}

#[test]
fn the_api_speaks_tls_and_reads_its_certificate_again_when_it_changes() {
    let place = Place::new("store = \"memory:\"\n");
    certify(&place.path(""));
    fs::copy(place.path("ca.pem"), place.path("first.pem")).unwrap();
    let node = place.node(&["--no-run", "--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    let url = node.url.replace("127.0.0.1", "localhost");
    assert!(url.starts_with("https://"), "{url}");
    let queues = |roots: &str| {
        let mut command = place.command(&["--server", &url, "queues"]);
        command.env("SSL_CERT_FILE", place.path(roots));
        Ran::of(command).code
    };

    assert_eq!(queues("first.pem"), 0);
    fs::write(place.path("key.pem"), "no key").unwrap();
    until("the wrong key is met", || {
        queues("first.pem");
        node.log().contains("the new certificate cannot be used")
    });
    assert_eq!(queues("first.pem"), 0, "the last good one stays in use");
    certify(&place.path(""));
    until("the new one is in use", || queues("ca.pem") == 0);
    assert_eq!(queues("first.pem"), 3);
    let plain = place.run(&["--server", &url.replace("https", "http"), "queues"]);
    assert_eq!(plain.code, 3, "{}", plain.err);
}
