//! The chart and the image, with real helm and podman. Run with `cargo chart`.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod helm;
mod image;
mod podman;
mod policy;
mod pools;
mod rendered;
mod table;
mod values;
