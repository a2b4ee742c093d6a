//! What one connection to Redis can do, by the tool that comes with it.

use std::process::Command;

use crate::redis_server::RedisServer;
use crate::run::Run;

/// One entry in an index by time, and a record beside it: the least that an add can be.
const ADD: &str =
    "redis.call('ZADD','due',ARGV[1],ARGV[2]) redis.call('HSET','records',ARGV[2],ARGV[3])";

/// A script call and plain commands with as many bytes as a task has, one after the other.
pub(crate) fn measure(calls: usize) -> Vec<Run> {
    let server = RedisServer::start(&[]);
    let record = "x".repeat(200);
    let id = "__rand_int__-__rand_int__-__rand_int__";
    // It is quoted with what a line of text takes, and answered with its length before it.
    let loaded = server.tell(&format!("SCRIPT LOAD \"{ADD}\""));
    let script = loaded.lines().nth(1).unwrap_or_default().trim();
    let tests: [(&'static str, Vec<&str>); 3] = [
        ("redis-benchmark: a script", vec!["EVALSHA", script, "0", "__rand_int__", id, &record]),
        ("redis-benchmark: SET", vec!["SET", id, &record]),
        ("redis-benchmark: PING", vec!["PING"]),
    ];
    let mut runs = Vec::new();
    for (title, command) in tests {
        let output = Command::new("redis-benchmark")
            .args(["-p", &server.port().to_string(), "-c", "1", "-n", &calls.to_string()])
            .args(["-r", "1000000", "--csv"])
            .args(&command)
            .output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let rate = text.unwrap_or_default().lines().rev().find_map(|line| {
            line.rsplit_once("\",\"")?;
            line.split("\",\"").nth(1)?.parse::<f64>().ok()
        });
        let run = Run::new("added one at a time", "/s").titled(title).of(calls);
        runs.push(match rate {
            Some(rate) => run.worth(rate),
            None => run.failed("it gave no figure".to_owned()),
        });
    }
    runs
}
