//! What the tests share: running convo, posting to it as Telnyx does, databases, servers that fail.

#![allow(dead_code, unused_imports, reason = "each test program uses a part of it")]
#![allow(clippy::disallowed_methods, reason = "the tests have variables of their own")]

mod bucket_server;
mod cluster;
mod conversations;
mod database;
mod event;
mod event_stream;
pub mod exposition;
mod fake_server;
mod http;
pub mod json_schema;
mod media_host;
mod network;
mod nginx;
mod poll;
mod pooler;
mod process;
mod program;
mod proxy;
mod receiver;
mod server;
mod signer;
mod terminal;
mod tmux;
mod world;

pub use bucket_server::BucketServer;
pub use cluster::{Cluster, Owner};
pub use conversations::{assert_counted, open, open_sending, open_to_read, receive};
pub use database::{TestDatabase, connect, execute, insert_numbered, query_one};
pub use event::{Event, example, examples, inbound, opt};
pub use event_stream::{EventStream, SseBlock};
pub use fake_server::{FakeServer, REFUSED, Reply, Request, base_url};
pub use http::{
    Answer, Connection, LINES, bearer, exchange, header, raw, request, response, try_exchange,
};
pub use media_host::{MediaAnswer, MediaHost};
pub use network::{Unresponsive, closed_address, free_port};
pub use nginx::Nginx;
pub use poll::{DEADLINE, eventually, eventually_some, wait_for, wait_until};
pub use pooler::Pooler;
pub use process::{signal, status_field};
pub use program::{Done, Home, Running};
pub use proxy::Proxy;
pub use receiver::{Manner, Received, Receiver};
pub use server::Server;
pub use signer::{Signer, local_client, unix_seconds};
pub use terminal::OnTerminal;
pub use tmux::{Tmux, WITNESS};
pub use world::World;

/// Our own number.
pub const OWN: &str = "+15551234567";
/// A contact that answers.
pub const CONTACT: &str = "+12125551234";

/// A variable that `scripts/with-servers` sets.
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run scripts/test"))
}

/// How many times longer than usual the tests of faults run: `CONVO_TEST_LONG`, else 1.
pub fn times_longer() -> usize {
    let long = std::env::var("CONVO_TEST_LONG").ok().and_then(|text| text.parse().ok());
    long.unwrap_or(1)
}

/// Whether a text is a whole id.
pub fn is_id(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok() && text.len() == 36
}
