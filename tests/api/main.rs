//! The HTTP API over real connections, and the library's front door behind it.

#![expect(clippy::panic, clippy::unwrap_used, reason = "tests may")]

#[expect(dead_code, reason = "other tests need more of it")]
#[path = "../support/exposition.rs"]
mod exposition;
#[expect(dead_code, reason = "other tests need more faults")]
#[path = "../support/faulty.rs"]
mod faulty;

mod asked;
mod fixture;

mod again;
mod answers;
mod audit;
mod auth;
mod bytes;
mod claim_faults;
mod claims;
mod connections;
mod events;
mod fields;
mod fuzz;
mod library;
mod metrics;
mod openapi;
mod outages;
mod problems;
mod reference;
mod requests;
mod statuses;
mod traces;

use fixture::Shed;
