//! What every store must do, by topic.

use super::shed;

mod ack;
mod add;
mod change;
mod claim;
mod hints;
mod keep;
mod lanes;
mod leader;
mod query;
mod reclaim;
mod restore;
mod running;
mod suspects;
mod upkeep;
