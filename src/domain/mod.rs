//! convo's domain as plain values and rules: no I/O, no async, no clock.
//!
//! Everything here depends on its arguments alone. The types of the REST API derive serde here, so
//! that the server and the client share one definition.

pub mod batch;
pub mod contact;
pub mod conversation;
pub mod cursor;
pub mod event_outcome;
pub mod export;
pub mod feed;
pub mod fold;
pub mod forget;
pub mod forward;
pub mod idempotency_key;
pub mod listing;
pub mod media;
pub mod message;
pub mod naming;
pub mod phone;
pub mod search;
pub mod segments;
pub mod send;
pub mod stats;
pub mod status;
pub mod stored_event;
pub mod sync;
pub mod telnyx_codes;
pub mod text;
pub mod verdict;
pub mod words;

pub use crate::clock::Timestamp;
pub use batch::{
    BatchCheck, BatchId, BatchInfo, BatchPlace, BatchRecord, BatchRow, BatchRowQuery,
    BatchRowState, BatchRows, Fingerprint, SegmentCost,
};
pub use contact::{Contact, ContactCursor, ContactFilter, ContactName, Recipient};
pub use conversation::{Conversation, LastMessage, ReadUpTo, Selector, Thread};
pub use cursor::{Cursor, Place, Window};
pub use event_outcome::EventOutcome;
pub use export::{ExportFilter, ExportLine};
pub use feed::{FeedCursor, FeedEvent, FeedFilter, FeedKind, FeedPage, FeedStart};
pub use forget::{ForgetReceipt, ForgottenMark, ForgottenMarks};
pub use forward::{Forward, ForwardReplay, ForwardState, ForwardTest, GivenUp};
pub use idempotency_key::IdempotencyKey;
pub use listing::{Listing, MessagePage, Page};
pub use media::{ContentHash, MediaState};
pub use message::{Cost, Direction, Facts, Media, Message, MessageError, StatusReport};
pub use naming::{NamedContact, NamesRequest, Naming, NamingOutcome};
pub use phone::PhoneNumber;
pub use search::{MessageSearch, SearchHit, SearchPage, Snippet};
pub use segments::{Encoding, Segments};
pub use send::{CheckedRequest, Draft, SendPlan, SendRequest, Sent};
pub use stats::{Stats, StatsBy, StatsQuery, UtcOffsets};
pub use status::Status;
pub use stored_event::{StoredEvent, StoredEventCursor, StoredEventFilter};
pub use sync::{
    SettledMessage, SourceReport, SyncNews, SyncProgress, SyncReport, SyncRequest, SyncSource,
    SyncState,
};
pub use verdict::verdict;
