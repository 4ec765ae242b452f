//! The few things that SeaORM's builders do not spell alike on both engines, and statements for
//! many rows at once, which they would spell anew for every batch.

use std::collections::HashSet;
use std::fmt::Write;

use sea_orm::sea_query::{
    DynIden, Expr, ExprTrait, Func, IntoIden, LockType, SelectStatement, TableRef, Value,
    ValueTuple,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseBackend, DbErr, Statement};

/// Rows handed to a statement, which selects from them as `v`. Both engines name their columns
/// `column1`, `column2`, ….
///
/// A statement for another number of rows is another one to prepare and to keep. So there are few
/// numbers: rows of nulls fill up to the next, and the statement leaves them out by looking at a
/// column that is never null.
pub(super) struct Rows<const N: usize> {
    cells: Vec<Value>,
}

impl<const N: usize> Rows<N> {
    /// Rows of `N` cells. The cells of one column are of one type, null or not.
    pub(super) fn new(rows: impl IntoIterator<Item = [Value; N]>) -> Self {
        Self { cells: rows.into_iter().flatten().collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.cells.len() / N
    }

    /// Runs a statement; it gets the rows as something to select from. Returns how many rows of
    /// the database it changed.
    pub(super) async fn execute(
        self,
        db: &impl ConnectionTrait,
        statement: impl FnOnce(&str) -> String,
    ) -> Result<u64, DbErr> {
        if self.cells.is_empty() {
            return Ok(0);
        }
        let backend = db.get_database_backend();
        let count = rounded(self.len());
        let mut table = String::from("(VALUES ");
        for row in 0..count {
            table.push_str(if row == 0 { "(" } else { "), (" });
            placeholders(&mut table, backend, row * N, N);
        }
        table.push_str(")) AS v");
        let statement = Statement::from_sql_and_values(
            backend,
            statement(&table),
            filled(self.cells, count * N, N),
        );
        Ok(db.execute_raw(statement).await?.rows_affected())
    }

    /// As [`execute`](Self::execute), for rows that are all to be inserted. If another server has
    /// stored one of them since this transaction looked, the transaction is to be repeated.
    pub(super) async fn insert(
        self,
        db: &impl ConnectionTrait,
        statement: impl FnOnce(&str) -> String,
    ) -> Result<(), DbErr> {
        let all = self.len() as u64;
        if self.execute(db, statement).await? == all {
            Ok(())
        } else {
            Err(DbErr::RecordNotInserted)
        }
    }
}

/// Which of some keys a column has. One text for many numbers of keys, as with [`Rows`].
pub(super) async fn known(
    db: &impl ConnectionTrait,
    (table, column): (&str, &str),
    keys: impl Iterator<Item = &str>,
) -> Result<HashSet<String>, DbErr> {
    let keys: Vec<Value> = keys.map(Value::from).collect();
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    let backend = db.get_database_backend();
    let count = rounded(keys.len());
    let mut sql = format!("SELECT {column} FROM {table} WHERE {column} IN (");
    placeholders(&mut sql, backend, 0, count);
    sql.push(')');
    let statement = Statement::from_sql_and_values(backend, sql, filled(keys, count, 1));
    db.query_all_raw(statement).await?.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// Powers of two, and from 8 on the middle between two of them.
fn rounded(count: usize) -> usize {
    let power = count.next_power_of_two();
    let middle = power / 4 * 3;
    if middle > 8 && count <= middle { middle } else { power }
}

/// Nulls after the given values, each of the type of its column.
fn filled(mut values: Vec<Value>, length: usize, width: usize) -> Vec<Value> {
    let types: Vec<Value> = values.iter().take(width).map(Value::as_null).collect();
    let missing = length - values.len();
    values.extend(types.into_iter().cycle().take(missing));
    values
}

fn placeholders(sql: &mut String, backend: DatabaseBackend, before: usize, count: usize) {
    for place in 1..=count {
        let comma = if place == 1 { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = match backend {
            DatabaseBackend::Postgres => write!(sql, "{comma}${}", before + place),
            _ => write!(sql, "{comma}?"),
        };
    }
}

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

/// A given value, or what the column holds where none is given.
pub(super) fn or_kept(given: Expr, column: impl ColumnTrait) -> Expr {
    Func::coalesce([given, own(column)]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_of_any_size_has_one_of_few_texts() {
        let sizes: HashSet<usize> = (1..=256).map(rounded).collect();
        assert!(sizes.len() <= 14, "{sizes:?}");
        for count in 1..=256 {
            let size = rounded(count);
            assert!(size >= count && size <= (2 * count), "{count} -> {size}");
        }
    }

    #[test]
    fn rows_are_filled_up_with_nulls_of_their_types() {
        let filled = filled(vec![Value::from("a"), Value::from(1_i64)], 6, 2);
        let (text, number) = (Value::String(None), Value::BigInt(None));
        assert_eq!(filled[2..], [text.clone(), number.clone(), text, number]);
    }
}
