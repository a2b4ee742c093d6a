//! What a leader does, on a clock that the test moves: elections, reclaim, housekeeping.

#![expect(clippy::panic, clippy::unwrap_used, reason = "tests may")]
#![expect(clippy::unchecked_time_subtraction, reason = "tests know their lengths")]

#[expect(dead_code, reason = "other tests need more faults")]
#[path = "../support/faulty.rs"]
mod faulty;

mod fleet;

mod declared;
mod election;
mod housekeeping;
mod reclaim;
mod sample;
