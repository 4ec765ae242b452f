//! The real program, started as its users start it, over real sockets and real databases.

#[path = "../support/mod.rs"]
mod support;

mod harness;

mod access;
mod completions;
mod crash;
mod crowd;
mod databases;
mod exit_codes;
mod filters;
mod idempotency;
mod main_job;
mod outcomes;
mod rest;
mod same_bytes;
mod secrets;
mod servers;
mod settings;
mod shell;
mod wait;
mod webhooks;
