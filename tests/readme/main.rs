//! The README and the pages in `docs/`, checked against the program: commands are run, tables
//! compared.
//!
//! A command runs as it is printed, but for two things: `cargo run --release --` is the program that
//! the tests have built already, and port 5000 is a free one.

mod commands;
#[path = "../support/exposition.rs"]
mod exposition;
mod markdown;
mod play;
mod tables;
