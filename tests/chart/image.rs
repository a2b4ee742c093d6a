//! The image, built and run for real.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use taskshed::clock::Clock;
use taskshed::clock::SystemClock;

use crate::helm::objects;
use crate::helm::read;
use crate::helm::run;
use crate::podman::IMAGE;
use crate::podman::done;
use crate::podman::image;
use crate::podman::last_stage;
use crate::podman::podman;

/// How the chart runs it.
const RESTRICTED: [&str; 8] = [
    "run",
    "--rm",
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--user=65532:65532",
    "--network=none",
];

fn inspect(name: &str) -> Value {
    let text = done(&["image", "inspect", name]);
    serde_json::from_str::<Vec<Value>>(&text).unwrap().remove(0)
}

#[test]
fn it_is_small_and_says_what_it_is() {
    let image = inspect(image());

    let bytes = image["Size"].as_u64().unwrap();
    println!("the image has {bytes} bytes");
    assert!(bytes < 40_000_000, "{bytes} bytes");
    assert_eq!(image["Config"]["User"], "65532:65532");
    assert_eq!(image["Config"]["Entrypoint"][0], "/usr/bin/taskshed");
    for label in ["title", "description", "licenses", "version", "revision"] {
        let text = &image["Labels"][format!("org.opencontainers.image.{label}")];
        assert!(text.as_str().is_some_and(|text| !text.is_empty()), "{label}");
    }
}

/// The program is alone, so whoever gets into the container finds nothing to go on with.
#[test]
fn nothing_but_the_program_is_in_it() {
    let container = done(&["create", image()]);
    let archive = Command::new("sh")
        .args(["-c", &format!("podman export {container} | tar t")])
        .env("CONTAINERS_CONF", podman().get_envs().next().unwrap().1.unwrap())
        .output()
        .unwrap();
    done(&["rm", &container]);

    let text = String::from_utf8(archive.stdout).unwrap();
    let mut files: Vec<_> = text.lines().filter(|path| !path.ends_with('/')).collect();
    files.retain(|path| !path.starts_with("dev/") && !path.starts_with("proc/"));
    files.sort_unstable();
    let ours = ["etc/group", "etc/passwd", "etc/ssl/certs/ca-certificates.crt", "usr/bin/taskshed"];
    for file in ours {
        assert!(files.contains(&file), "{file} is missing of {files:?}");
    }
    files.retain(|file| {
        !ours.contains(file) && !file.starts_with("etc/") && !file.starts_with("run/")
    });
    assert!(files.is_empty(), "{files:?}");
    let (works, _) = run(podman().args(RESTRICTED).args(["--entrypoint=/bin/sh", IMAGE]));
    assert!(!works, "there is no shell");
}

#[test]
fn the_same_program_gives_the_same_image() {
    image();
    assert_eq!(last_stage("localhost/taskshed-test:2"), last_stage("localhost/taskshed-test:3"));
}

/// On a root that cannot be written, without rights, as the chart runs it: a node starts, its handler
/// runs, and SIGTERM ends it with 0.
#[test]
fn it_runs_tasks_as_the_chart_runs_it() {
    image();
    let dir = tempfile::TempDir::new().unwrap();
    let file = "[node]\nlisten = \"127.0.0.1:8090\"\n[handlers.version]\n\
                exec = [\"/usr/bin/taskshed\", \"completions\", \"bash\"]\n";
    std::fs::write(dir.path().join("taskshed.toml"), file).unwrap();
    let mount = format!("--volume={}:/etc/taskshed:ro", dir.path().display());
    let args =
        ["--detach", "--tmpfs=/tmp", &mount, "--env=TASKSHED_CONFIG=/etc/taskshed/taskshed.toml"];
    let more = ["--env=TASKSHED_STORE=memory:", IMAGE];
    let (content, said) =
        run(podman().args(&RESTRICTED[..1]).args(&RESTRICTED[2..]).args(args).args(more));
    assert!(content, "{said}");
    let container = said.lines().rfind(|line| line.len() == 64).unwrap().to_owned();
    let exec =
        |args: &[&str]| run(podman().args(["exec", &container, "/usr/bin/taskshed"]).args(args));

    let mut added = exec(&["add", "version", "--id", "t", "--wait"]);
    for _ in 0..100 {
        if added.0 {
            break;
        }
        added = exec(&["add", "version", "--id", "t", "--wait"]);
    }
    let stopped = run(podman().args(["stop", "-t", "30", &container]));
    let code = done(&["inspect", "--format", "{{.State.ExitCode}}", &container]);
    let log = run(podman().args(["logs", &container]));
    done(&["rm", "--force", &container]);

    assert!(added.0, "{}\n{}", added.1, log.1);
    assert!(stopped.0, "{}", stopped.1);
    assert_eq!(code, "0", "{}", log.1);
}

