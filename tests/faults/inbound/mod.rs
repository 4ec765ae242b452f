//! At least once in, stored exactly once: what was acknowledged with 200 is in the database once,
//! whatever fails and in whatever order events come.
//!
//! Bounded by default; `CONVO_TEST_LONG=N` repeats kills and floods N times as often.

mod conversations;
mod failover;
mod feed;
mod files;
mod hostile;
mod kills;
mod load;
mod outage;
mod overload;
mod pooled;
mod slow_clients;
