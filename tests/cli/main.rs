//! The real program, started as its users start it, over real sockets and real databases.

#[path = "../support/mod.rs"]
mod support;

mod harness;

mod access;
mod completions;
mod contract;
mod copy;
mod crash;
mod crowd;
mod databases;
mod exit_codes;
mod filters;
mod idempotency;
mod log;
mod looks;
mod main_job;
mod metrics;
mod outcomes;
mod pager;
mod pooled;
mod rest;
mod same_bytes;
mod screen;
mod secrets;
mod servers;
mod settings;
mod shell;
mod strangers;
mod tls;
mod tokens;
mod upgrade;
mod wait;
mod webhooks;
