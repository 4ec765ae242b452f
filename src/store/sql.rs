//! Statements for many rows at once, and the few that SeaORM's builders do not write alike for both
//! engines.

mod arrays;

use std::collections::HashSet;
use std::fmt::Write;

use sea_orm::sea_query::{
    DynIden, Expr, ExprTrait, Func, IntoIden, LockType, SelectStatement, TableRef, Value,
    ValueTuple,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseBackend, DbErr, QueryResult, Statement};

use arrays::ColumnArray;
pub(super) use arrays::array_text;

/// One statement that inserts many rows: it selects them from a list named `v`, whose columns are
/// `column1`, `column2`, ….
///
/// On SQLite that is a VALUES list. Every number of rows is a statement of its own to prepare and cache. To
/// keep their number small, rows of NULLs pad the list to the next of a few sizes; the statement skips them
/// by their first column, which is never NULL in a real row.
///
/// On PostgreSQL each column is an array: the server and the driver take longer for parameters than for
/// rows, and most values are NULL.
pub(super) struct BulkInsert {
    table: &'static str,
    columns: &'static [&'static str],
    lookups: Vec<(&'static str, &'static str)>,
    conversions: Vec<(&'static str, [&'static str; 2])>,
    on_conflict: &'static str,
    values: Vec<Value>,
}

impl BulkInsert {
    /// Inserts rows into `table`, which may carry an alias. All values of a column have one type,
    /// NULLs included.
    pub(super) fn new<const N: usize>(
        table: &'static str,
        columns: &'static [&'static str; N],
        rows: impl IntoIterator<Item = [Value; N]>,
    ) -> Self {
        let rows = rows.into_iter();
        let mut values = Vec::with_capacity(padded(rows.size_hint().0) * N);
        values.extend(rows.flatten());
        Self {
            table,
            columns,
            lookups: Vec::new(),
            conversions: Vec::new(),
            on_conflict: "",
            values,
        }
    }

    /// Replaces the value given for `column` by what `query`, which ends in `=`, finds for it.
    pub(super) fn lookup(mut self, column: &'static str, query: &'static str) -> Self {
        self.lookups.push((column, query));
        self
    }

    /// Converts the value given for `column` by an expression: the text before it and the text after.
    pub(super) fn convert(
        mut self,
        column: &'static str,
        before: &'static str,
        after: &'static str,
    ) -> Self {
        self.conversions.push((column, [before, after]));
        self
    }

    /// Adds an `ON CONFLICT` clause.
    pub(super) fn on_conflict(mut self, clause: &'static str) -> Self {
        self.on_conflict = clause;
        self
    }

    /// Leaves out rows that exist, unless they have an `ON CONFLICT` clause already.
    pub(super) fn skip_existing(&mut self) {
        if self.on_conflict.is_empty() {
            self.on_conflict = "ON CONFLICT DO NOTHING";
        }
    }

    /// The number of rows.
    pub(super) fn rows(&self) -> usize {
        self.values.len() / self.columns.len()
    }

    /// The statement, and the values for it.
    fn into_statement(self, backend: DatabaseBackend) -> (String, Vec<Value>) {
        let width = self.columns.len();
        if backend == DatabaseBackend::Sqlite {
            let count = padded(self.rows());
            let mut list = "(VALUES ".to_owned();
            for row in 0..count {
                list.push_str(if row == 0 { "(" } else { "), (" });
                placeholders(&mut list, backend, row * width, width);
            }
            list.push_str(")) AS v WHERE column1 IS NOT NULL");
            // With FAIL, SQLite keeps no statement journal to undo this statement alone: a failed insert
            // rolls the whole transaction back anyway.
            let sql = self.sql("INSERT OR FAIL", &list);
            return (sql, pad(self.values, count * width, width));
        }
        let arrays = arrays::of_columns(&self.values, width);
        let placeholders: Vec<_> =
            (1..).zip(&arrays).map(|(place, array)| array.placeholder(place)).collect();
        let names: Vec<_> = (1..=width).map(|place| format!("column{place}")).collect();
        let list = format!("unnest({}) AS v ({})", placeholders.join(", "), names.join(", "));
        let sql = self.sql("INSERT", &list);
        (sql, arrays.into_iter().map(ColumnArray::into_value).collect())
    }

    fn sql(&self, verb: &str, list: &str) -> String {
        let columns = self.columns.join(", ");
        let selected = (1..).zip(self.columns).map(|(place, column)| {
            let lookup = self.lookups.iter().find(|(looked_up, _)| looked_up == column);
            let conversion = self.conversions.iter().find(|(converted, _)| converted == column);
            match (lookup, conversion) {
                (Some((_, query)), _) => format!("({query} v.column{place})"),
                (_, Some((_, [before, after]))) => format!("{before}column{place}{after}"),
                _ => format!("column{place}"),
            }
        });
        let selected = selected.collect::<Vec<_>>().join(", ");
        let (table, on_conflict) = (self.table, self.on_conflict);
        format!("{verb} INTO {table} ({columns}) SELECT {selected} FROM {list} {on_conflict}")
    }
}

