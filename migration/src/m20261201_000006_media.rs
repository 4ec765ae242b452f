//! Media of inbound messages: what became of each, how far the fetcher has come, and content that nothing
//! refers to any more.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

use crate::columns::{clustered, uuid};

/// Creates the tables of media.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Media {
    Table,
    MessageId,
    Number,
    State,
    Attempts,
    CreatedAt,
    NextAttemptAt,
    ContentSize,
    Hash,
    ContentType,
    LastError,
}

#[derive(DeriveIden)]
enum MediaProgress {
    Table,
    Id,
    Position,
    Nonce,
    Walked,
    WalkedTo,
}

#[derive(DeriveIden)]
enum MediaGarbage {
    Table,
    Hash,
}

const INDICES: &[&str] = &[
    "CREATE INDEX ix_media_due ON media (next_attempt_at) WHERE next_attempt_at IS NOT NULL",
    "CREATE INDEX ix_media_hash ON media (hash) WHERE hash IS NOT NULL",
    "CREATE INDEX ix_media_age ON media (created_at) WHERE hash IS NOT NULL",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(media(manager.get_database_backend())).await?;
        manager.create_table(progress(manager.get_database_backend())).await?;
        manager.create_table(garbage()).await?;
        for index in INDICES {
            manager.get_connection().execute_unprepared(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(MediaGarbage::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(MediaProgress::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(Media::Table).to_owned()).await
    }
}

/// One row for each medium of an inbound message that the fetcher has seen. Times are microseconds since
/// the epoch.
fn media(backend: DatabaseBackend) -> TableCreateStatement {
    let mut table = Table::create();
    table
        .table(Media::Table)
        .col(uuid(Media::MessageId, backend).not_null())
        // Its place among the message's media, from 1.
        .col(ColumnDef::new(Media::Number).integer().not_null())
        // 0 waiting, 1 kept, 2 too large, 3 refused, 4 gone.
        .col(ColumnDef::new(Media::State).small_integer().not_null())
        // How often it was tried to fetch it.
        .col(ColumnDef::new(Media::Attempts).integer().not_null())
        // Of its message: its link lasts thirty days from then on.
        .col(ColumnDef::new(Media::CreatedAt).big_integer().not_null())
        // NULL unless it is waiting.
        .col(ColumnDef::new(Media::NextAttemptAt).big_integer())
        .col(ColumnDef::new(Media::ContentSize).big_integer())
        // The SHA-256 of its content, while that is kept.
        .col(ColumnDef::new(Media::Hash).blob())
        .col(ColumnDef::new(Media::ContentType).text())
        .col(ColumnDef::new(Media::LastError).text())
        .primary_key(Index::create().col(Media::MessageId).col(Media::Number));
    clustered(&mut table, backend)
}

/// One row, once the fetcher has begun.
fn progress(backend: DatabaseBackend) -> TableCreateStatement {
    Table::create()
        .table(MediaProgress::Table)
        .col(ColumnDef::new(MediaProgress::Id).integer().not_null().primary_key())
        // The entry of the feed up to which all media are known.
        .col(ColumnDef::new(MediaProgress::Position).big_integer().not_null())
        .col(ColumnDef::new(MediaProgress::Nonce).integer().not_null())
        // 1 once all messages from before the feed were looked at.
        .col(ColumnDef::new(MediaProgress::Walked).small_integer().not_null())
        // The message down to which they were looked at, newest first.
        .col(uuid(MediaProgress::WalkedTo, backend))
        .to_owned()
}

/// Content that rows referred to which were removed: deleted from the store unless others refer to it.
fn garbage() -> TableCreateStatement {
    Table::create()
        .table(MediaGarbage::Table)
        .col(ColumnDef::new(MediaGarbage::Hash).blob().not_null().primary_key())
        .to_owned()
}
