//! The README, held against the program: its commands are run, its tables compared.
//!
//! A command runs as it is printed, but for two things: `cargo run --release --` is the program that
//! the tests have built already, and port 5000 is a free one.

mod commands;
#[path = "../support/exposition.rs"]
mod exposition;
mod markdown;
mod play;
mod tables;
