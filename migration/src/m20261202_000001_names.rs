//! Names of contacts. A contact may be named before there is a conversation with it.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

use crate::columns::clustered;

/// Creates the table of names.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum ContactNames {
    Table,
    ContactNumber,
    Name,
    FoldedName,
    NamedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(names(manager.get_database_backend())).await?;
        // Finds a whole name, and lists all of them in their order.
        let mut index = Index::create();
        index
            .name("ix_contact_names_folded")
            .table(ContactNames::Table)
            .col(ContactNames::FoldedName)
            .col(ContactNames::ContactNumber);
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(ContactNames::Table).to_owned()).await
    }
}

fn names(backend: DatabaseBackend) -> TableCreateStatement {
    let mut table = Table::create();
    table
        .table(ContactNames::Table)
        .col(key(ContactNames::ContactNumber, backend).not_null().primary_key())
        .col(ColumnDef::new(ContactNames::Name).text().not_null())
        // The name as it is compared: without regard to letter case, alike on every database.
        .col(key(ContactNames::FoldedName, backend).not_null())
        // In microseconds since the epoch.
        .col(ColumnDef::new(ContactNames::NamedAt).big_integer().not_null());
    clustered(&mut table, backend)
}

/// A text column that is compared by bytes.
fn key(column: impl IntoIden, backend: DatabaseBackend) -> ColumnDef {
    let mut column = ColumnDef::new(column);
    column.text();
    if backend == DatabaseBackend::Postgres {
        column.extra("COLLATE \"C\"");
    }
    column
}
