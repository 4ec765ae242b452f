//! `convo serve` as a service: how it starts, stops, restarts, and what it tells systemd.

#![allow(dead_code, unused_imports, reason = "the harness of the command line serves here, too")]
#![allow(clippy::disallowed_methods, reason = "the tests' own settings")]

#[path = "../cli/harness/mod.rs"]
mod harness;
#[path = "../support/mod.rs"]
mod support;

mod balancer;
mod client;
mod notices;
mod passing;
mod rolling;
mod stopping;
mod systemd;
mod unit;
mod waiting;
