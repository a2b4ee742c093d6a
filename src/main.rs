//! The binary `taskshed`: parse, run, exit.

#[cfg(feature = "cli")]
fn main() {
    std::process::exit(taskshed::cli::main());
}

#[cfg(not(feature = "cli"))]
fn main() {}
