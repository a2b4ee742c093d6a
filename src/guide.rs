//! The guide: one chapter a page, with examples that run.
//!
//! 1. [Start here](start): a whole program.
//! 2. [Tasks](tasks): identity, groups, queues, results.
//! 3. [Schedules](schedules): once, intervals, cron, missed runs.
//! 4. [Retries](retries): how a run ends and what follows.
//! 5. [Stores](stores): where tasks live, and what JSON can hold.
//! 6. [Exclusive tasks and fences](exclusive): what at least once means.
//! 7. `transactions`, with the feature `sqlite`: tasks and effects by one commit.
//! 8. [HTTP handlers](http_handlers): endpoints that run tasks, and how they verify who asks.
//! 9. [Testing](testing): handlers without servers and without sleeping.
//! 10. [Traces](traces): from an add to the last handler.
//! 11. [On Kubernetes](kubernetes): an image, a chart, pools of pods, and how they leave.

#[doc = include_str!("../docs/guide/start.md")]
pub mod start {}

#[doc = include_str!("../docs/guide/tasks.md")]
pub mod tasks {}

#[doc = include_str!("../docs/guide/schedules.md")]
pub mod schedules {}

#[doc = include_str!("../docs/guide/retries.md")]
pub mod retries {}

#[doc = include_str!("../docs/guide/stores.md")]
pub mod stores {}

#[doc = include_str!("../docs/guide/exclusive.md")]
pub mod exclusive {}

#[cfg(feature = "sqlite")]
#[doc = include_str!("../docs/guide/transactions.md")]
pub mod transactions {}

#[doc = include_str!("../docs/guide/http-handlers.md")]
pub mod http_handlers {}

#[doc = include_str!("../docs/guide/testing.md")]
pub mod testing {}

#[doc = include_str!("../docs/guide/traces.md")]
pub mod traces {}

#[doc = include_str!("../docs/guide/kubernetes.md")]
pub mod kubernetes {}
