//! The vocabulary: plain values and pure decisions.
//!
//! Nothing here waits, reads a clock, rolls a die or touches the outside world. Moments, jitter and
//! ids come in as arguments, so every rule can be tested exactly.
//!
//! # A task's life
//!
//! ```text
//!                    ┌──────────── retry, snooze, release, next occurrence ───────────┐
//!                    v                                                                │
//!  add ────────> scheduled ── claim ──> running ── ack ──> completed | dead | cancelled
//!                  │   ^                   │
//!                  │   └──── reclaim ──────┘   (its node died; no attempt is charged)
//!                  └── expiry ──> expired
//! ```
//!
//! *Paused*, *parked* and *suspect* are flags of a scheduled task, not states. Due, future and
//! retrying tasks are all `scheduled`; only `run_at` and `attempt` tell them apart.
//!
//! | module | what it holds |
//! |---|---|
//! | [`id`] | names that were parsed once and are never checked again |
//! | [`time`] | moments and lengths, and how they are written |
//! | [`json`] | arguments and results, carried byte for byte |
//! | [`schedule`] | once, interval, cron: which planned time comes next |
//! | [`retry`] | how long to wait before the next attempt |
//! | [`draft`] | what a user asks for, with every fault of it |
//! | [`task`] | what a store keeps |
//! | [`state`] | outcome in, verdict out: the only place a task's state is decided |
//! | [`durability`] | what must have happened to a write before it counts |
//! | [`arrival`] | what becomes of a task that is moved to another store |
//! | [`declared`] | schedules of a file, and which of two files holds |
//! | [`trace`] | which trace a task belongs to |
//! | [`lease`] | leases, fences, terms, and how long a node may trust them |

pub mod arrival;
pub mod declared;
pub mod draft;
pub mod durability;
pub mod id;
pub mod json;
pub mod lease;
pub mod retry;
pub mod schedule;
pub mod state;
pub mod task;
pub mod time;
pub mod trace;
