//! What nodes are given is what the program takes.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::helm::run;
use crate::rendered::MATRIX;
use crate::rendered::objects_of;

/// The program itself reads what each installation of the matrix gives its nodes: the file and the environment.
#[test]
fn the_program_takes_what_it_is_given() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("taskshed.toml");
    for set in MATRIX {
        let made = objects_of(set);
        let texts = made.0.iter().filter_map(|object| object["data"]["taskshed.toml"].as_str());
        std::fs::write(&file, texts.collect::<String>()).unwrap();
        let nodes = made
            .0
            .iter()
            .filter(|object| object["metadata"]["labels"]["taskshed/pool"].is_string());
        let nodes: Vec<_> = nodes.collect();
        assert!(!nodes.is_empty(), "{set}");
        for node in nodes {
            let mut command = Command::new(env!("CARGO_BIN_EXE_taskshed"));
            command.args(["config", "show", "--output", "json"]).env_clear().current_dir(&dir);
            for variable in
                node.pointer("/spec/template/spec/containers/0/env").unwrap().as_array().unwrap()
            {
                let name = variable["name"].as_str().unwrap();
                command.env(name, given(name, variable, &file));
            }
            let (content, said) = run(&mut command);
            assert!(content, "{set}: {said}");
            let shown: Vec<Value> = serde_json::from_str(&said).unwrap();
            let from = |setting: &str| {
                let found = shown.iter().find(|shown| shown["setting"] == setting);
                found.unwrap()["from"].as_str().unwrap().to_owned()
            };
            assert_eq!(from("node.queues"), "TASKSHED_QUEUES", "{set}");
            assert!(from("node.lease").ends_with("taskshed.toml"), "{set}");
        }
    }
}

/// What a variable would be in a cluster.
fn given(name: &str, variable: &Value, file: &Path) -> String {
    match (name, variable["value"].as_str()) {
        ("TASKSHED_CONFIG", Some(path)) => {
            assert_eq!(path, "/etc/taskshed/taskshed.toml");
            file.to_str().unwrap().to_owned()
        }
        (_, Some(value)) => value.to_owned(),
        ("TASKSHED_STORE", None) => "redis://redis:6379/0".to_owned(),
        ("TASKSHED_TOKENS", None) => format!("ci=admin:{}", "0a".repeat(32)),
        ("TASKSHED_NAME", None) => "shed-0".to_owned(),
        _ => panic!("{name} has no value: {variable}"),
    }
}
