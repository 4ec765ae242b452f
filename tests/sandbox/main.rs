//! The simulated Telnyx, over real sockets.

#![allow(clippy::disallowed_methods, reason = "Telnyx asks the system for the time, not convo")]

mod api;
mod contract;
mod harness;
#[path = "../support/json_schema.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod json_schema;
mod numbers;
mod web_pages;
mod webhooks;
