//! The simulated Telnyx, over real sockets.

mod api;
mod contract;
mod harness;
mod numbers;
mod webhooks;
