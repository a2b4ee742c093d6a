//! The main job: two thousand real files on two nodes, one of them killed half-way.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use taskshed::Task;
use tokio::sync::Mutex;

use crate::mariadb_server::MariadbServer;
use crate::program::pause;
use crate::redis_cluster::RedisCluster;
use crate::witness::File;
use crate::witness::Server;
use crate::witness::Shed;
use crate::witness::durable_redis;

const COUNT: usize = 2_000;

/// How many run at once on a node.
const SLOTS: usize = 8;

/// Held by the one that keeps the machine busy, so that the bounds of other tests hold beside it.
static BUSY: Mutex<()> = Mutex::const_new(());

const COMPRESS: &str = r#"
path=$(sed -n 's/^{"path":"\(.*\)"}$/\1/p')
gzip -nc "$path" > "out/$TASKSHED_TASK_ID.$TASKSHED_FENCE"
mv "out/$TASKSHED_TASK_ID.$TASKSHED_FENCE" "out/$TASKSHED_TASK_ID.gz"
"#;

/// Guards T1, T6 and N2.
#[tokio::test]
async fn two_thousand_files_are_compressed_though_a_node_is_killed_on_sqlite() {
    compress_all(File).await;
}

/// Guards T1, T6 and N2.
#[tokio::test]
async fn two_thousand_files_are_compressed_though_a_node_is_killed_on_redis() {
    compress_all(durable_redis()).await;
}

/// Guards T1, T6 and N2.
#[tokio::test]
async fn two_thousand_files_are_compressed_though_a_node_is_killed_on_a_cluster() {
    compress_all(RedisCluster::start(0, &["--appendonly", "yes"])).await;
}

/// Guards T1, T6 and N2.
#[tokio::test]
async fn two_thousand_files_are_compressed_though_a_node_is_killed_on_mariadb() {
    compress_all(MariadbServer::start(&[])).await;
}

/// Every output is there and right, and only what ran on the killed node runs again.
async fn compress_all(server: impl Server) {
    let _one_at_a_time = BUSY.lock().await;
    let shed = Shed::on(server, &[("compress", COMPRESS)]).await;
    fs::create_dir(shed.place.path("out")).unwrap();
    let files = real_files();
    let slots = SLOTS.to_string();
    let mut first = shed.node("first", &["--concurrency", &slots]);
    let mut second = shed.node("second", &["--concurrency", &slots]);

    shed.add(files.iter().enumerate().map(|(number, path)| {
        Task::new("compress", &json!({ "path": path })).unwrap().id(&format!("file-{number}"))
    }))
    .await;
    while outputs(&shed) < COUNT / 2 {
        pause(Duration::from_millis(20));
    }
    first.kill();
    while shed
        .scheduler
        .stats()
        .await
        .unwrap()
        .queues
        .iter()
        .any(|queue| queue.scheduled.iter().sum::<u64>() + queue.running + queue.suspects > 0)
    {
        pause(Duration::from_millis(200));
    }

    assert_eq!(second.leave(), Some(0), "{}", second.log());
    for (number, path) in files.iter().enumerate() {
        let output = shed.place.path(&format!("out/file-{number}.gz"));
        let unpacked = Command::new("gzip").arg("-dc").arg(&output).output().unwrap().stdout;
        assert!(unpacked == fs::read(path).unwrap(), "{}", path.display());
    }
    let mut by_task: HashMap<_, Vec<_>> = HashMap::new();
    for run in shed.runs() {
        by_task.entry(run.task.clone()).or_default().push(run);
    }
    assert_eq!(by_task.len(), COUNT);
    let repeated: Vec<_> = by_task.values().filter(|runs| runs.len() > 1).collect();
    println!("{} of {COUNT} tasks ran twice", repeated.len());
    // What has ended leaves its slot to the next one before its outcome is stored.
    let cut_off = repeated.iter().filter(|runs| !runs[0].has_ended).count();
    assert!(cut_off <= SLOTS, "more than ran: {repeated:?}");
    assert!(repeated.len() <= 3 * SLOTS, "more than ran or was being acked: {repeated:?}");
    for runs in repeated {
        let nodes: Vec<_> = runs.iter().map(|run| run.node.as_str()).collect();
        assert_eq!(nodes, ["first", "second"], "{runs:?}");
    }
}

fn outputs(shed: &Shed<impl Server>) -> usize {
    let entries = fs::read_dir(shed.place.path("out")).unwrap().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "gz")).count()
}

/// Files that every machine has, with names that need no care in JSON.
fn real_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for root in ["/usr/share/doc", "/usr/lib"] {
        collect(Path::new(root), &mut found);
    }
    assert_eq!(found.len(), COUNT, "this machine has too few files for the test");
    found
}

fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        let plain = path.to_str().is_some_and(|text| !text.contains(['"', '\\', '\n']));
        if kind.is_dir() {
            collect(&path, found);
        } else if kind.is_file() && plain && entry.metadata().is_ok_and(|m| m.len() < 1 << 20) {
            found.push(path);
        }
        if found.len() == COUNT {
            return;
        }
    }
}
