//! Passwords, users, TLS: they work, and what logs in is never shown.

use std::fs;
use std::path::Path;
use std::process::Command;

use taskshed::domain::state::Outcome;
use taskshed::store::Acked;
use taskshed::store::Error;
use taskshed::store::Options;
use taskshed::store::Severity;
use taskshed::store::Store;
use taskshed::store::connect;
use taskshed::store::open;
use taskshed::store::redis::RedisStore;

use super::RedisServer;
use super::shed::SECOND;
use super::shed::Shed;
use super::shed::planned;
use super::shed::task;

fn with_login(server: &RedisServer, login: &str) -> String {
    server.url().replace("redis://", &format!("redis://{login}@"))
}

#[tokio::test]
async fn a_password_is_needed_and_never_shown() {
    let server = RedisServer::start(&["--requirepass", "s3cret"]);
    let good = with_login(&server, ":s3cret");
    let store = connect(&good).await.unwrap();
    assert!(!format!("{store:?}").contains("s3cret"));
    assert!(format!("{store:?}").contains("127.0.0.1"));

    for url in [with_login(&server, ":wr0ng"), with_login(&server, "nobody:wr0ng"), server.url()] {
        let error = connect(&url).await.map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::Unusable { .. }), "{error:?}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("wr0ng"), "{shown}");
    }
}

#[tokio::test]
async fn a_user_without_admin_rights_is_enough() {
    let server = RedisServer::start(&[]);
    let admin = Shed::at(&server.url()).await;
    let rules = "ACL SETUSER shed on >pw ~{ts:*}:* &{ts:*}:* +@all -@admin -@dangerous";
    let _: String = admin.tell(&rules.split(' ').collect::<Vec<_>>()).await;
    let url = with_login(&server, "shed:pw");

    let shed = Shed::at(&url).await;
    shed.store.prepare().await.unwrap();
    shed.add(vec![planned(task("a"))]).await.unwrap();
    let claimed = shed.claim(1).await.unwrap();
    assert_eq!(shed.finish(&claimed, Outcome::Completed(None)).await.unwrap(), [Acked::Done]);
    let findings = shed.store.check(10 * SECOND).await.unwrap();
    let server = findings.iter().find(|finding| finding.topic == "server").unwrap();
    assert_eq!(server.severity, Severity::Advice);
}

#[test]
fn a_wrong_url_is_named_and_its_password_is_not() {
    for url in [
        "redis://user:s3cret@127.0.0.1:port/0",
        "redis://user:s3cret@127.0.0.1/zero",
        "redis://:s3cret",
        "http://user:s3cret@127.0.0.1/",
        "user:s3cret@127.0.0.1",
        "",
    ] {
        let error = open(url, Options::default()).map(|_| ()).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(matches!(error, Error::Unusable { .. }), "{shown}");
    }
    let error = open("redis://user:s3cret@127.0.0.1:port/0", Options::default()).unwrap_err();
    assert!(error.to_string().contains("127.0.0.1:port"), "{error}");
    assert!(RedisStore::open("redis+unix:///tmp/x.sock", Options::default()).is_ok());
}

fn openssl(dir: &Path, words: &str) {
    let done = Command::new("openssl").args(words.split(' ')).current_dir(dir).output();
    let done = done.expect("openssl can be started; install it, for example: apt install openssl");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Makes an authority and a certificate for `localhost` that it signed.
fn certify(dir: &Path) {
    fs::write(dir.join("ext"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
        .unwrap();
    openssl(
        dir,
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=ca",
    );
    openssl(dir, "req -newkey rsa:2048 -nodes -keyout tls.key -out tls.csr -subj /CN=localhost");
    openssl(
        dir,
        "x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out tls.crt",
    );
}

/// The roots are read from the environment of a process, so the client is another process.
#[test]
fn tls_works_with_a_trusted_certificate_and_only_then() {
    let dir = tempfile::TempDir::new().unwrap();
    certify(dir.path());
    let path = |name: &str| dir.path().join(name).display().to_string();
    let server = RedisServer::start_tls(&path("tls.crt"), &path("tls.key"), &path("ca.crt"));
    let url = format!("rediss://:s3cret@localhost:{}/0", server.port());

    for (roots, expected) in [("ca.crt", true), ("tls.csr", false)] {
        let client = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "login::a_client_over_tls", "--ignored", "--nocapture"])
            .env("SSL_CERT_FILE", path(roots))
            .env("TASKSHED_TEST_URL", &url)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&client.stdout).into_owned()
            + &String::from_utf8_lossy(&client.stderr);
        assert_eq!(client.status.success(), expected, "{said}");
        assert!(said.contains("1 passed") == expected, "{said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
}

#[tokio::test]
#[ignore = "run by the test above, with its own environment"]
#[expect(clippy::disallowed_methods, reason = "the test above passes the URL")]
async fn a_client_over_tls() {
    let url = std::env::var("TASKSHED_TEST_URL").unwrap();
    let store = connect(&url).await.unwrap();
    store.now().await.unwrap();
    assert!(format!("{store:?}").contains("localhost"));
}