/// How long a pod takes from the start of its process to its first claim, with a task that waits for it.
#[test]
fn the_time_from_its_start_to_its_first_claim_is_told() {
    image();
    let dir = tempfile::TempDir::new().unwrap();
    // It runs until it is stopped, so that its claim can be looked at.
    let file = "[handlers.listen]\nexec = [\"/usr/bin/taskshed\", \"events\"]\n";
    std::fs::write(dir.path().join("taskshed.toml"), file).unwrap();
    std::fs::create_dir(dir.path().join("store")).unwrap();
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(dir.path().join("store"), open).unwrap();
    let mounts = ["taskshed.toml:/etc/taskshed/taskshed.toml:ro", "store:/var/lib/taskshed"]
        .map(|mount| format!("--volume={}/{mount}", dir.path().display()));
    let start = |args: &[&str]| {
        let mut container = podman();
        container.args(&RESTRICTED[..1]).args(&RESTRICTED[2..]).args(&mounts);
        container.args(["--detach", "--tmpfs=/tmp", "--env=TASKSHED_STORE=sqlite:shed.db"]);
        container.args(["--env=TASKSHED_CONFIG=/etc/taskshed/taskshed.toml", IMAGE]).args(args);
        let (content, said) = run(&mut container);
        assert!(content, "{said}");
        said.lines().rfind(|line| line.len() == 64).unwrap().to_owned()
    };
    let until = |container: &str, args: &[&str], is_so: &dyn Fn(&str) -> bool| {
        let mut last = String::new();
        for _ in 0..200 {
            let exec = ["exec", container, "/usr/bin/taskshed"];
            let (content, said) = run(podman().args(exec).args(args));
            if content && is_so(&said) {
                return said;
            }
            last = said;
        }
        panic!("{args:?}: {last}\n{}", run(podman().args(["logs", container])).1)
    };

    let before = start(&["node", "--no-run"]);
    until(&before, &["add", "listen", "--id", "first"], &|_| true);
    done(&["stop", "-t", "30", &before]);
    let pod = start(&["node", "--drain-timeout", "1s"]);
    let task_in = |said: &str| said.find('{').and_then(|at| serde_json::from_str(&said[at..]).ok());
    let runs = |said: &str| task_in(said).is_some_and(|task: Value| task["state"] == "running");
    let shown = until(&pod, &["show", "first"], &runs);
    let pid = done(&["inspect", "--format", "{{.State.Pid}}", &pod]);
    let began_us = began_us(&pid);
    for container in [&before, &pod] {
        done(&["rm", "--force", container]);
    }

    let task: Value = task_in(&shown).unwrap();
    // A fence is the moment of its claim, by the store's clock, which is this machine's.
    let claimed_us = task["lease"]["fence"].as_i64().unwrap();
    println!(
        "from the start of the process to its first claim: {} ms",
        (claimed_us - began_us) / 1000
    );
    assert!(began_us < claimed_us, "{began_us} {task}");
}

/// When a process began, by the wall clock; a hundredth of a second or so early.
fn began_us(pid: &str) -> i64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let ticks: i64 = after_name.split_whitespace().nth(19).unwrap().parse().unwrap();
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let now_us = SystemClock.wall().as_us();
    let up: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    let up_us = i64::try_from(Duration::from_secs_f64(up).as_micros()).unwrap();
    now_us - up_us + ticks * 10_000
}

/// The first way to add a handler: a static program in an image made from ours.
#[test]
fn a_static_program_can_be_added() {
    let name = "localhost/taskshed-test-added:1";
    let built = extended(name, "FROM localhost/taskshed-test:1\nCOPY taskshed /handlers/own\n");
    assert!(built.0, "{}", built.1);

    let (works, said) =
        run(podman().args(RESTRICTED).args(["--entrypoint=/handlers/own", name, "--version"]));

    assert!(works, "{said}");
}

/// The second way: our program in an image with an interpreter.
#[test]
fn the_program_can_be_taken_along() {
    let name = "localhost/taskshed-test-taken:1";
    let file = "FROM scratch\nCOPY other /bin/other\n\
                COPY --from=localhost/taskshed-test:1 /usr/bin/taskshed /usr/bin/taskshed\n\
                USER 65532:65532\nENTRYPOINT [\"/usr/bin/taskshed\"]\nCMD [\"node\"]\n";
    let built = extended(name, file);
    assert!(built.0, "{}", built.1);

    let (works, said) = run(podman().args(RESTRICTED).args([name, "--version"]));

    assert!(works && said.contains("taskshed"), "{said}");
}

/// Builds an image from this file, beside a copy of our program under two names.
fn extended(name: &str, file: &str) -> (bool, String) {
    image();
    let dir = tempfile::TempDir::new().unwrap();
    let program =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("image/image/usr/bin/taskshed");
    for copy in ["taskshed", "other"] {
        std::fs::copy(&program, dir.path().join(copy)).unwrap();
    }
    std::fs::write(dir.path().join("Containerfile"), file).unwrap();
    run(podman().args(["build", "--quiet", "--pull=never", "-t", name]).arg(dir.path()))
}

/// One version, wherever it stands.
#[test]
fn all_say_the_same_version() {
    let version = env!("CARGO_PKG_VERSION");
    let chart = &objects(&read("helm/taskshed/Chart.yaml"))[0];

    assert_eq!(chart["version"], version);
    assert_eq!(chart["appVersion"], version);
    assert!(read("helm/Containerfile").contains(&format!("\nARG VERSION={version}\n")));
    for page in ["docs/guide/kubernetes.md", "helm/taskshed/README.md"] {
        let text = read(page);
        let mut tags =
            text.match_indices("REGISTRY/taskshed:").map(|(at, mark)| &text[at + mark.len()..]);
        assert!(tags.all(|tag| tag.starts_with(version)), "{page}");
    }
}
