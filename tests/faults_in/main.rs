//! Durable when acknowledged: what was answered 200 is in the database once, whatever is killed.
//!
//! Bounded by default; `CONVO_TEST_LONG=N` repeats every kill and every crowd N times as often.

#![allow(clippy::disallowed_methods, reason = "the tests' own settings")]

mod crowd;
mod failover;
mod kills;
mod load;
mod outage;
mod pooled;
#[path = "../support/mod.rs"]
mod support;
