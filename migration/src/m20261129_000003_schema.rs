//! The first schema: conversations, opt-outs, messages, delivery reports, raw events and idempotency
//! keys.
//!
//! convo's ids are UUIDv7, in 16 bytes. Telnyx's ids are bytes: a UUID's 16, or any other text behind
//! 17 bytes that tell it from one. Times are microseconds since the epoch. Lists and small objects are
//! JSON in text columns, since they are read and written whole. The [views] show ids and times in a
//! form that people can read.
//!
//! On SQLite, a table whose key is what its rows are looked up by is stored in the order of that key
//! (`WITHOUT ROWID`): the key is stored once, and new rows come at its end.
//!
//! There are no foreign keys. A message takes its conversation's key from the row that was written in the
//! same statement or transaction; PostgreSQL would lock that row again for every message. The other
//! tables refer to what may not be known yet.

mod indices;
mod views;

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

use crate::columns::{clustered, uuid};

/// Creates every table, index and view.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Meta {
    Table,
    Key,
    Value,
}

#[derive(DeriveIden)]
enum Conversations {
    Table,
    Key,
    Id,
    ContactNumber,
    MessageCount,
    LastMessageAt,
    CreatedAt,
    OptedOutAt,
    OptedOutNumber,
    LastRoute,
}

#[derive(DeriveIden)]
enum OptOuts {
    Table,
    ContactNumber,
    OptedOutAt,
    OptedOutNumber,
    OptedOutProfile,
    DecidedAt,
}

#[derive(DeriveIden)]
enum Messages {
    Table,
    Id,
    ConversationKey,
    TelnyxMessageId,
    Direction,
    FromNumber,
    ToNumber,
    Recipients,
    Cc,
    Body,
    Subject,
    Media,
    Encoding,
    Segments,
    CostAmount,
    CostCurrency,
    StatusRank,
    Error,
    CreatedAt,
    SendAt,
    SentAt,
    CompletedAt,
    RequestBody,
    BaseUrl,
    AttemptUntil,
    RepeatsLeft,
    Refusal,
}

#[derive(DeriveIden)]
enum DeliveryReports {
    Table,
    EventId,
    Recipient,
    TelnyxMessageId,
    Status,
    StatusRank,
    Error,
    Facts,
    OccurredAt,
    WaitingSince,
}

#[derive(DeriveIden)]
enum Events {
    Table,
    OccurredAt,
    Id,
    EventType,
    ReceivedAt,
    Dictionary,
    Body,
}

