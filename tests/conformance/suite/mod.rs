//! What every store must do, by topic. Hints stand apart: not every store can give them.

use super::shed;

mod ack;
mod add;
mod change;
mod claim;
mod keep;
mod lanes;
mod leader;
mod query;
mod reclaim;
mod restore;
mod running;
mod suspects;
mod upkeep;
