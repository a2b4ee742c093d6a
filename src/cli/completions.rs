//! `taskshed completions`: completions for a shell.

use std::io;
use std::io::Write;

use clap::Args;
use clap::CommandFactory;
use clap_complete::Shell;

use super::arguments::Arguments;
use super::failure::Failure;

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "taskshed", &mut script);
        Ok(io::stdout().write_all(&script)?)
    }
}