#[derive(DeriveIden)]
enum IdempotencyKeys {
    Table,
    Key,
    RequestHash,
    MessageId,
    CreatedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        for table in [
            meta(backend),
            conversations(backend),
            opt_outs(backend),
            messages(backend),
            reports(backend),
            events(backend),
            keys(backend),
        ] {
            manager.create_table(table).await?;
        }
        for index in indices::indices() {
            manager.create_index(index).await?;
        }
        let db = manager.get_connection();
        db.execute_unprepared(indices::id_suffix_index(backend)).await?;
        for view in views::views(backend) {
            db.execute_unprepared(&view).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for view in views::NAMES {
            manager.get_connection().execute_unprepared(&format!("DROP VIEW {view}")).await?;
        }
        manager.drop_table(Table::drop().table(IdempotencyKeys::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(Events::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(DeliveryReports::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(Messages::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(OptOuts::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(Conversations::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(Meta::Table).to_owned()).await
    }
}

/// A text column that is compared by bytes. PostgreSQL would otherwise use the database's collation,
/// in which the numbers with a given prefix are not a range.
fn key(column: impl IntoIden, backend: DatabaseBackend) -> ColumnDef {
    let mut column = ColumnDef::new(column);
    column.text();
    if backend == DatabaseBackend::Postgres {
        column.extra("COLLATE \"C\"");
    }
    column
}

/// Facts about the database, such as its `mode`: `real` or `sandbox`.
fn meta(backend: DatabaseBackend) -> TableCreateStatement {
    Table::create()
        .table(Meta::Table)
        .col(key(Meta::Key, backend).not_null().primary_key())
        .col(ColumnDef::new(Meta::Value).text().not_null())
        .to_owned()
}

fn conversations(backend: DatabaseBackend) -> TableCreateStatement {
    let mut key_column = ColumnDef::new(Conversations::Key);
    match backend {
        // The alias of SQLite's own row id.
        DatabaseBackend::Sqlite => key_column.integer(),
        _ => key_column.big_integer().extra("GENERATED BY DEFAULT AS IDENTITY"),
    };
    Table::create()
        .table(Conversations::Table)
        // What messages refer to, in fewer bytes than the id, by which users know the conversation.
        .col(key_column.not_null().primary_key())
        .col(uuid(Conversations::Id, backend).not_null().unique_key())
        .col(key(Conversations::ContactNumber, backend).not_null().unique_key())
        .col(ColumnDef::new(Conversations::MessageCount).big_integer().not_null())
        .col(ColumnDef::new(Conversations::LastMessageAt).big_integer().not_null())
        .col(ColumnDef::new(Conversations::CreatedAt).big_integer().not_null())
        // Copied from `opt_outs`, for lists and their filter.
        .col(ColumnDef::new(Conversations::OptedOutAt).big_integer())
        .col(ColumnDef::new(Conversations::OptedOutNumber).text())
        // The direction of its last message and the number of ours, such as `in:+15551234567`, for the
        // filters of lists. NULL where only the message itself can tell.
        .col(key(Conversations::LastRoute, backend))
        .to_owned()
}

/// By contact and not in `conversations`: a contact may opt out before there is a conversation.
fn opt_outs(backend: DatabaseBackend) -> TableCreateStatement {
    let mut table = Table::create();
    table
        .table(OptOuts::Table)
        .col(key(OptOuts::ContactNumber, backend).not_null().primary_key())
        // NULL once it is lifted.
        .col(ColumnDef::new(OptOuts::OptedOutAt).big_integer())
        .col(ColumnDef::new(OptOuts::OptedOutNumber).text())
        .col(ColumnDef::new(OptOuts::OptedOutProfile).text())
        // When it was last set or lifted, by Telnyx's clock, so that an earlier STOP or START that
        // arrives late is ignored. NULL if Telnyx did not say.
        .col(ColumnDef::new(OptOuts::DecidedAt).big_integer());
    clustered(&mut table, backend)
}

/// The columns of eight bytes come first, and then the shorter ones: PostgreSQL would pad them.
fn messages(backend: DatabaseBackend) -> TableCreateStatement {
    let mut table = Table::create();
    table
        .table(Messages::Table)
        .col(ColumnDef::new(Messages::ConversationKey).big_integer().not_null())
        .col(ColumnDef::new(Messages::CreatedAt).big_integer().not_null())
        .col(ColumnDef::new(Messages::SendAt).big_integer())
        .col(ColumnDef::new(Messages::SentAt).big_integer())
        .col(ColumnDef::new(Messages::CompletedAt).big_integer())
        // Until then, only the process that set it works on the message.
        .col(ColumnDef::new(Messages::AttemptUntil).big_integer())
        .col(ColumnDef::new(Messages::Segments).integer())
        // 0 for inbound, 1 for outbound.
        .col(ColumnDef::new(Messages::Direction).small_integer().not_null())
        // The status: its place in their order, so that a report can only raise it.
        .col(ColumnDef::new(Messages::StatusRank).small_integer().not_null())
        // How often convo may still repeat the request by itself; NULL while that depends on what its
        // caller is told.
        .col(ColumnDef::new(Messages::RepeatsLeft).small_integer())
        .col(uuid(Messages::Id, backend).not_null().primary_key())
        .col(ColumnDef::new(Messages::TelnyxMessageId).blob())
        .col(key(Messages::FromNumber, backend).not_null())
        .col(key(Messages::ToNumber, backend).not_null())
        // All recipients, if there are several.
        .col(ColumnDef::new(Messages::Recipients).text())
        .col(ColumnDef::new(Messages::Cc).text())
        .col(ColumnDef::new(Messages::Body).text().not_null())
        .col(ColumnDef::new(Messages::Subject).text())
        .col(ColumnDef::new(Messages::Media).text())
        .col(ColumnDef::new(Messages::Encoding).text())
        .col(ColumnDef::new(Messages::CostAmount).text())
        .col(ColumnDef::new(Messages::CostCurrency).text())
        .col(ColumnDef::new(Messages::Error).text())
        // The exact body of the request to Telnyx, and the base URL: every repeat must be the same
        // request.
        .col(ColumnDef::new(Messages::RequestBody).blob())
        .col(ColumnDef::new(Messages::BaseUrl).text())
        // The error that its caller was given when nothing was sent, as JSON: a caller that waited
        // under the same idempotency key is given the same.
        .col(ColumnDef::new(Messages::Refusal).text());
    clustered(&mut table, backend)
}

/// Reports are looked up by their message, whose ids begin with the time, so new ones come at the end.
/// A report may arrive before the message's Telnyx id is known.
fn reports(backend: DatabaseBackend) -> TableCreateStatement {
    let mut table = Table::create();
    table
        .table(DeliveryReports::Table)
        .col(ColumnDef::new(DeliveryReports::OccurredAt).big_integer().not_null())
        // Since when it has been waiting for its message to be known.
        .col(ColumnDef::new(DeliveryReports::WaitingSince).big_integer())
        // NULL for a word that changes no status.
        .col(ColumnDef::new(DeliveryReports::StatusRank).small_integer())
        .col(ColumnDef::new(DeliveryReports::TelnyxMessageId).blob().not_null())
        .col(ColumnDef::new(DeliveryReports::EventId).blob().not_null())
        .col(key(DeliveryReports::Recipient, backend).not_null())
        .col(ColumnDef::new(DeliveryReports::Status).text().not_null())
        .col(ColumnDef::new(DeliveryReports::Error).text())
        .col(ColumnDef::new(DeliveryReports::Facts).text())
        .primary_key(
            Index::create()
                .col(DeliveryReports::TelnyxMessageId)
                .col(DeliveryReports::EventId)
                .col(DeliveryReports::Recipient),
        );
    clustered(&mut table, backend)
}

/// An event's id is random; with its time before it, new events come at the end of the key.
fn events(backend: DatabaseBackend) -> TableCreateStatement {
    let mut table = Table::create();
    table
        .table(Events::Table)
        // By Telnyx's clock; 0 if it did not say.
        .col(ColumnDef::new(Events::OccurredAt).big_integer().not_null())
        .col(ColumnDef::new(Events::ReceivedAt).big_integer().not_null())
        // Of the compressed body; 0 if it is not compressed.
        .col(ColumnDef::new(Events::Dictionary).small_integer().not_null())
        .col(ColumnDef::new(Events::Id).blob().not_null())
        // NULL for `message.received`, the type of every inbound message: the raw request has it, too.
        .col(ColumnDef::new(Events::EventType).text())
        // The raw request, compressed.
        .col(ColumnDef::new(Events::Body).blob().not_null())
        .primary_key(Index::create().col(Events::OccurredAt).col(Events::Id));
    clustered(&mut table, backend)
}

/// A key is taken before its message is inserted, so that of two concurrent sends with one key, one
/// waits for the other's transaction.
fn keys(backend: DatabaseBackend) -> TableCreateStatement {
    let mut table = Table::create();
    table
        .table(IdempotencyKeys::Table)
        .col(key(IdempotencyKeys::Key, backend).not_null().primary_key())
        .col(ColumnDef::new(IdempotencyKeys::RequestHash).blob().not_null())
        .col(uuid(IdempotencyKeys::MessageId, backend).not_null())
        .col(ColumnDef::new(IdempotencyKeys::CreatedAt).big_integer().not_null());
    clustered(&mut table, backend)
}
