//! One module per kind of thing that can be asked for.

pub(super) mod claims;
pub(super) mod cluster;
pub(super) mod events;
pub(super) mod metrics;
pub(super) mod probes;
mod query;
pub(super) mod queues;
pub(super) mod tasks;
