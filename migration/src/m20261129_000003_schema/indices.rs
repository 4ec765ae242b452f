//! The indices of the first schema.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

use super::{Conversations, DeliveryReports, IdempotencyKeys, Messages};

pub(super) fn indices() -> Vec<IndexCreateStatement> {
    vec![
        // The list of conversations, most recently active first, and filtered without reading rows.
        Index::create()
            .name("idx_conversations_activity")
            .table(Conversations::Table)
            .col(Conversations::LastMessageAt)
            .col(Conversations::Id)
            .col(Conversations::LastRoute)
            .to_owned(),
        // The few conversations whose contact has opted out, by their activity.
        Index::create()
            .name("idx_conversations_opted_out")
            .table(Conversations::Table)
            .col(Conversations::LastMessageAt)
            .col(Conversations::Id)
            .and_where(Expr::col(Conversations::OptedOutAt).is_not_null())
            .to_owned(),
        // A message is known by Telnyx's id and its direction: a text between two numbers of ours has
        // one id in both.
        Index::create()
            .name("idx_messages_telnyx_id")
            .table(Messages::Table)
            .col(Messages::TelnyxMessageId)
            .col(Messages::Direction)
            .unique()
            .to_owned(),
        // The conversations with a message that is under way or was not delivered (every rank below
        // `delivered`): whether the last message of any conversation can match a filter by status,
        // without reading a message.
        Index::create()
            .name("idx_messages_undelivered")
            .table(Messages::Table)
            .col(Messages::StatusRank)
            .col(Messages::ConversationKey)
            .col(Messages::CreatedAt)
            .and_where(Expr::col(Messages::StatusRank).lt(110))
            .to_owned(),
        // A conversation in chronological order.
        Index::create()
            .name("idx_messages_thread")
            .table(Messages::Table)
            .col(Messages::ConversationKey)
            .col(Messages::CreatedAt)
            .col(Messages::Id)
            .to_owned(),
        // The few messages whose outcome is open (`pending`, `unknown`), by sender and recipient.
        Index::create()
            .name("idx_messages_open")
            .table(Messages::Table)
            .col(Messages::FromNumber)
            .col(Messages::ToNumber)
            .and_where(Expr::col(Messages::StatusRank).lte(10))
            .to_owned(),
        // The same few, by the end of their attempt.
        Index::create()
            .name("idx_messages_attempt")
            .table(Messages::Table)
            .col(Messages::AttemptUntil)
            .and_where(Expr::col(Messages::StatusRank).lte(10))
            .to_owned(),
        // Our messages under way (`scheduled` to `sent`), by when Telnyx was last asked about them.
        Index::create()
            .name("idx_messages_under_way")
            .table(Messages::Table)
            .col(Messages::AttemptUntil)
            .and_where(Expr::col(Messages::StatusRank).gt(10))
            .and_where(Expr::col(Messages::StatusRank).lt(60))
            .and_where(Expr::col(Messages::AttemptUntil).is_not_null())
            .to_owned(),
        // The very few reports that wait for their message.
        Index::create()
            .name("idx_reports_waiting")
            .table(DeliveryReports::Table)
            .col(DeliveryReports::WaitingSince)
            .and_where(Expr::col(DeliveryReports::WaitingSince).is_not_null())
            .to_owned(),
        // Finds the key of a message, to free it.
        Index::create()
            .name("idx_keys_message")
            .table(IdempotencyKeys::Table)
            .col(IdempotencyKeys::MessageId)
            .to_owned(),
    ]
}

/// Users name a conversation by the last eight digits of its id, which tables show. Raw SQL because the
/// query builder has no expression index that works on both engines.
pub(super) fn id_suffix_index(backend: DatabaseBackend) -> &'static str {
    match backend {
        DatabaseBackend::Sqlite => {
            "CREATE INDEX idx_conversations_id_suffix ON conversations (substr(id, -4))"
        }
        _ => "CREATE INDEX idx_conversations_id_suffix ON conversations (right(id::text, 8))",
    }
}
