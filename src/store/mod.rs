//! The database: where threads are kept, on SQLite or PostgreSQL.
//!
//! Reading goes through a pool, writing through one task that commits in groups ([`writer`]).
//! Nothing outside this module knows a table.

mod batch;
mod caution;
pub mod connect;
pub mod copy;
mod entity;
mod events;
mod failure;
mod inspect;
mod link;
mod listing;
pub mod location;
mod lull;
mod messages;
mod pulse;
mod read;
mod reader;
mod refusal;
mod reports;
pub mod row;
mod schema;
mod sends;
pub mod settle;
mod sql;
mod turn;
pub mod unsettled;
pub mod writer;

pub use connect::{Mode, Purpose, Store};
pub use entity::delivery_report::Facts;
pub use location::Location;
