//! Columns and tables that several migrations define alike. What is here never changes: a released migration
//! depends on it.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

/// A UUID in 16 bytes.
pub(crate) fn uuid(column: impl IntoIden, backend: DatabaseBackend) -> ColumnDef {
    let mut column = ColumnDef::new(column);
    match backend {
        DatabaseBackend::Sqlite => column.blob(),
        _ => column.uuid(),
    };
    column
}

/// A table that SQLite stores in the order of its primary key. If it has other columns, the last must be one of
/// them: otherwise `PRAGMA integrity_check` of SQLite 3.40, which Debian 12 has, reports NULLs where there are
/// none.
pub(crate) fn clustered(
    table: &mut TableCreateStatement,
    backend: DatabaseBackend,
) -> TableCreateStatement {
    if backend == DatabaseBackend::Sqlite {
        table.extra("WITHOUT ROWID");
    }
    table.to_owned()
}
