//! At most once out: what becomes of sends while everything around them fails.
//!
//! A fake Telnyx misbehaves on purpose and records every request; processes are killed at every
//! point of a send. Whatever happens, convo never offers one text under two keys or with two bodies,
//! and never reports as failed what may have been sent.

mod answers;
mod doubt;
mod fixture;
mod keys;
mod killed;
mod replies;
mod reports;
mod send_limit;
mod settling;
