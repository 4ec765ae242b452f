//! Threads, their messages, the reports about them, the events as they came, and the callers'
//! idempotency keys.
//!
//! Ids are UUIDv7 as text, so that a person reads them in any database shell; times are
//! microseconds since the epoch; lists and small objects are JSON in text columns, because they
//! are read and written whole.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

/// The first schema.
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
    Id,
    ContactNumber,
    MessageCount,
    LastMessageAt,
    CreatedAt,
    OptedOutAt,
    OptedOutNumber,
    OptedOutProfile,
    OptOutDecidedAt,
}

#[derive(DeriveIden)]
enum Messages {
    Table,
    Id,
    ConversationId,
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
    Status,
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
    Id,
    EventType,
    OccurredAt,
    ReceivedAt,
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
            messages(backend),
            reports(backend),
            events(backend),
            keys(backend),
        ] {
            manager.create_table(table).await?;
        }
        for index in indices() {
            manager.create_index(index).await?;
        }
        manager.get_connection().execute_unprepared(id_suffix_index(backend)).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(IdempotencyKeys::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(Events::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(DeliveryReports::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(Messages::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(Conversations::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(Meta::Table).to_owned()).await
    }
}

/// A text that is compared and paged by its bytes. PostgreSQL would otherwise order it by the
/// language of the database, in which the beginning of an id is no range.
fn key(column: impl IntoIden, backend: DatabaseBackend) -> ColumnDef {
    let mut column = ColumnDef::new(column);
    column.text();
    if backend == DatabaseBackend::Postgres {
        column.extra("COLLATE \"C\"");
    }
    column
}

/// What the database is: `mode` is `real` or `sandbox`.
fn meta(backend: DatabaseBackend) -> TableCreateStatement {
    Table::create()
        .table(Meta::Table)
        .col(key(Meta::Key, backend).not_null().primary_key())
        .col(ColumnDef::new(Meta::Value).text().not_null())
        .to_owned()
}

fn conversations(backend: DatabaseBackend) -> TableCreateStatement {
    Table::create()
        .table(Conversations::Table)
        .col(key(Conversations::Id, backend).not_null().primary_key())
        .col(key(Conversations::ContactNumber, backend).not_null().unique_key())
        .col(ColumnDef::new(Conversations::MessageCount).big_integer().not_null())
        .col(ColumnDef::new(Conversations::LastMessageAt).big_integer().not_null())
        .col(ColumnDef::new(Conversations::CreatedAt).big_integer().not_null())
        .col(ColumnDef::new(Conversations::OptedOutAt).big_integer())
        .col(ColumnDef::new(Conversations::OptedOutNumber).text())
        .col(ColumnDef::new(Conversations::OptedOutProfile).text())
        // When the latest STOP or START was said, so that an older one that comes late is told.
        .col(ColumnDef::new(Conversations::OptOutDecidedAt).big_integer())
        .to_owned()
}

fn messages(backend: DatabaseBackend) -> TableCreateStatement {
    Table::create()
        .table(Messages::Table)
        .col(key(Messages::Id, backend).not_null().primary_key())
        .col(key(Messages::ConversationId, backend).not_null())
        .col(key(Messages::TelnyxMessageId, backend).unique_key())
        .col(ColumnDef::new(Messages::Direction).text().not_null())
        .col(key(Messages::FromNumber, backend).not_null())
        .col(key(Messages::ToNumber, backend).not_null())
        // Every recipient, when there are several.
        .col(ColumnDef::new(Messages::Recipients).text())
        .col(ColumnDef::new(Messages::Cc).text())
        .col(ColumnDef::new(Messages::Body).text().not_null())
        .col(ColumnDef::new(Messages::Subject).text())
        .col(ColumnDef::new(Messages::Media).text())
        .col(ColumnDef::new(Messages::Encoding).text())
        .col(ColumnDef::new(Messages::Segments).integer())
        .col(ColumnDef::new(Messages::CostAmount).text())
        .col(ColumnDef::new(Messages::CostCurrency).text())
        .col(ColumnDef::new(Messages::Status).text().not_null())
        .col(ColumnDef::new(Messages::StatusRank).small_integer().not_null())
        .col(ColumnDef::new(Messages::Error).text())
        .col(ColumnDef::new(Messages::CreatedAt).big_integer().not_null())
        .col(ColumnDef::new(Messages::SendAt).big_integer())
        .col(ColumnDef::new(Messages::SentAt).big_integer())
        .col(ColumnDef::new(Messages::CompletedAt).big_integer())
        // The exact bytes offered to Telnyx and where: every repeat must be the same request.
        .col(ColumnDef::new(Messages::RequestBody).blob())
        .col(ColumnDef::new(Messages::BaseUrl).text())
        // Until then whoever set it works on the message, and nobody else does.
        .col(ColumnDef::new(Messages::AttemptUntil).big_integer())
        // How often convo may still offer it by itself; null while that depends on what the
        // caller is told.
        .col(ColumnDef::new(Messages::RepeatsLeft).small_integer())
        .foreign_key(
            ForeignKey::create()
                .name("fk_messages_conversation")
                .from(Messages::Table, Messages::ConversationId)
                .to(Conversations::Table, Conversations::Id),
        )
        .to_owned()
}

/// No foreign key to a message: a report may come before its message is known by Telnyx's id.
fn reports(backend: DatabaseBackend) -> TableCreateStatement {
    Table::create()
        .table(DeliveryReports::Table)
        .col(key(DeliveryReports::EventId, backend).not_null())
        .col(key(DeliveryReports::Recipient, backend).not_null())
        .col(key(DeliveryReports::TelnyxMessageId, backend).not_null())
        .col(ColumnDef::new(DeliveryReports::Status).text().not_null())
        // Null for a word that moves nothing.
        .col(ColumnDef::new(DeliveryReports::StatusRank).small_integer())
        .col(ColumnDef::new(DeliveryReports::Error).text())
        .col(ColumnDef::new(DeliveryReports::Facts).text())
        .col(ColumnDef::new(DeliveryReports::OccurredAt).big_integer().not_null())
        // Since when it waits for the message it may be about.
        .col(ColumnDef::new(DeliveryReports::WaitingSince).big_integer())
        .primary_key(Index::create().col(DeliveryReports::EventId).col(DeliveryReports::Recipient))
        .to_owned()
}

/// The body is kept as bytes: what came may be neither valid UTF-8 nor free of NUL.
fn events(backend: DatabaseBackend) -> TableCreateStatement {
    Table::create()
        .table(Events::Table)
        .col(key(Events::Id, backend).not_null().primary_key())
        .col(ColumnDef::new(Events::EventType).text().not_null())
        .col(ColumnDef::new(Events::OccurredAt).big_integer())
        .col(ColumnDef::new(Events::ReceivedAt).big_integer().not_null())
        .col(ColumnDef::new(Events::Body).blob().not_null())
        .to_owned()
}

/// The key is taken before its message is stored, in the same transaction, so that of two
/// concurrent sends one waits for the other: no foreign key could hold at that moment.
fn keys(backend: DatabaseBackend) -> TableCreateStatement {
    Table::create()
        .table(IdempotencyKeys::Table)
        .col(key(IdempotencyKeys::Key, backend).not_null().primary_key())
        .col(ColumnDef::new(IdempotencyKeys::RequestHash).blob().not_null())
        .col(key(IdempotencyKeys::MessageId, backend).not_null())
        .col(ColumnDef::new(IdempotencyKeys::CreatedAt).big_integer().not_null())
        .to_owned()
}

fn indices() -> Vec<IndexCreateStatement> {
    vec![
        // The list of threads, most recently active first.
        Index::create()
            .name("idx_conversations_activity")
            .table(Conversations::Table)
            .col(Conversations::LastMessageAt)
            .col(Conversations::Id)
            .to_owned(),
        // A thread in chronological order.
        Index::create()
            .name("idx_messages_thread")
            .table(Messages::Table)
            .col(Messages::ConversationId)
            .col(Messages::CreatedAt)
            .col(Messages::Id)
            .to_owned(),
        // The few messages whose outcome is open (`pending`, `unknown`), by their two numbers.
        Index::create()
            .name("idx_messages_open")
            .table(Messages::Table)
            .col(Messages::FromNumber)
            .col(Messages::ToNumber)
            .and_where(Expr::col(Messages::StatusRank).lte(10))
            .to_owned(),
        // The same few, by when their attempts are over.
        Index::create()
            .name("idx_messages_attempt")
            .table(Messages::Table)
            .col(Messages::AttemptUntil)
            .and_where(Expr::col(Messages::StatusRank).lte(10))
            .to_owned(),
        // Messages of ours on their way (`scheduled` to `sent`), by when they were last looked at.
        Index::create()
            .name("idx_messages_under_way")
            .table(Messages::Table)
            .col(Messages::AttemptUntil)
            .and_where(Expr::col(Messages::StatusRank).gt(10))
            .and_where(Expr::col(Messages::StatusRank).lt(60))
            .and_where(Expr::col(Messages::AttemptUntil).is_not_null())
            .to_owned(),
        // The very few reports that wait.
        Index::create()
            .name("idx_reports_waiting")
            .table(DeliveryReports::Table)
            .col(DeliveryReports::WaitingSince)
            .and_where(Expr::col(DeliveryReports::WaitingSince).is_not_null())
            .to_owned(),
        Index::create()
            .name("idx_reports_message")
            .table(DeliveryReports::Table)
            .col(DeliveryReports::TelnyxMessageId)
            .to_owned(),
        // A key is freed by its message.
        Index::create()
            .name("idx_keys_message")
            .table(IdempotencyKeys::Table)
            .col(IdempotencyKeys::MessageId)
            .to_owned(),
    ]
}

/// People name a thread by the end of its id, which tables show. The builder has no expression
/// indices that both engines spell alike.
fn id_suffix_index(backend: DatabaseBackend) -> &'static str {
    match backend {
        DatabaseBackend::Sqlite => {
            "CREATE INDEX idx_conversations_id_suffix ON conversations (substr(id, -8))"
        }
        _ => "CREATE INDEX idx_conversations_id_suffix ON conversations (right(id, 8))",
    }
}
