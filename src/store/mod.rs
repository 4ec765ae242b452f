//! The database, SQLite or PostgreSQL: conversations, messages, delivery reports and raw events.
//!
//! Reads use a pool of connections; all writes go through one [`writer`] with group commit. Nothing
//! outside this module knows the tables.
//!
//! A failed query becomes `database_unavailable`, or `database_not_ready` if the file is corrupt; what
//! the database itself said is logged.

mod batch;
pub(crate) mod batches;
mod checkpoint;
mod connect;
pub(crate) mod copy;
mod database_file;
mod db_error;
mod duplicate_check;
mod endpoint;
mod entity;
mod events;
pub(crate) mod examine;
mod export;
mod feed;
mod file_access;
mod fold;
pub(crate) mod forget;
pub(crate) mod forwards;
mod handoff;
mod hold;
pub(crate) mod import;
mod inspect;
mod job;
mod last_commit;
pub(crate) mod lease;
mod leftover_wal;
mod listing;
mod liveness;
mod location;
pub(crate) mod media;
mod messages;
mod meta;
mod mode;
pub(crate) mod model;
pub(crate) mod names;
mod open_error;
mod opt_outs;
mod pool;
pub(crate) mod prune;
mod raw_event;
mod read;
mod reader;
mod reports;
mod schema;
pub(crate) mod search;
pub(crate) mod seed;
mod send_limits;
mod sends;
pub(crate) mod settle;
mod sql;
mod sqlstate;
pub(crate) mod stats;
pub(crate) mod stored_events;
pub(crate) mod sync;
#[cfg(test)]
mod tests;
mod transaction;
mod unread;
mod weight;
mod write_session;
pub mod writer;

pub use crate::domain::Facts;
pub use connect::{Purpose, Store};
pub(crate) use endpoint::{LastEvent, VerifiedType};
pub(crate) use export::ExportPosition;
pub(crate) use feed::read::FeedSlice;
pub(crate) use feed::wake::FeedGrowth;
pub use location::Location;
pub use mode::Mode;
pub(crate) use prune::KeyPlace;
pub use raw_event::{LONGEST_EVENT, RawEvent};
