//! convo groups inbound and outbound SMS by contact into lasting conversation threads.

pub mod backend;
pub mod cli;
pub mod client;
pub mod clock;
pub mod commands;
pub mod config;
pub mod domain;
pub mod error;
pub mod logging;
pub mod output;
mod run;
pub mod sandbox;
pub mod server;
pub mod store;
pub mod telnyx;
pub mod threading;
pub mod tls;

pub use run::run;
