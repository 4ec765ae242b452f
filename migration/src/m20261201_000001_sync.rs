//! Synchronising with Telnyx: how far each source has been read, and which messages it has brought.

use sea_orm_migration::prelude::*;

/// Creates the table of the sources and marks recovered messages.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum SyncSources {
    Table,
    Name,
    Until,
    SweptAt,
    Pass,
    SucceededAt,
    Error,
    ErrorAt,
}

#[derive(DeriveIden)]
enum Messages {
    Table,
    Recovered,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(sources()).await?;
        // 1 for a message that no webhook brought; NULL for all others.
        let recovered = ColumnDef::new(Messages::Recovered).small_integer().to_owned();
        let mut add = Table::alter();
        manager.alter_table(add.table(Messages::Table).add_column(recovered).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut remove = Table::alter();
        remove.table(Messages::Table).drop_column(Messages::Recovered);
        manager.alter_table(remove).await?;
        manager.drop_table(Table::drop().table(SyncSources::Table).to_owned()).await
    }
}

/// One row for each source. Times are microseconds since the epoch.
fn sources() -> TableCreateStatement {
    Table::create()
        .table(SyncSources::Table)
        .col(ColumnDef::new(SyncSources::Name).text().not_null().primary_key())
        // By Telnyx's clock: everything that it listed up to then is here.
        .col(ColumnDef::new(SyncSources::Until).big_integer())
        // By Telnyx's clock: when the last seven days were last read as a whole.
        .col(ColumnDef::new(SyncSources::SweptAt).big_integer())
        // Where a pass that is not complete goes on, as JSON.
        .col(ColumnDef::new(SyncSources::Pass).text())
        // By convo's clock.
        .col(ColumnDef::new(SyncSources::SucceededAt).big_integer())
        .col(ColumnDef::new(SyncSources::Error).text())
        .col(ColumnDef::new(SyncSources::ErrorAt).big_integer())
        .to_owned()
}
