//! Forwarding: the place in the feed and the state of each name, ranges of entries apart from that place,
//! and leases.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

use crate::columns::uuid;

/// Creates the tables of forwarding and the table of leases.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Forwards {
    Table,
    Name,
    Position,
    Nonce,
    Paused,
    Attempts,
    CreatedAt,
    RestartedAt,
    FailingSince,
    NextAttemptAt,
    LastSuccessAt,
    LastError,
    LastErrorAt,
}

#[derive(DeriveIden)]
enum ForwardRanges {
    Table,
    Id,
    Name,
    State,
    Attempts,
    AfterPosition,
    AfterNonce,
    UntilPosition,
    FromAt,
    UntilAt,
    FailingSince,
    NextAttemptAt,
}

#[derive(DeriveIden)]
enum Leases {
    Table,
    Name,
    Token,
    ExpiresAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        manager.create_table(forwards()).await?;
        manager.create_table(forward_ranges(backend)).await?;
        manager.create_table(leases(backend)).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Leases::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(ForwardRanges::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(Forwards::Table).to_owned()).await
    }
}

/// One row for each name. Times are microseconds since the epoch.
fn forwards() -> TableCreateStatement {
    Table::create()
        .table(Forwards::Table)
        .col(ColumnDef::new(Forwards::Name).text().not_null().primary_key())
        // The entry up to which everything was delivered or given up.
        .col(ColumnDef::new(Forwards::Position).big_integer().not_null())
        .col(ColumnDef::new(Forwards::Nonce).integer().not_null())
        // 1 while nothing is delivered, until somebody enables it.
        .col(ColumnDef::new(Forwards::Paused).small_integer().not_null())
        // The failed attempts to deliver the entry that is next.
        .col(ColumnDef::new(Forwards::Attempts).integer().not_null())
        .col(ColumnDef::new(Forwards::CreatedAt).big_integer().not_null())
        // When its place was last lost with the feed, so that it began anew.
        .col(ColumnDef::new(Forwards::RestartedAt).big_integer())
        .col(ColumnDef::new(Forwards::FailingSince).big_integer())
        .col(ColumnDef::new(Forwards::NextAttemptAt).big_integer())
        .col(ColumnDef::new(Forwards::LastSuccessAt).big_integer())
        .col(ColumnDef::new(Forwards::LastError).text())
        .col(ColumnDef::new(Forwards::LastErrorAt).big_integer())
        .to_owned()
}

/// Entries that were given up, or that are delivered again.
fn forward_ranges(backend: DatabaseBackend) -> TableCreateStatement {
    Table::create()
        .table(ForwardRanges::Table)
        .col(uuid(ForwardRanges::Id, backend).not_null().primary_key())
        .col(ColumnDef::new(ForwardRanges::Name).text().not_null())
        // 0 given up, 1 being replayed.
        .col(ColumnDef::new(ForwardRanges::State).small_integer().not_null())
        .col(ColumnDef::new(ForwardRanges::Attempts).integer().not_null())
        // The entry before the first of them.
        .col(ColumnDef::new(ForwardRanges::AfterPosition).big_integer().not_null())
        .col(ColumnDef::new(ForwardRanges::AfterNonce).integer().not_null())
        // The last of them.
        .col(ColumnDef::new(ForwardRanges::UntilPosition).big_integer().not_null())
        .col(ColumnDef::new(ForwardRanges::FromAt).big_integer().not_null())
        .col(ColumnDef::new(ForwardRanges::UntilAt).big_integer().not_null())
        .col(ColumnDef::new(ForwardRanges::FailingSince).big_integer())
        .col(ColumnDef::new(ForwardRanges::NextAttemptAt).big_integer())
        .to_owned()
}

/// Who may do what only one process may do at a time, and until when by the clock of the database.
fn leases(backend: DatabaseBackend) -> TableCreateStatement {
    Table::create()
        .table(Leases::Table)
        .col(ColumnDef::new(Leases::Name).text().not_null().primary_key())
        .col(uuid(Leases::Token, backend).not_null())
        .col(ColumnDef::new(Leases::ExpiresAt).big_integer().not_null())
        .to_owned()
}
