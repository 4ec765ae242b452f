//! The rows of the feed: entries of new messages that follow one another, or one other entry.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "feed")]
pub struct Model {
    /// The number of its last entry; entries become visible in this order.
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i64,
    /// When they were stored; never before the entries that precede them.
    pub at: i64,
    /// Random bytes, for the last entry. From entry to entry they count up as positions do.
    pub nonce: i32,
    /// What changed: see [`kind`].
    pub kind: i16,
    /// The status that the message got.
    pub status_rank: Option<i16>,
    /// The id of each entry's message, 16 bytes each; zeros for an entry that was blanked.
    pub message_ids: Option<Vec<u8>>,
    /// Another message that turned out to be this one.
    pub replaces: Option<Uuid>,
    /// Of a conversation that was removed.
    pub conversation_id: Option<Uuid>,
    /// Of an opt-out.
    pub contact: Option<String>,
}

/// The values of the column `kind`. Entries of any other kind, such as the first one with 0, are not
/// shown.
pub mod kind {
    pub const NOTHING: i16 = 0;
    pub const MESSAGE: i16 = 1;
    pub const STATUS: i16 = 2;
    pub const OPTED_OUT: i16 = 3;
    pub const OPTED_IN: i16 = 4;
    pub const REMOVED: i16 = 5;
    /// Added to the kind of what a sync has brought.
    pub const RECOVERED: i16 = 16;

    /// The kind without what marks it as recovered.
    pub const fn bare(kind: i16) -> i16 {
        if kind > RECOVERED { kind - RECOVERED } else { kind }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
