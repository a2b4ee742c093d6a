//! A file for tests, and what it must hold.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use taskshed::domain::id::TaskId;
use taskshed::domain::state::TaskState;
use taskshed::store::Fetch;
use taskshed::store::Options;
use taskshed::store::Severity;
use taskshed::store::Store;
use taskshed::store::Tasks;
use taskshed::store::sqlite::SqliteStore;
use tempfile::TempDir;

use crate::process::Word;

/// A file in a directory of its own, on a disk that may fail.
pub(crate) struct File {
    dir: TempDir,
    fails: bool,
}

/// What ails the disk.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    None,
    Full,
    Errors,
    /// Only syncs fail.
    Unsynced,
    ReadOnly,
}

impl File {
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::new().unwrap(), fails: false }
    }

    /// A file whose disk can be made to fail, for the processes that are started on it.
    pub(crate) fn on_a_bad_disk() -> Self {
        let file = Self { dir: TempDir::new().unwrap(), fails: true };
        file.suffer(Fault::None);
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "tests/support/disk_fault.c", "-ldl", "-o"])
            .arg(file.dir.path().join("disk.so"))
            .status();
        assert!(built.is_ok_and(|status| status.success()), "cc builds the library");
        file
    }

    /// Changes what ails the disk, at once.
    pub(crate) fn suffer(&self, fault: Fault) {
        let byte: &[u8] = match fault {
            Fault::None => b"-",
            Fault::Full => b"f",
            Fault::Errors => b"e",
            Fault::Unsynced => b"s",
            Fault::ReadOnly => b"r",
        };
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(false);
        let mut file = file.open(self.dir.path().join("fault")).unwrap();
        std::io::Write::write_all(&mut file, byte).unwrap();
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("tasks.db")
    }

    /// What a process needs in order to suffer.
    pub(crate) fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        if !self.fails {
            return Vec::new();
        }
        let dir = self.dir.path();
        vec![("LD_PRELOAD", dir.join("disk.so")), ("DISK_FAULT_FILE", dir.join("fault"))]
    }

    /// T1, T2: all that was acknowledged is there, each task was claimed once, and the file is whole.
    /// Answers how many tasks were added and how many are done.
    pub(crate) async fn holds(&self, words: &[Word]) -> (usize, usize) {
        let url = format!("sqlite:{}", self.path().display());
        let store = SqliteStore::open(&url, Options::default()).unwrap();
        store.prepare().await.unwrap();
        let named = |verb: &str| -> Vec<&str> {
            words.iter().filter_map(|word| word.strip_prefix(verb)?.strip_prefix(' ')).collect()
        };
        let (added, claimed, done) = (named("added"), named("claimed"), named("done"));
        assert!(named("stale").is_empty(), "nobody else had those runs: {:?}", named("stale"));

        let once: BTreeSet<_> = claimed.iter().collect();
        assert_eq!(once.len(), claimed.len(), "a task was claimed twice");
        let done: BTreeSet<_> = done.into_iter().collect();
        let mut found = 0;
        for ids in added.chunks(1000) {
            let ids = ids.iter().map(|id| TaskId::parse(id).unwrap()).collect();
            let tasks = store.fetch(&Fetch { ids, watch: None }).await.unwrap();
            for (task, id) in tasks.iter().zip(&added[found..]) {
                let task = task.as_ref().unwrap_or_else(|| panic!("{id} was added and is gone"));
                let is_done = task.state == TaskState::Completed;
                assert!(is_done || !done.contains(id), "{id} was done and is {:?}", task.state);
            }
            found += tasks.len();
        }
        for finding in store.check(Duration::from_secs(10)).await.unwrap() {
            let is_sound = finding.severity < Severity::Serious
                || matches!(finding.topic, "disk" | "file system");
            assert!(is_sound, "{finding:?}");
        }
        (added.len(), done.len())
    }
}
