//! What convo is about, as plain values: no I/O, no async, no clock.
//!
//! Everything here can be tested with nothing but its arguments. The types that travel over the
//! REST API derive serde, so that the server and the client read one definition.

pub mod conversation;
pub mod cursor;
pub mod listing;
pub mod message;
pub mod phone;
pub mod segments;
pub mod send;
pub mod status;
pub mod text;
pub mod time;

pub use conversation::{Conversation, LastMessage, Selector, Thread};
pub use cursor::{Cursor, Place, Window};
pub use listing::{Listing, Page};
pub use message::{Cost, Direction, Media, Message, MessageError, StatusReport};
pub use phone::PhoneNumber;
pub use segments::{Encoding, Segments};
pub use send::{Draft, SendPlan, SendRequest};
pub use status::Status;
pub use time::Timestamp;
