use std::path::Path;

use tempfile::TempDir;

use crate::config::Wake;

use super::*;
use crate::config::Means;

const FILE: &str = r#"
store = "redis://me:hunter2@127.0.0.1:6379/0"
namespace = "shop"
keep_dead = "7d"

[node]
concurrency = 8
queues = { mail = 1, default = 5 }
strict_queues = true
lease = "5s"
wake = "polling:3s"
leader = false

[handlers.resize]
exec = ["python3", "resize.py"]
timeout = "2m"
"#;

fn file(text: &str) -> Result<File, Error> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("t.toml");
    fs::write(&path, text).unwrap();
    File::read(Some(&path)).map(|file| File { path: "t.toml".into(), ..file })
}

fn flags(given: &[(&'static str, &str)]) -> Flags {
    let mut flags = Flags::default();
    for (key, value) in given {
        flags.set(key, Some((*value).into()));
    }
    flags
}

fn shown<'a>(settings: &'a Settings, key: &str) -> (&'a str, String) {
    let shown = settings.shown.iter().find(|shown| shown.setting == key).unwrap();
    (&shown.value, shown.from.to_string())
}

#[test]
fn a_file_is_read_into_settings() {
    let file = file(FILE).unwrap();

    let settings = Settings::resolve(&Flags::default(), &Environment::default(), &file).unwrap();

    assert_eq!(settings.store.reveal(), "redis://me:hunter2@127.0.0.1:6379/0");
    assert_eq!(settings.namespace.as_str(), "shop");
    assert_eq!(settings.keep.dead, 7 * DAY);
    assert_eq!(settings.keep.expired, DAY);
    assert_eq!(settings.node.concurrency, 8);
    assert_eq!(text::show_queues(&settings.node.queues), "mail=1,default=5");
    assert!(settings.node.strict_queues && !settings.node.stands_for_leader);
    assert_eq!(settings.node.wake, Wake::Polling(Duration::from_secs(3)));
    assert!(
        matches!(&settings.handlers[0].means, Means::Exec(exec) if *exec == ["python3", "resize.py"])
    );
    assert_eq!(settings.handlers[0].timeout, Some(Duration::from_secs(120)));
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
    let file = file(FILE).unwrap();
    let variables = Environment::of([("TASKSHED_LEASE", "6s"), ("TASKSHED_CONCURRENCY", "9")]);
    let flags = flags(&[("node.lease", "7s")]);

    let settings = Settings::resolve(&flags, &variables, &file).unwrap();

    assert_eq!(shown(&settings, "node.lease"), ("7s", "--lease".into()));
    assert_eq!(shown(&settings, "node.concurrency"), ("9", "TASKSHED_CONCURRENCY".into()));
    assert_eq!(shown(&settings, "node.wake"), ("polling:3s", "t.toml".into()));
    assert_eq!(shown(&settings, "node.drain_timeout"), ("25s", "default".into()));
    assert_eq!(settings.node.lease, Duration::from_secs(7));
    assert_eq!(settings.node.concurrency, 9);
}

#[test]
fn a_flag_that_says_no_is_named_as_it_was_given() {
    let flags = flags(&[("node.leader", "false")]);

    let settings = Settings::resolve(&flags, &Environment::default(), &File::default()).unwrap();

    assert_eq!(shown(&settings, "node.leader"), ("false", "--no-leader".into()));
}

#[test]
fn the_password_of_the_store_is_never_shown() {
    let file = file(FILE).unwrap();
    let settings = Settings::resolve(&Flags::default(), &Environment::default(), &file).unwrap();

    assert_eq!(shown(&settings, "store").0, "redis://me:***@127.0.0.1:6379/0");
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn a_value_that_cannot_be_used_is_refused_by_the_name_it_was_given_under() {
    let refused = |flags: &[(&'static str, &str)], variable: (&str, &str), text: &str| {
        let variables = Environment::of([variable]);
        let file = file(text).unwrap();
        Settings::resolve(&super::tests::flags(flags), &variables, &file).unwrap_err().to_string()
    };
    let none = ("TASKSHED_TASK_ID", "a fact that a command finds, not a setting");

    let message = refused(&[("node.lease", "soon")], none, "");
    assert!(message.starts_with("--lease: \"soon\" is not a duration"), "{message}");
    let message = refused(&[], ("TASKSHED_LISTEN", "0.0.0.0:80"), "");
    assert!(message.starts_with("node.listen: other machines can reach 0.0.0.0:80"), "{message}");
    let message = refused(&[], none, "[node]\nlease = \"soon\"");
    assert!(message.starts_with("t.toml: node.lease: \"soon\""), "{message}");
    let message = refused(&[], none, "[node]\nlease = \"100ms\"");
    assert_eq!(message, "lease: must be from 1s to 10m");
    let message = refused(&[], none, "[handlers.a]\nexec = [\"x\"]\ntimeout = \"soon\"");
    assert!(message.starts_with("t.toml: handlers.a.timeout: \"soon\""), "{message}");
    let message = refused(&[], none, "[handlers.a]\n");
    assert!(message.starts_with("t.toml: handlers.a: needs exec"), "{message}");
    let message = refused(&[("log_format", "xml")], none, "");
    assert_eq!(message, "--log-format: \"xml\" is neither text nor json");
}

#[test]
fn a_named_file_must_be_there() {
    let missing = File::read(Some(Path::new("no/such.toml"))).unwrap_err().to_string();

    assert!(missing.starts_with("no/such.toml: No such file"), "{missing}");
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let variables = Environment::of([("TASKSHED_STORE", "")]);

    let settings = Settings::resolve(&Flags::default(), &variables, &File::default()).unwrap();

    assert_eq!(shown(&settings, "store"), (STORE, "default".into()));
}

#[test]
fn tokens_of_the_variable_beat_those_of_the_file() {
    let (a, b) = ("0a".repeat(32), "0b".repeat(32));
    let file =
        format!("[auth]\ntokens = [{{ name = \"file\", role = \"read\", sha256 = \"{a}\" }}]\n");
    let file = self::file(&file).unwrap();
    let given = format!("ci=write:{b}");
    let variables = Environment::of([("TASKSHED_TOKENS", given.as_str())]);

    let settings = Settings::resolve(&Flags::default(), &variables, &file).unwrap();

    assert_eq!(settings.tokens.len(), 1);
    assert_eq!(shown(&settings, "auth.tokens.ci"), ("write", "TASKSHED_TOKENS".into()));

    let variables = Environment::of([("TASKSHED_TOKENS", "hunter2")]);
    let refused = Settings::resolve(&Flags::default(), &variables, &file).unwrap_err().to_string();
    assert_eq!(refused, "TASKSHED_TOKENS[0]: must be name=role:sha256");
}