/// Runs inserts one after the other, and returns how many rows they have inserted or updated. SQLite runs
/// them in one call, each of which is handed to the driver's thread and back; PostgreSQL prepares one
/// statement at a time.
///
/// # Errors
/// One that [tells of a duplicate](super::db_error::is_duplicate) when a row exists already.
pub(super) async fn run_all(
    db: &impl ConnectionTrait,
    inserts: Vec<BulkInsert>,
) -> Result<u64, DbErr> {
    let backend = db.get_database_backend();
    let filled = inserts.into_iter().filter(|insert| insert.rows() > 0);
    let statements = filled.map(|insert| insert.into_statement(backend));
    let mut affected = 0;
    if backend == DatabaseBackend::Sqlite {
        let (texts, values): (Vec<_>, Vec<_>) = statements.unzip();
        let values: Vec<Value> = values.into_iter().flatten().collect();
        if !texts.is_empty() {
            let statement = Statement::from_sql_and_values(backend, texts.join("; "), values);
            affected = db.execute_raw(statement).await?.rows_affected();
        }
    } else {
        for (sql, values) in statements {
            let statement = Statement::from_sql_and_values(backend, sql, values);
            affected += db.execute_raw(statement).await?.rows_affected();
        }
    }
    Ok(affected)
}

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
    fn on_postgresql_a_statement_has_a_parameter_for_each_column() {
        const COLUMNS: [&str; 3] = ["id", "contact", "arrival"];
        let row = |id: &str, contact: &str| [id, contact, contact].map(Value::from);
        let rows = |count: usize| (0..count).map(|place| row(&place.to_string(), "c"));
        let insert = |count: usize| {
            BulkInsert::new("messages", &COLUMNS, rows(count))
                .lookup("contact", "SELECT key FROM contacts WHERE number =")
                .convert("arrival", "10 - ", "")
                .on_conflict("ON CONFLICT DO NOTHING")
                .into_statement(DatabaseBackend::Postgres)
        };
        let (text, values) = insert(2);
        assert_eq!(
            text,
            "INSERT INTO messages (id, contact, arrival) SELECT column1, \
             (SELECT key FROM contacts WHERE number = v.column2), 10 - column3 \
             FROM unnest($1, $2, $3) AS v (column1, column2, column3) ON CONFLICT DO NOTHING"
        );
        assert_eq!(values.len(), 3);
        assert_eq!(insert(100).0, text, "any number of rows is one statement");
    }

    #[test]
    fn padding_has_the_types_of_the_columns() {
        let padded = pad(vec![Value::from("a"), Value::from(1_i64)], 6, 2);
        let (text, number) = (Value::String(None), Value::BigInt(None));
        assert_eq!(padded[2..], [text.clone(), number.clone(), text, number]);
    }
}
