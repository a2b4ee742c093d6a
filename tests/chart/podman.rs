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
