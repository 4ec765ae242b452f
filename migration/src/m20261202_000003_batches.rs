//! Texts to many: batches and their rows; and an index that counts what a contact was sent.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

use crate::columns::{clustered, uuid};

/// Creates the tables of batches, and indices.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Batches {
    Table,
    Id,
    Content,
    RowCount,
    CreatedAt,
    FinishedAt,
}

#[derive(DeriveIden)]
enum BatchRows {
    Table,
    BatchId,
    Row,
    MessageId,
    Content,
    CreatedAt,
}

const INDICES: [&str; 3] = [
    // What convo offered to Telnyx and was not refused, by contact and time: how many texts a contact has
    // had within an hour. Inbound messages are not in it.
    "CREATE INDEX idx_messages_offered ON messages (conversation_key, created_at) \
     WHERE base_url IS NOT NULL AND refusal IS NULL",
    // Whether the same was sent to the same contact a short while ago.
    "CREATE INDEX idx_batch_rows_content ON batch_rows (content, created_at)",
    // The row of a message that goes, or that was not sent.
    "CREATE INDEX idx_batch_rows_message ON batch_rows (message_id)",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        manager.create_table(batches(backend)).await?;
        manager.create_table(rows(backend)).await?;
        for index in INDICES {
            manager.get_connection().execute_unprepared(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name("idx_messages_offered").to_owned()).await?;
        manager.drop_table(Table::drop().table(BatchRows::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(Batches::Table).to_owned()).await
    }
}

/// One row for each batch that was begun. Times are microseconds since the epoch.
fn batches(backend: DatabaseBackend) -> TableCreateStatement {
    let mut table = Table::create();
    table
        .table(Batches::Table)
        .col(ColumnDef::new(Batches::Id).text().not_null().primary_key())
        // The fingerprint of its file and template.
        .col(ColumnDef::new(Batches::Content).blob().not_null())
        .col(ColumnDef::new(Batches::RowCount).big_integer().not_null())
        .col(ColumnDef::new(Batches::CreatedAt).big_integer().not_null())
        // NULL while something is left to be sent.
        .col(ColumnDef::new(Batches::FinishedAt).big_integer());
    clustered(&mut table, backend)
}

/// One row for each row of a batch that was sent, or may have been.
fn rows(backend: DatabaseBackend) -> TableCreateStatement {
    let mut table = Table::create();
    table
        .table(BatchRows::Table)
        .col(ColumnDef::new(BatchRows::BatchId).text().not_null())
        // The fingerprint that tells it from the others of its batch.
        .col(ColumnDef::new(BatchRows::Row).blob().not_null())
        .col(uuid(BatchRows::MessageId, backend).not_null())
        // The fingerprint of its contact and text.
        .col(ColumnDef::new(BatchRows::Content).blob().not_null())
        .col(ColumnDef::new(BatchRows::CreatedAt).big_integer().not_null())
        .primary_key(Index::create().col(BatchRows::BatchId).col(BatchRows::Row));
    clustered(&mut table, backend)
}
