//! Where the demo keeps its store, its settings and its notes, for as long as it lasts.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;
use std::process;

use crate::handlers::exec;

use super::handler::HANDLER;
use super::tasks::CALLBACKS;

/// How often the folder is removed; a process that is just dying may write into it meanwhile.
const REMOVALS_MAX: usize = 10;

/// A folder of this process. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// A new folder that only this user can look into, with the settings of the nodes in it.
    pub(super) fn make() -> io::Result<Self> {
        let name = format!("taskshed-demo-{}-{:08x}", process::id(), rand::random::<u32>());
        let path = env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        let folder = Self { path };
        folder.write_settings()?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The settings of the nodes.
    pub(super) fn settings(&self) -> PathBuf {
        self.path.join("taskshed.toml")
    }

    /// The store that they share.
    pub(super) fn store(&self) -> String {
        format!("sqlite:{}", self.path.join("demo.db").display())
    }

    fn write_settings(&self) -> io::Result<()> {
        let program = exec::this_program()?;
        let words = [program.as_os_str(), HANDLER.as_ref(), self.path.as_os_str()];
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        let words = serde_json::to_string(&words)?;
        let mut toml = format!("store = {}\n", serde_json::to_string(&self.store())?);
        for callback in CALLBACKS {
            writeln!(toml, "[handlers.{callback}]\nexec = {words}").map_err(io::Error::other)?;
        }
        fs::write(self.settings(), toml)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for _ in 0..REMOVALS_MAX {
            if fs::remove_dir_all(&self.path).is_ok() {
                return;
            }
        }
    }
}
