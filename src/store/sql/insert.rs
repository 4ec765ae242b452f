//! Inserting many rows at once into a table.

use sea_orm::sea_query::Value;
use sea_orm::{DatabaseBackend, DbErr};

use super::{arrays, pad, padded, placeholders, used_columns};

/// Many rows to insert: they are selected from a list named `v`. A column in which no row has a value is left
/// out, so it must have no default.
///
/// On SQLite that is a VALUES list, whose columns are `column1`, `column2`, …. Every number of rows is a
/// statement of its own to prepare and cache. To keep their number small, rows of NULLs pad the list to the
/// next of a few sizes; the statement skips them by their first column, which is never NULL in a real row.
///
/// On PostgreSQL each column is an array, and has its name in the list: the server and the driver take longer
/// for parameters than for rows.
#[derive(Debug)]
pub(in crate::store) struct BulkInsert {
    table: &'static str,
    columns: Vec<&'static str>,
    /// Columns with the expressions for them, in which `{}` is the given value.
    computed: Vec<(&'static str, &'static str)>,
    link: Option<Link>,
    /// The row that has the key of a given one already: a table and a condition.
    existing: Option<&'static str>,
    on_conflict: &'static str,
    values: Vec<Value>,
}

/// A row of another table that each row takes values from, called `linked`.
#[derive(Clone, Copy, Debug)]
struct Link {
    table: &'static str,
    key: &'static str,
    /// The column whose given value is the key.
    by: &'static str,
}

