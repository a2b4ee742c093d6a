//! A private redis-server: on a free port of the loopback, with a directory of its own.

use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;

/// Runs the server and kills it when standard input ends, so that it never outlives the tests.
const GUARD: &str = "\"$@\" & server=$!; cat >/dev/null; kill -9 $server 2>/dev/null; wait";

/// A server that ends with this value, or with the process that runs the tests.
#[derive(Debug)]
pub(crate) struct RedisServer {
    guard: Option<Child>,
    dir: TempDir,
    port: u16,
    options: Vec<String>,
    environment: Vec<String>,
    tls: bool,
}

impl RedisServer {
    /// Starts a server with `options`, such as `["--appendonly", "yes"]`.
    pub(crate) fn start(options: &[&str]) -> Self {
        let dir = TempDir::new().expect("a directory for the server can be made");
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Self::in_dir(dir, options, Vec::new(), false)
    }

    /// Starts a server whose wall clock follows [`RedisServer::shift_clock`].
    pub(crate) fn start_with_clock(options: &[&str]) -> Self {
        let dir = TempDir::new().expect("a directory for the server can be made");
        let (library, shift) = (dir.path().join("clock.so"), dir.path().join("shift"));
        std::fs::write(&shift, 0_i64.to_ne_bytes()).expect("the directory can be written");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "tests/support/clock_shift.c", "-o"])
            .arg(&library)
            .status();
        assert!(built.is_ok_and(|status| status.success()), "cc builds the library");
        let environment = vec![
            format!("LD_PRELOAD={}", library.display()),
            format!("CLOCK_SHIFT_FILE={}", shift.display()),
        ];
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Self::in_dir(dir, options, environment, false)
    }

    fn in_dir(dir: TempDir, options: Vec<String>, environment: Vec<String>, tls: bool) -> Self {
        let mut server = Self { guard: None, dir, port: free_port(), options, environment, tls };
        server.restart();
        server
    }

    /// Moves its wall clock to this far from the machine's, at once.
    pub(crate) fn shift_clock(&self, seconds: i64) {
        let shift = (seconds * 1_000_000).to_ne_bytes();
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .open(self.dir.path().join("shift"))
            .expect("the server was started with a clock");
        file.write_all(&shift).expect("eight bytes are written in place");
    }

    /// Its process, to be stopped and continued.
    pub(crate) fn pid(&self) -> i32 {
        let answer = self.tell("INFO server");
        let line = answer.lines().find_map(|line| line.strip_prefix("process_id:"));
        line.and_then(|pid| pid.parse().ok()).expect("INFO names the process")
    }

    /// Starts a server that takes TLS connections alone, with the password `s3cret`.
    pub(crate) fn start_tls(cert: &str, key: &str, authority: &str) -> Self {
        let files =
            ["--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", authority];
        let mut options = vec!["--requirepass", "s3cret", "--tls-auth-clients", "no"];
        options.extend(files);
        let dir = TempDir::new().expect("a directory for the server can be made");
        let options = options.into_iter().map(str::to_owned).collect();
        Self::in_dir(dir, options, Vec::new(), true)
    }

    /// Sends a command and answers what it says; nothing if it does not answer.
    pub(crate) fn tell(&self, words: &str) -> String {
        tell(self.port, words)
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The value of an option that it was started with.
    pub(crate) fn option(&self, name: &str) -> &str {
        let at = self.options.iter().position(|option| option == name);
        at.and_then(|at| self.options.get(at + 1)).expect("it was started with it")
    }

    /// Its URL, without a user.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            drop(guard.stdin.take());
            guard.wait().expect("the server can be waited for");
        }
    }

    /// Starts it again where it was, with the same directory.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let mut command = guarded();
        command
            .args(&self.environment)
            .args(["redis-server", "--bind", "127.0.0.1", "--save", ""])
            .args(if self.tls { &["--port", "0", "--tls-port"][..] } else { &["--port"] })
            .args([&self.port.to_string(), "--dir"])
            .arg(self.dir.path())
            .args(["--logfile", "log"])
            .args(&self.options);
        self.guard = Some(launch(command));
        self.wait_until_it_answers();
    }

    /// Starts it again with nothing of its own, as a replica of the server at a port of the loopback.
    pub(crate) fn follow(&mut self, port: u16) {
        self.kill();
        self.dir = TempDir::new().expect("a directory for the server can be made");
        if let Some(at) = self.options.iter().position(|option| option == "--replicaof") {
            self.options.drain(at..at + 3);
        }
        self.options.extend(["--replicaof".into(), "127.0.0.1".into(), port.to_string()]);
        self.restart();
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "waits for a process, which has no clock of ours"
    )]
    fn wait_until_it_answers(&self) {
        for _ in 0..1000 {
            if self.answers() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        panic!("redis-server did not start:\n{log}");
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        if self.tls {
            return true;
        }
        let mut answer = [0; 5];
        let asked = stream.write_all(b"PING\r\n").and_then(|()| stream.read_exact(&mut answer));
        asked.is_ok() && !answer.starts_with(b"-LOAD")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What the server at a port of the loopback answers; nothing if it does not within two seconds.
///
/// A sentinel knows no QUIT, so the end of an answer is the answer to a PING behind it.
pub(crate) fn tell(port: u16, words: &str) -> String {
    let mut answer = Vec::new();
    let told = TcpStream::connect(("127.0.0.1", port)).and_then(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(format!("{words}\r\nPING\r\n").as_bytes())?;
        let mut part = [0; 4096];
        while !answer.ends_with(b"+PONG\r\n") {
            match stream.read(&mut part)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => answer.extend(&part[..count]),
            }
        }
        Ok(())
    });
    if told.is_ok() { String::from_utf8_lossy(&answer).into_owned() } else { String::new() }
}

/// A command that ends with what it starts; the program and its arguments are yet to be added.
pub(crate) fn guarded() -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", GUARD, "sh", "env"]).stdin(Stdio::piped()).stdout(Stdio::null());
    command
}

pub(crate) fn launch(mut command: Command) -> Child {
    command
        .spawn()
        .expect("redis-server can be started; install it, for example: apt install redis-server")
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
