//! convo groups inbound and outbound SMS by contact into lasting conversation threads.

pub mod config;
pub mod domain;
pub mod error;
pub mod sandbox;
pub mod threading;
pub mod tls;