impl BulkInsert {
    /// Inserts rows into `table`, which may carry an alias. All values of a column have one type,
    /// NULLs included.
    pub(in crate::store) fn new<const N: usize>(
        table: &'static str,
        columns: &'static [&'static str; N],
        rows: impl IntoIterator<Item = [Value; N]>,
    ) -> Self {
        let rows = rows.into_iter();
        let mut values = Vec::with_capacity(padded(rows.size_hint().0) * N);
        values.extend(rows.flatten());
        let (computed, link, existing) = (Vec::new(), None, None);
        let columns = columns.to_vec();
        Self { table, columns, computed, link, existing, on_conflict: "", values }
    }

    /// Computes `column` by an expression, in which `{}` is the value given for it.
    pub(in crate::store) fn computed(
        mut self,
        column: &'static str,
        expression: &'static str,
    ) -> Self {
        self.computed.push((column, expression));
        self
    }

    /// Lets expressions use a row of `table` as `linked`: the one whose `key` is given for the column `by`,
    /// which an insert before this one may write.
    pub(in crate::store) fn link(
        mut self,
        table: &'static str,
        key: &'static str,
        by: &'static str,
    ) -> Self {
        self.link = Some(Link { table, key, by });
        self
    }

    /// Tells where a row with the key of a given one is found, such as `events WHERE id = v.id`. If there
    /// is one, PostgreSQL inserts nothing at all, into this table or with the same statement into others, and
    /// logs no error. SQLite, which has no log, fails.
    pub(in crate::store) fn existing(mut self, condition: Option<&'static str>) -> Self {
        self.existing = condition;
        self
    }

    /// Adds an `ON CONFLICT` clause.
    pub(in crate::store) fn on_conflict(mut self, clause: &'static str) -> Self {
        self.on_conflict = clause;
        self
    }

    /// The table of which each row needs another.
    pub(super) fn linked_table(&self) -> Option<&'static str> {
        self.link.map(|link| link.table)
    }

    /// Whether a row that exists prevents all.
    pub(super) fn is_conditional(&self) -> bool {
        self.existing.is_some()
    }

    /// The number of rows.
    pub(in crate::store) fn rows(&self) -> usize {
        self.values.len() / self.columns.len()
    }

    /// The statement for SQLite, and the values for it.
    pub(super) fn for_sqlite(self) -> (String, Vec<Value>) {
        let count = padded(self.rows());
        let (insert, values) = self.without_empty_columns();
        let width = insert.columns.len();
        let mut list = "(VALUES ".to_owned();
        for row in 0..count {
            list.push_str(if row == 0 { "(" } else { "), (" });
            placeholders(&mut list, DatabaseBackend::Sqlite, row * width, width);
        }
        list.push_str(")) AS v");
        let given: Vec<_> = (1..=width).map(|place| format!("v.column{place}")).collect();
        let source = insert.link.map(|link| link.table.to_owned());
        // With FAIL, SQLite keeps no statement journal to undo this statement alone: a failed insert
        // rolls the whole transaction back anyway.
        let condition = format!("WHERE {} IS NOT NULL ", given[0]);
        let sql = insert.sql("INSERT OR FAIL", &list, &given, source.as_deref(), &condition);
        (sql, pad(values, count * width, width))
    }

    /// A part of a statement for PostgreSQL, after so many parameters of others. Of the tables in `written`,
    /// the rows that are linked are those that the statement has just written.
    ///
    /// # Errors
    /// If a value has a type that no table has.
    pub(super) fn for_postgres(
        self,
        before: usize,
        written: &[&str],
        condition: &str,
    ) -> Result<PostgresPart, DbErr> {
        let (insert, values) = self.without_empty_columns();
        let (arrays, values) = arrays::as_arrays(values, insert.columns.len(), before)?;
        // As one function with several arrays, PostgreSQL would put all rows aside first, which takes it
        // nearly three times as long.
        let columns = arrays.iter().zip(&insert.columns);
        let columns: Vec<_> =
            columns.map(|(array, column)| format!("unnest({array}) AS {column}")).collect();
        let list = format!("(SELECT {}) AS v", columns.join(", "));
        let given: Vec<_> = insert.columns.iter().map(|column| format!("v.{column}")).collect();
        let source = insert.link.map(|link| match written.contains(&link.table) {
            true => written_rows(link.table),
            false => link.table.to_owned(),
        });
        // A scalar subquery, which PostgreSQL runs for each row along an index.
        let existing =
            |rows| format!("SELECT 1 FROM {list} WHERE (SELECT 1 FROM {rows} LIMIT 1) = 1");
        Ok(PostgresPart {
            text: insert.sql("INSERT", &list, &given, source.as_deref(), condition),
            existing: insert.existing.map(existing),
            values,
        })
    }

    /// The insert without the columns in which no row has a value, and the values of the others.
    fn without_empty_columns(mut self) -> (Self, Vec<Value>) {
        let columns = std::mem::take(&mut self.columns);
        let values = std::mem::take(&mut self.values);
        let (used, values) =
            used_columns(values, columns.len(), |place| self.mentions(columns[place]));
        self.columns = used.into_iter().map(|place| columns[place]).collect();
        (self, values)
    }

    /// Whether an expression needs the values of a column.
    fn mentions(&self, column: &str) -> bool {
        self.computed.iter().any(|(computed, _)| *computed == column)
            || self.link.is_some_and(|link| link.by == column)
            || self.existing.is_some_and(|rows| rows.contains(&format!("v.{column}")))
    }

    /// The statement that selects from a list, in which each column is `given` by an expression.
    fn sql(
        &self,
        verb: &str,
        list: &str,
        given: &[String],
        source: Option<&str>,
        condition: &str,
    ) -> String {
        let expressions = self.columns.iter().zip(given).map(|(column, given)| {
            let computed = self.computed.iter().find(|(computed, _)| computed == column);
            computed.map_or_else(|| given.clone(), |(_, with)| with.replace("{}", given))
        });
        let expressions = expressions.collect::<Vec<_>>().join(", ");
        let place = |column| self.columns.iter().position(|other| *other == column);
        let join = self.link.zip(source).map(|(Link { key, by, .. }, source)| {
            let given = place(by).map_or("NULL", |place| given[place].as_str());
            // Not an inner join: a row without the other must fail and not be left out.
            format!("LEFT JOIN {source} AS linked ON linked.{key} = {given} ")
        });
        let (table, columns) = (self.table, self.columns.join(", "));
        let (join, on_conflict) = (join.unwrap_or_default(), self.on_conflict);
        format!(
            "{verb} INTO {table} ({columns}) SELECT {expressions} FROM {list} \
             {join}{condition}{on_conflict}"
        )
    }

    /// The table without its alias.
    pub(super) fn table_name(&self) -> &'static str {
        self.table.split(' ').next().unwrap_or_default()
    }
}

/// The name of what a statement has written into a table.
pub(super) fn written_rows(table: &str) -> String {
    format!("{table}_written")
}

/// A part of a statement for PostgreSQL.
pub(super) struct PostgresPart {
    pub(super) text: String,
    /// Finds the rows that exist.
    pub(super) existing: Option<String>,
    pub(super) values: Vec<Value>,
}
