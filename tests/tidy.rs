//! Rules about the source itself.
//!
//! They are part of the normal test run, so that a rule is broken knowingly or not at all.

#[path = "tidy/invariants.rs"]
mod invariants;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/scripts.rs"]
mod scripts;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/source.rs"]
mod source;
