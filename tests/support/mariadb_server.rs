//! A private mariadbd: on a free port of the loopback, with a data folder of its own.

use std::io::Read;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use mysql_async::Conn;
use mysql_async::Opts;
use mysql_async::prelude::Queryable;
use tempfile::TempDir;

/// Runs the server and kills it when standard input ends, so that it never outlives the tests.
const GUARD: &str = "\"$@\" & server=$!; cat >/dev/null; kill -9 $server 2>/dev/null; wait";

/// The user of the tests; root logs in through the socket alone.
const USERS: &str = "CREATE DATABASE IF NOT EXISTS taskshed;
CREATE USER IF NOT EXISTS 'shed'@'127.0.0.1' IDENTIFIED BY 's3cret';
GRANT ALL ON *.* TO 'shed'@'127.0.0.1';
";

/// A server that ends with this value, or with the process that runs the tests.
#[derive(Debug)]
pub(crate) struct MariadbServer {
    guard: Option<Child>,
    dir: TempDir,
    port: u16,
    options: Vec<String>,
    environment: Vec<(String, String)>,
}

impl MariadbServer {
    /// Starts a server with `options`, such as `["--max-connections=10"]`.
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::make(&std::env::temp_dir(), options, Vec::new())
    }

    /// The same with its data in a folder below `parent`.
    pub(crate) fn start_in(parent: &Path, options: &[&str]) -> Self {
        Self::make(parent, options, Vec::new())
    }

    /// Starts a server with this environment beside the present one.
    pub(crate) fn start_with(environment: Vec<(String, String)>) -> Self {
        Self::make(&std::env::temp_dir(), &[], environment)
    }

    fn make(parent: &Path, options: &[&str], environment: Vec<(String, String)>) -> Self {
        let dir = TempDir::new_in(parent).expect("a folder for the server can be made");
        let data = dir.path().join("data");
        std::fs::write(dir.path().join("users.sql"), USERS).expect("the folder can be written");
        let made = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--auth-root-authentication-method=normal"])
            .args(["--skip-test-db", "--user=root", "--innodb-log-file-size=8M"])
            .arg(format!("--datadir={}", data.display()))
            // A server that starts deletes what it finds of others in a folder that they share.
            .env("TMPDIR", dir.path())
            .stdin(Stdio::null())
            .output()
            .expect("mariadb can be started; install it, for example: apt install mariadb-server");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let mut server = Self { guard: None, dir, port: free_port(), options, environment };
        server.restart();
        server
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub(crate) fn pid(&self) -> String {
        let pid = std::fs::read_to_string(self.dir.path().join("pid")).expect("it runs");
        pid.trim().to_owned()
    }

    /// The URL of its database.
    pub(crate) fn url(&self) -> String {
        format!("mysql://shed:s3cret@127.0.0.1:{}/taskshed", self.port)
    }

    /// The URL of another database, which is made.
    pub(crate) async fn database(&self, name: &str) -> String {
        let url = self.url();
        let mut conn =
            Conn::new(Opts::from_url(&url).expect("it is a URL")).await.expect("it answers");
        conn.query_drop(format!("CREATE DATABASE `{name}`")).await.expect("its user may");
        url.replace("/taskshed", &format!("/{name}"))
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            drop(guard.stdin.take());
            guard.wait().expect("the server can be waited for");
        }
    }

    /// Starts it again with other options.
    pub(crate) fn restart_with(&mut self, options: &[&str]) {
        self.options = options.iter().map(|option| (*option).to_owned()).collect();
        self.restart();
    }

    /// Starts it again where it was, with the same data.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let dir = self.dir.path();
        let guard = Command::new("sh")
            .args(["-c", GUARD, "sh", "mariadbd", "--no-defaults", "--user=root"])
            .args(["--skip-networking=OFF", "--bind-address=127.0.0.1", "--skip-name-resolve"])
            .arg(format!("--port={}", self.port))
            .arg(format!("--datadir={}", dir.join("data").display()))
            .arg(format!("--tmpdir={}", dir.display()))
            .arg(format!("--socket={}", dir.join("sock").display()))
            .arg(format!("--pid-file={}", dir.join("pid").display()))
            .arg(format!("--init-file={}", dir.join("users.sql").display()))
            .arg(format!("--log-error={}", dir.join("log").display()))
            .args(["--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=64M"])
            .args(["--innodb-log-file-size=8M", "--performance-schema=OFF"])
            .args(&self.options)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh is there");
        self.guard = Some(guard);
        self.wait_until_it_answers();
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "waits for a process, which has no clock of ours"
    )]
    fn wait_until_it_answers(&self) {
        for _ in 0..3000 {
            if self.answers() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        panic!("mariadbd did not start:\n{log}");
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        // It greets first.
        stream.read_exact(&mut [0; 5]).is_ok()
    }
}

impl Drop for MariadbServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
