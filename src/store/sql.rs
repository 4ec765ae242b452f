//! The few things that SeaORM's builders do not spell alike on both engines, and statements for
//! many rows at once, which they would spell anew for every batch.

use std::collections::HashSet;
use std::fmt::Write;

use sea_orm::sea_query::{
    DynIden, Expr, ExprTrait, Func, IntoIden, LockType, SelectStatement, TableRef, Value,
    ValueTuple,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseBackend, DbErr, Statement};

/// Rows to be inserted by one statement, which selects them from `v`. Both engines name the columns
/// of `v` `column1`, `column2`, ….
///
/// A statement for another number of rows is another one to prepare and to keep. So there are few
/// numbers: rows of nulls fill up to the next, and the statement leaves them out by looking at the
/// first column, which is never null.
pub(super) struct Insertion {
    head: String,
    tail: &'static str,
    width: usize,
    cells: Vec<Value>,
}

impl Insertion {
    /// An insertion of what is selected by `head`, which ends before the rows, under the terms of
    /// `tail`. The cells of one column are of one type, null or not.
    pub(super) fn new<const N: usize>(
        head: impl Into<String>,
        rows: impl IntoIterator<Item = [Value; N]>,
        tail: &'static str,
    ) -> Self {
        let rows = rows.into_iter();
        let mut cells = Vec::with_capacity(rounded(rows.size_hint().0) * N);
        cells.extend(rows.flatten());
        Self { head: head.into(), tail, width: N, cells }
    }

    /// Runs it, if there are rows.
    ///
    /// # Errors
    /// One that is told by [`is_known`](super::failure::is_known) when a row was there before.
    pub(super) async fn run(self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        let Self { head, tail, width, cells } = self;
        if cells.is_empty() {
            return Ok(());
        }
        let backend = db.get_database_backend();
        // SQLite then keeps no copies of pages to take this statement alone back: whoever cannot
        // insert takes the whole transaction back.
        let verb = if backend == DatabaseBackend::Sqlite { "INSERT OR FAIL" } else { "INSERT" };
        let mut sql = format!("{verb} INTO {head} FROM (VALUES ");
        let count = rounded(cells.len() / width);
        for row in 0..count {
            sql.push_str(if row == 0 { "(" } else { "), (" });
            placeholders(&mut sql, backend, row * width, width);
        }
        // Writing to a string does not fail.
        let _ = write!(sql, ")) AS v WHERE column1 IS NOT NULL {tail}");
        let values = filled(cells, count * width, width);
        let statement = Statement::from_sql_and_values(backend, sql, values);
        db.execute_raw(statement).await.map(drop)
    }
}

/// Which of some keys a column has. One text for many numbers of keys, as with an [`Insertion`].
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
