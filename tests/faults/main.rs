//! What convo promises while everything around it fails: nothing received is lost or stored twice,
//! and no text is sent twice.

#[path = "../support/mod.rs"]
mod support;

mod inbound;
mod outbound;
