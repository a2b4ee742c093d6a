//! Runs podman, set up so that it needs neither systemd nor new limits.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::helm::run;

const SETTINGS: &str = r#"
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"#;

/// The image that tests build.
pub(crate) const IMAGE: &str = "localhost/taskshed-test:1";

/// podman, with its settings; arguments are yet to be added.
pub(crate) fn podman() -> Command {
    static SETTLED: OnceLock<PathBuf> = OnceLock::new();
    let settings = SETTLED.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("containers.conf");
        std::fs::write(&path, SETTINGS).unwrap();
        path
    });
    let mut command = Command::new("podman");
    command.env("CONTAINERS_CONF", settings).current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// Runs podman, which must do as it is asked, and answers what it wrote.
pub(crate) fn done(args: &[&str]) -> String {
    let (content, said) = run(podman().args(args));
    assert!(content, "podman {args:?}: {said}");
    said.trim().to_owned()
}

/// Builds the image once: the last stage of the Containerfile around a program that cargo builds here,
/// which takes minutes less than the whole. Answers its name.
pub(crate) fn image() -> &'static str {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| drop(last_stage(IMAGE)));
    IMAGE
}

/// Builds the last stage under this name, and answers the id of the image.
pub(crate) fn last_stage(name: &str) -> String {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("image");
    let (content, said) = run(Command::new("sh")
        .args(["-euc", LAY_OUT, "sh"])
        .arg(&root)
        .arg(program())
        .current_dir(env!("CARGO_MANIFEST_DIR")));
    assert!(content, "{said}");
    let context = format!("build={}", root.display());
    let file = ["-f", "helm/Containerfile", "--timestamp", "0", "--build-context", &context];
    let (content, said) =
        run(podman().args(["build", "--quiet", "--pull=never", "-t", name]).args(file).arg("."));
    assert!(content, "{said}");
    done(&["image", "inspect", "--format", "{{.Id}}", name])
}

/// What the first stage would leave, as far as it differs from a copy of the program.
const LAY_OUT: &str = r#"
rm -rf "$1"
mkdir -p "$1/image/etc/ssl/certs" "$1/image/tmp" "$1/image/usr/bin" "$1/image/var/lib/taskshed"
cp "$2" "$1/image/usr/bin/taskshed"
cp /etc/ssl/certs/ca-certificates.crt "$1/image/etc/ssl/certs/"
echo 'taskshed:x:65532:65532::/var/lib/taskshed:/sbin/nologin' > "$1/image/etc/passwd"
echo 'taskshed:x:65532:' > "$1/image/etc/group"
chmod 1777 "$1/image/tmp"
chown 65532:65532 "$1/image/var/lib/taskshed"
"#;

/// The static program, as cargo builds it; a `target` of its own lets it be while tests run.
fn program() -> PathBuf {
    let host = "x86_64-unknown-linux-gnu";
    let (content, said) = run(Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--bin", "taskshed", "--profile", "image"])
        .args(["--target", host])
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .current_dir(env!("CARGO_MANIFEST_DIR")));
    assert!(content, "{said}");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    target.join(host).join("image/taskshed")
}

/// Connects to its first argument, an address, at the port of its second.
const CALLER: &str = r"
#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>
int main(int count, char **words) {
    (void)count;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
    inet_aton(words[1], &at.sin_addr);
    for (int turn = 0; turn < 300; turn++) {
        int line = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(line, (struct sockaddr *)&at, sizeof at) == 0) return 0;
        close(line);
        usleep(100 * 1000);
    }
    return 1;
}
";

/// What all tests with podman stand on: an image is built from nothing, its container runs as the chart's do,
/// and calls this machine over a bridge.
#[test]
fn a_container_runs_and_reaches_this_machine() {
    let name = format!("taskshed-test-caller-{}", std::process::id());
    let dir = tempfile::TempDir::new().unwrap();
    std::fs::write(dir.path().join("caller.c"), CALLER).unwrap();
    let file = "FROM scratch\nCOPY caller /caller\nENTRYPOINT [\"/caller\"]\n";
    std::fs::write(dir.path().join("Containerfile"), file).unwrap();
    let cc =
        Command::new("cc").args(["-static", "-o", "caller", "caller.c"]).current_dir(&dir).status();
    assert!(cc.is_ok_and(|status| status.success()), "cc makes a static program");
    let image = format!("localhost/{name}:1");
    done(&["build", "--quiet", "-t", &image, dir.path().to_str().unwrap()]);
    done(&["network", "create", "--disable-dns", &name]);

    let called = std::panic::catch_unwind(|| {
        let format = "{{range .Subnets}}{{.Gateway}}{{end}}";
        let gateway = done(&["network", "inspect", "--format", format, &name]);
        // The address is this machine's once a container is on the bridge.
        let limits = ["--cap-drop=ALL", "--user=65532:65532", "--read-only", "--memory=64m"];
        let run = ["run", "--detach", "--name", &name, "--network", &name];
        done(&[&run[..], &limits, &[&image, &gateway, "18091"]].concat());
        let listener = std::net::TcpListener::bind((gateway.as_str(), 18091)).unwrap();
        let code = done(&["wait", &name]);
        drop(listener);
        assert_eq!(code, "0", "the container did not reach {gateway}");
    });

    for args in [&["rm", "--force", &name][..], &["network", "rm", &name], &["rmi", &image]] {
        drop(run(podman().args(args)));
    }
    called.unwrap_or_else(|why| std::panic::resume_unwind(why));
}
