//! The binary `taskshed`: run, and exit with what came of it.

use std::process::ExitCode;

fn main() -> ExitCode {
    taskshed::cli::main()
}
