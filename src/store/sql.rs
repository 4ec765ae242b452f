//! The few things that SeaORM's builders do not spell alike on both engines.

use sea_orm::sea_query::{
    DynIden, Expr, ExprTrait, Func, IntoIden, LockType, SelectStatement, TableRef, Value,
    ValueTuple,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseBackend};

/// Locks the selected rows until the end of the transaction, in the order they are selected, so
/// that two servers never wait for each other. SQLite has one writer and needs no such lock.
pub(super) fn lock_rows(query: &mut SelectStatement, db: &impl ConnectionTrait) {
    if db.get_database_backend() == DatabaseBackend::Postgres {
        query.lock(LockType::NoKeyUpdate);
    }
}

/// Rows given in the statement itself, to update many rows to values of their own at once. Both
/// engines name their columns `column1`, `column2`, ….
pub(super) struct Values;

impl Values {
    const ALIAS: &str = "v";

    /// The rows as something to select from.
    pub(super) fn table(rows: Vec<Vec<Value>>) -> TableRef {
        let rows = rows.into_iter().map(ValueTuple::Many).collect();
        TableRef::ValuesList(rows, Self::ALIAS.into_iden())
    }

    /// The column of the given place, counted from 1.
    pub(super) fn column(place: usize) -> Expr {
        Expr::col((Self::ALIAS, DynIden::from(format!("column{place}"))))
    }
}

/// A column with its table's name before it, where a statement has several tables.
pub(super) fn own(column: impl ColumnTrait) -> Expr {
    Expr::col(column.as_column_ref())
}

/// That a text column is null. Said like this, it does not lure SQLite to the column's own index,
/// in which all the nulls would have to be walked.
pub(super) fn is_unset(column: impl ColumnTrait) -> Expr {
    Expr::from(Func::coalesce([own(column), Expr::value("")])).eq("")
}

/// The later of a column's value and a given one.
pub(super) fn later(column: impl ColumnTrait, given: Expr) -> Expr {
    Expr::case(own(column).lt(given.clone()), given).finally(own(column)).into()
}

/// A given value, or what the column holds where none is given.
pub(super) fn or_kept(given: Expr, column: impl ColumnTrait) -> Expr {
    Func::coalesce([given, own(column)]).into()
}
