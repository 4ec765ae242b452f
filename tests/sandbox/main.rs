//! The simulated Telnyx, over real sockets.

#![allow(clippy::disallowed_methods, reason = "Telnyx asks the system for the time, not convo")]

mod api;
mod contract;
mod harness;
mod numbers;
mod web_pages;
mod webhooks;
