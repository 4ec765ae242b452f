//! At most once out: what becomes of sends while everything around them fails.
//!
//! A stand-in for Telnyx misbehaves on purpose and keeps every request it was asked; processes are
//! killed at every point of a send. Whatever is done to the program, it never offers one text under
//! two keys or with two bodies, and never calls failed what may have been sent.

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod bench;
mod doubt;
mod keys;
mod killed;
mod program;
mod reports;
mod settling;
mod telnyx;
