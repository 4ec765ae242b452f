//! Statements for many rows at once, and the few that SeaORM's builders do not write alike for both
//! engines.

mod arrays;
mod insert;
mod inserts;

use std::collections::HashSet;
use std::fmt::Write;

use sea_orm::sea_query::{
    DynIden, Expr, ExprTrait, Func, IntoIden, LockType, SelectStatement, TableRef, Value,
    ValueTuple,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseBackend, DbErr, QueryResult, Statement};

pub(super) use arrays::{array_text, as_arrays, element_text};
pub(super) use insert::BulkInsert;
pub(super) use inserts::{Written, for_postgres, for_sqlite, insert_all, rows, run_all};

/// The places of those keys for which a condition on one table, such as
/// `events WHERE id = v.column2`, finds a row. The values of a key are `v.column2` and so on. Padded like
/// a [`BulkInsert`]. The condition is in a scalar subquery, which PostgreSQL runs for each key along an
/// index; it might join the whole table otherwise.
pub(super) async fn existing<const N: usize>(
    db: &impl ConnectionTrait,
    condition: &str,
    keys: impl Iterator<Item = [Value; N]>,
) -> Result<HashSet<usize>, DbErr> {
    let keys: Vec<Value> = keys.flatten().collect();
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    let backend = db.get_database_backend();
    let count = padded(keys.len() / N);
    let mut sql = "SELECT v.column1 FROM (VALUES ".to_owned();
    for place in 0..count {
        // Writing to a string cannot fail.
        let _ = write!(sql, "{}({place}, ", if place == 0 { "" } else { "), " });
        placeholders(&mut sql, backend, place * N, N);
    }
    let _ = write!(sql, ")) AS v WHERE (SELECT 1 FROM {condition} LIMIT 1) = 1");
    let statement = Statement::from_sql_and_values(backend, sql, pad(keys, count * N, N));
    let found = db.query_all_raw(statement).await?;
    let place = |row: &QueryResult| row.try_get_by_index::<i32>(0).map(|place| place as usize);
    found.iter().map(place).collect()
}

/// The next size that statements are made for: a power of two or, from 8 on, the middle between
/// two of them.
pub(super) fn padded(count: usize) -> usize {
    let power = count.next_power_of_two();
    let middle = power / 4 * 3;
    if middle > 8 && count <= middle { middle } else { power }
}

/// The places of the columns that hold a value in some row, or are `needed` all the same, and their values:
/// most columns of most batches are empty, and an engine takes as long for each NULL as for a value.
pub(super) fn used_columns(
    values: Vec<Value>,
    width: usize,
    needed: impl Fn(usize) -> bool,
) -> (Vec<usize>, Vec<Value>) {
    let is_used = |place: usize| {
        needed(place) || values.iter().skip(place).step_by(width).any(Value::is_some)
    };
    let used: Vec<bool> = (0..width).map(is_used).collect();
    let columns = (0..width).filter(|place| used[*place]).collect();
    let kept = values.into_iter().zip(used.iter().cycle());
    (columns, kept.filter(|(_, used)| **used).map(|(value, _)| value).collect())
}

/// Appends NULLs up to a length, each of its column's type.
pub(super) fn pad(mut values: Vec<Value>, length: usize, width: usize) -> Vec<Value> {
    let nulls: Vec<Value> = values.iter().take(width).map(Value::as_null).collect();
    let missing = length - values.len();
    values.extend(nulls.into_iter().cycle().take(missing));
    values
}

fn placeholders(sql: &mut String, backend: DatabaseBackend, before: usize, count: usize) {
    for place in 1..=count {
        let comma = if place == 1 { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = match backend {
            DatabaseBackend::Postgres => write!(sql, "{comma}${}", before + place),
            _ => write!(sql, "{comma}?"),
        };
    }
}

/// Locks the selected rows until the end of the transaction, in the order of the query, so that two
/// servers cannot deadlock. SQLite has a single writer and needs no row locks.
pub(super) fn lock_rows(query: &mut SelectStatement, db: &impl ConnectionTrait) {
    if db.get_database_backend() == DatabaseBackend::Postgres {
        query.lock(LockType::NoKeyUpdate);
    }
}

/// A VALUES list named `v`, to update each of many rows to values of its own in one statement. Both
/// engines call its columns `column1`, `column2`, ….
pub(super) struct Values;

impl Values {
    const ALIAS: &str = "v";

    pub(super) fn table(rows: Vec<Vec<Value>>) -> TableRef {
        let rows = rows.into_iter().map(ValueTuple::Many).collect();
        TableRef::ValuesList(rows, Self::ALIAS.into_iden())
    }

    /// The column at a place, counted from 1.
    pub(super) fn column(place: usize) -> Expr {
        Expr::col((Self::ALIAS, DynIden::from(format!("column{place}"))))
    }
}

/// A column qualified by its table.
pub(super) fn qualified(column: impl ColumnTrait) -> Expr {
    Expr::col(column.as_column_ref())
}

/// True where a column of bytes is NULL. `IS NULL` would lead SQLite to the column's own index, and
/// through every NULL in it.
pub(super) fn is_unset(column: impl ColumnTrait) -> Expr {
    let empty = || Expr::value(Vec::<u8>::new());
    Expr::from(Func::coalesce([qualified(column), empty()])).eq(empty())
}

/// The given value, or the column's present one where the given is NULL.
pub(super) fn or_kept(given: Expr, column: impl ColumnTrait) -> Expr {
    Func::coalesce([given, qualified(column)]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_all_sizes_share_a_few_statements() {
        let sizes: HashSet<usize> = (1..=256).map(padded).collect();
        assert!(sizes.len() <= 14, "{sizes:?}");
        for count in 1..=256 {
            let size = padded(count);
            assert!(size >= count && size <= (2 * count), "{count} -> {size}");
        }
    }

    #[test]
    fn padding_has_the_types_of_the_columns() {
        let padded = pad(vec![Value::from("a"), Value::from(1_i64)], 6, 2);
        let (text, number) = (Value::String(None), Value::BigInt(None));
        assert_eq!(padded[2..], [text.clone(), number.clone(), text, number]);
    }
}
