//! Removing what is too old, in small steps: webhooks wait for each of them.
//!
//! What is to go is found by the readers, page by page; the writer only removes it.

mod compact;
mod keys;
mod messages;
mod webhooks;

pub(crate) use keys::KeyPlace;

/// How many rows are removed at once.
const STEP: u64 = 500;
