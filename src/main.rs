//! The binary `taskshed`.

fn main() {}
