//! Where settings come from, and what is said about wrong ones.

use crate::program::Place;
use crate::program::Ran;

const FILE: &str = "store = \"redis://me:hunter2@127.0.0.1:1/0\"\n[node]\nlease = \"5s\"\n\
                    concurrency = 8\nwake = \"polling:3s\"\n";

/// What `config show` says of a setting: its value and where that came from.
fn shown(ran: &Ran, setting: &str) -> (String, String) {
    assert_eq!(ran.code, 0, "{}", ran.err);
    let find = |line: &str| {
        let shown: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| shown[name].as_str().unwrap().to_owned();
        (text("setting") == setting).then(|| (text("value"), text("from")))
    };
    ran.out.lines().find_map(find).unwrap()
}

fn pair(value: &str, from: &str) -> (String, String) {
    (value.into(), from.into())
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
    let place = Place::new(FILE);
    let mut command = place.command(&["config", "show", "--lease", "7s", "--no-leader"]);
    command.env("TASKSHED_LEASE", "6s").env("TASKSHED_CONCURRENCY", "9");
    let ran = Ran::of(command);

    assert_eq!(shown(&ran, "node.lease"), pair("7s", "--lease"));
    assert_eq!(shown(&ran, "node.leader"), pair("false", "--no-leader"));
    assert_eq!(shown(&ran, "node.concurrency"), pair("9", "TASKSHED_CONCURRENCY"));
    assert_eq!(shown(&ran, "node.wake"), pair("polling:3s", "taskshed.toml"));
    assert_eq!(shown(&ran, "node.drain_timeout"), pair("25s", "default"));
    assert_eq!(shown(&ran, "store"), pair("redis://me:***@127.0.0.1:1/0", "taskshed.toml"));
    assert!(!ran.out.contains("hunter2"));
}

#[test]
fn schedules_are_shown_with_their_file() {
    let place = Place::new(
        "[schedules]\nrevision = 2\n[schedules.bill]\ncallback = \"bill\"\n\
         cron = \"0 2 * * *\"\nkwargs = { a = 1 }\npaused = true\n",
    );
    let ran = place.run(&["config", "show"]);

    for (setting, value) in [
        ("schedules.revision", "2"),
        ("schedules.bill.callback", "bill"),
        ("schedules.bill.cron", "0 2 * * *"),
        ("schedules.bill.kwargs", "{\"a\":1}"),
        ("schedules.bill.paused", "true"),
    ] {
        assert_eq!(shown(&ran, setting), pair(value, "taskshed.toml"));
    }
}

#[test]
fn another_file_can_be_named() {
    let place = Place::new("[node]\nlease = \"5s\"\n");
    std::fs::write(place.path("other.toml"), "[node]\nlease = \"4s\"\n").unwrap();

    let by_flag = place.run(&["--config", "other.toml", "config", "show"]);
    let mut command = place.command(&["config", "show"]);
    command.env("TASKSHED_CONFIG", "other.toml");

    assert_eq!(shown(&by_flag, "node.lease"), pair("4s", "other.toml"));
    assert_eq!(shown(&Ran::of(command), "node.lease"), pair("4s", "other.toml"));
}

#[test]
fn a_wrong_setting_is_named_and_a_usage_error() {
    for (file, message) in [
        ("[node]\nleese = \"5s\"\n", "taskshed.toml:2: unknown field `leese`"),
        ("[node]\nlease = \"soon\"\n", "taskshed.toml: node.lease: \"soon\" is not a duration"),
        ("[node]\nlease = \"1ms\"\n", "lease: must be from 1s to 10m"),
        ("[handlers.a]\nexec = []\n", "handlers.a.exec: must name a program"),
        ("[schedules.a]\ncallback = \"x\"\n", "schedules.a: needs cron or interval"),
        (
            "[schedules.a]\ncallback = \"x\"\ncron = \"61 * * * *\"\n",
            "taskshed.toml: schedules.a.cron: \"61 * * * *\" is not a cron expression",
        ),
        (
            "[schedules.a]\ncallback = \"x\"\ninterval = \"5s\"\npriority = \"urgent\"\n",
            "schedules.a.priority: must be critical, high, normal or low",
        ),
        (
            "[schedules.a]\ncallback = \"x\"\ninterval = \"5s\"\nqueue = \"a b\"\n",
            "schedules.a.queue: contains ' '",
        ),
        (
            "[schedules.a]\ncallback = \"x\"\ncron = \"@daily\"\ntimezone = \"Mars\"\n",
            "schedules.a.timezone: \"Mars\" is not an IANA time zone such as Europe/Rome",
        ),
        ("[auth]\nusers = []\n", "taskshed.toml:2: unknown field `users`"),
        (
            "[auth]\ntokens = [{ name = \"a\", role = \"root\", sha256 = \"00\" }]\n",
            "taskshed.toml: auth.tokens[0].role: \"root\" is neither read, write, work nor admin",
        ),
        ("[node]\ntls_cert = \"a.pem\"\n", "a certificate and its key belong together"),
        ("store = 5\n", "taskshed.toml:1: invalid type"),
        ("[node", "taskshed.toml:1:"),
    ] {
        let ran = Place::new(file).run(&["node", "--listen", "127.0.0.1:0"]);
        assert_eq!(ran.code, 2, "{file}: {}", ran.err);
        assert!(ran.err.contains(message), "{file}: {}", ran.err);
    }
}

#[test]
fn a_wrong_flag_or_variable_is_named() {
    for (flag, value) in [
        ("--lease", "soon"),
        ("--lease", "1ms"),
        ("--concurrency", "many"),
        ("--concurrency", "0"),
        ("--queues", "a b=1"),
        ("--queues", "a=0"),
        ("--queues", "a,a"),
        ("--wake", "sometimes"),
        ("--drain-timeout", "5"),
        ("--namespace", "a:b"),
        ("--name", ""),
        ("--listen", "8090"),
        ("--listen", "0.0.0.0:8090"),
    ] {
        let place = Place::new("");
        let name = flag.trim_start_matches("--").replace('-', "_");
        let by_flag = place.run(&["node", "--listen", "127.0.0.1:0", flag, value]);
        let by_flag = if flag == "--listen" { place.run(&["node", flag, value]) } else { by_flag };
        assert_eq!(by_flag.code, 2, "{flag} {value}: {}", by_flag.err);
        assert!(by_flag.err.replace('-', "_").contains(&name), "{flag} {value}: {}", by_flag.err);

        if !value.is_empty() {
            let mut command = place.command(&["config", "show"]);
            command.env(format!("TASKSHED_{}", name.to_uppercase()), value);
            let by_variable = Ran::of(command);
            assert_eq!(by_variable.code, 2, "{name} {value}: {}", by_variable.err);
        }
    }
}
