//! Who may name whom.

use crate::source::Source;
use crate::source::files;
use crate::source::rust_files;
use crate::source::words;

/// Which top-level modules each module may name. `cli` is the composition root.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("guide", &[]),
    ("clock", &["domain"]),
    ("events", &["domain"]),
    ("config", &["domain"]),
    ("metrics", &["domain"]),
    ("traces", &["domain"]),
    ("store", &["domain", "clock", "metrics"]),
    ("scheduler", &["domain", "clock", "store"]),
    ("leader", &["domain", "clock", "events", "metrics", "store"]),
    ("handlers", &["domain", "clock", "config", "store"]),
    (
        "node",
        &[
            "domain", "clock", "config", "events", "metrics", "traces", "store", "leader",
            "handlers",
        ],
    ),
    ("remote", &["domain", "clock", "events", "metrics", "traces", "store"]),
    (
        "http",
        &[
            "domain",
            "clock",
            "config",
            "events",
            "metrics",
            "traces",
            "remote",
            "scheduler",
            "store",
        ],
    ),
    ("testing", &["domain", "clock", "config", "events", "store", "scheduler", "handlers", "node"]),
    (
        "cli",
        &[
            "domain",
            "clock",
            "config",
            "events",
            "metrics",
            "traces",
            "store",
            "scheduler",
            "leader",
            "handlers",
            "node",
            "remote",
            "http",
        ],
    ),
    ("main", &["cli"]),
];

/// Where each dependency may be named.
const CRATE_HOMES: &[(&str, &[&str])] = &[
    ("async_trait", &["src/clock.rs", "src/store/", "src/handlers/"]),
    ("axum", &["src/http/"]),
    ("clap", &["src/cli/"]),
    ("clap_complete", &["src/cli/"]),
    ("comfy_table", &["src/cli/"]),
    ("croner", &["src/domain/schedule"]),
    (
        "futures_util",
        &[
            "src/store/",
            "src/scheduler/",
            "src/handlers/",
            "src/leader/",
            "src/node/",
            "src/http/",
            "src/cli/",
        ],
    ),
    ("hyper", &["src/http/"]),
    ("hyper_util", &["src/http/"]),
    ("jiff", &["src/domain/"]),
    ("mysql_async", &["src/store/mysql/"]),
    ("opentelemetry", &["src/cli/"]),
    ("opentelemetry_otlp", &["src/cli/"]),
    ("opentelemetry_sdk", &["src/cli/"]),
    ("prometheus_client", &["src/metrics/"]),
    (
        "rand",
        &["src/scheduler/", "src/leader/", "src/node/", "src/remote/", "src/testing", "src/cli/"],
    ),
    ("redis", &["src/store/redis/"]),
    ("reqwest", &["src/handlers/", "src/cli/"]),
    ("rusqlite", &["src/store/sqlite/"]),
    ("rustix", &["src/clock.rs", "src/store/sqlite/", "src/handlers/", "src/cli/"]),
    ("rustls", &["src/store/mysql/", "src/store/redis/", "src/handlers/", "src/http/", "src/cli/"]),
    ("serde", &["src/"]),
    ("serde_json", &["src/"]),
    ("sha2", &["src/handlers/", "src/http/", "src/cli/"]),
    ("subtle", &["src/http/"]),
    ("thiserror", &["src/"]),
    (
        "tokio",
        &[
            "src/clock.rs",
            "src/events.rs",
            "src/store/",
            "src/scheduler/",
            "src/leader/",
            "src/handlers/",
            "src/metrics/",
            "src/node/",
            "src/remote/",
            "src/http/",
            "src/testing",
            "src/cli/",
        ],
    ),
    ("tokio_rustls", &["src/http/"]),
    (
        "tokio_util",
        &["src/leader/", "src/handlers/", "src/node/", "src/remote/", "src/http/", "src/cli/"],
    ),
    ("toml", &["src/cli/", "src/config"]),
    ("tower_http", &["src/http/"]),
    (
        "tracing",
        &[
            "src/store/",
            "src/leader/",
            "src/handlers/",
            "src/node/",
            "src/remote/",
            "src/http/",
            "src/cli/",
        ],
    ),
    ("tracing_subscriber", &["src/cli/"]),
    ("uuid", &["src/domain/id.rs"]),
];

/// What meaning must not touch: it never waits, reads a clock or rolls a die.
const FOREIGN_TO_DOMAIN: &[&str] = &["fs", "io", "env", "net", "thread", "process"];

