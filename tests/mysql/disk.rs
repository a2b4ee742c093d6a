//! A disk that is soon full.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// Enough for an empty server and a few tasks.
const SIZE: &str = "size=160M";

/// A file system of its own in memory, mounted until this value ends.
pub(crate) struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    pub(crate) fn mount() -> Self {
        let dir = TempDir::new().unwrap();
        as_root(&["mount", "-t", "tmpfs", "-o", SIZE, "tmpfs"], dir.path());
        Self { dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file until the disk has no room for another byte.
    #[expect(clippy::unused_self, reason = "the file lies on this disk")]
    pub(crate) fn fill(&self, ballast: &Path) {
        let mut file = std::fs::File::create(ballast).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        as_root(&["umount", "--lazy"], self.dir.path());
    }
}

/// Only root mounts; others have sudo, as the installation of the servers wants it.
fn as_root(command: &[&str], path: &Path) {
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let line = if is_root { command.to_vec() } else { [&["sudo", "-n"], command].concat() };
    let done = Command::new(line[0]).args(&line[1..]).arg(path).status().unwrap();
    assert!(done.success(), "{line:?} {} failed", path.display());
}