/// The top-level module that a file under `src` belongs to.
fn module_of(source: &Source) -> &str {
    let path = source.path.trim_start_matches("src/");
    path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
}

#[test]
fn imports_point_down() {
    let mut broken = Vec::new();
    for source in rust_files(&["src"]) {
        let module = module_of(&source);
        if module == "lib" {
            continue;
        }
        let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == module) else {
            broken.push(format!("{}: {module} is not in the layer table", source.path));
            continue;
        };

        let own_crate = if module == "main" { "taskshed" } else { "crate" };
        let mut named = source.named_after(own_crate);
        if source.path.matches('/').count() == 1 || source.name() == "mod.rs" {
            let tops = source.named_after("super");
            named.extend(tops.into_iter().filter(|(_, top)| {
                source.path.matches('/').count() <= 2
                    && MAY_NAME.iter().any(|(module, _)| module == top)
                    && !has_child(&source, top)
            }));
        }
        for (line, name) in named {
            if name != module && !allowed.contains(&name.as_str()) {
                broken.push(format!("{}:{line}: {module} may not name {name}", source.path));
            }
        }
    }

    assert!(broken.is_empty(), "imports against the layer table:\n{}", broken.join("\n"));
}

/// Whether a file has a module of its own with that name.
fn has_child(source: &Source, name: &str) -> bool {
    source.text.contains(&format!("mod {name};"))
}

#[test]
fn foreign_crates_stay_in_their_folders() {
    let mut broken = Vec::new();
    for source in rust_files(&["src"]) {
        for (line, root) in source.path_roots() {
            let home = CRATE_HOMES.iter().find(|(name, _)| *name == root);
            if home
                .is_some_and(|(_, homes)| !homes.iter().any(|home| source.path.starts_with(home)))
            {
                broken.push(format!("{}:{line}: {root} does not belong here", source.path));
            }
        }
    }

    assert!(broken.is_empty(), "crates outside their folders:\n{}", broken.join("\n"));
}

#[test]
fn each_dependency_has_a_home_and_a_reason() {
    let manifest = &files(&["Cargo.toml"])[0].text;
    let reasons = &files(&["docs/design.md"])[0].text;
    let dependencies: Vec<_> = manifest
        .split("[dependencies]")
        .nth(1)
        .and_then(|rest| rest.split("\n[").next())
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.split_once('=').map(|(name, _)| name.trim()))
        .filter(|name| !name.starts_with('#'))
        .collect();

    let mut broken = Vec::new();
    for name in &dependencies {
        let root = name.replace('-', "_");
        if !CRATE_HOMES.iter().any(|(known, _)| *known == root) {
            broken.push(format!("{name} has no home in tests/tidy/layers.rs"));
        }
        if !reasons.contains(&format!("| `{name}` |")) {
            broken.push(format!("{name} has no line in docs/design.md"));
        }
    }

    for (root, _) in CRATE_HOMES {
        if !dependencies.iter().any(|name| name.replace('-', "_") == *root) {
            broken.push(format!("{root} has a home in tests/tidy/layers.rs and is not used"));
        }
    }

    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_domain_is_pure() {
    let mut broken = Vec::new();
    for source in rust_files(&["src/domain"]) {
        for line in source.lines() {
            for (word, before, _) in words(&line.code) {
                let is_outside = before.ends_with("std::") && FOREIGN_TO_DOMAIN.contains(&word);
                if is_outside || matches!(word, "async" | "await" | "tokio" | "rand") {
                    broken.push(format!("{}:{}: {word}", source.path, line.number));
                }
            }
        }
    }

    assert!(broken.is_empty(), "not pure:\n{}", broken.join("\n"));
}

#[test]
fn nothing_but_connect_knows_which_store_it_talks_to() {
    let kinds = ["memory", "redis", "mysql", "sqlite"];
    let types = ["MemoryStore", "RedisStore", "MysqlStore", "SqliteStore"];
    let mut broken = Vec::new();
    for source in rust_files(&["src"]) {
        let is_store = kinds.iter().any(|kind| {
            source.path.starts_with(&format!("src/store/{kind}/"))
                || source.path == format!("src/store/{kind}.rs")
        });
        if is_store || source.path == "src/store/connect.rs" {
            continue;
        }
        for line in source.lines() {
            for (word, before, _) in words(&line.code) {
                let is_named = before.ends_with("store::") && kinds.contains(&word);
                if is_named || types.contains(&word) {
                    broken.push(format!("{}:{}: {word}", source.path, line.number));
                }
            }
        }
    }

    assert!(broken.is_empty(), "a concrete store is named:\n{}", broken.join("\n"));
}
