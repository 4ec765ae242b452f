//! Inserting many rows at once, into one table or into several.

use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, Statement};

use super::arrays::{self, ColumnArray};
use super::{pad, padded, placeholders};

/// Many rows to insert: they are selected from a list named `v`, whose columns are `column1`, `column2`, ….
///
/// On SQLite that is a VALUES list. Every number of rows is a statement of its own to prepare and cache. To
/// keep their number small, rows of NULLs pad the list to the next of a few sizes; the statement skips them
/// by their first column, which is never NULL in a real row.
///
/// On PostgreSQL each column is an array: the server and the driver take longer for parameters than for
/// rows, and most values are NULL.
pub(in crate::store) struct BulkInsert {
    table: &'static str,
    columns: &'static [&'static str],
    /// Columns with the expressions for them, in which `{}` is the given value.
    computed: Vec<(&'static str, &'static str)>,
    link: Option<Link>,
    on_conflict: &'static str,
    values: Vec<Value>,
}

/// A row of another table that each row takes values from, called `linked`.
#[derive(Clone, Copy)]
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
        Self { table, columns, computed: Vec::new(), link: None, on_conflict: "", values }
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

    /// Adds an `ON CONFLICT` clause.
    pub(in crate::store) fn on_conflict(mut self, clause: &'static str) -> Self {
        self.on_conflict = clause;
        self
    }

    /// Leaves out rows that exist, unless they have an `ON CONFLICT` clause already.
    pub(in crate::store) fn skip_existing(&mut self) {
        if self.on_conflict.is_empty() {
            self.on_conflict = "ON CONFLICT DO NOTHING";
        }
    }

    /// The number of rows.
    pub(in crate::store) fn rows(&self) -> usize {
        self.values.len() / self.columns.len()
    }

    /// The statement for SQLite, and the values for it.
    fn for_sqlite(self) -> (String, Vec<Value>) {
        let (width, count) = (self.columns.len(), padded(self.rows()));
        let mut list = "(VALUES ".to_owned();
        for row in 0..count {
            list.push_str(if row == 0 { "(" } else { "), (" });
            placeholders(&mut list, DatabaseBackend::Sqlite, row * width, width);
        }
        list.push_str(")) AS v");
        let source = self.link.map(|link| link.table.to_owned());
        // With FAIL, SQLite keeps no statement journal to undo this statement alone: a failed insert
        // rolls the whole transaction back anyway.
        let sql =
            self.sql("INSERT OR FAIL", &list, source.as_deref(), "WHERE column1 IS NOT NULL ");
        (sql, pad(self.values, count * width, width))
    }

    /// The statement for PostgreSQL, after so many parameters of others, and the values for it. Of the
    /// tables in `written`, the rows that are linked are those that the statement has just written.
    fn for_postgres(self, before: usize, written: &[&str]) -> Result<(String, Vec<Value>), DbErr> {
        let width = self.columns.len();
        let arrays = arrays::of_columns(&self.values, width)?;
        let placeholders: Vec<_> =
            (before + 1..).zip(&arrays).map(|(place, array)| array.placeholder(place)).collect();
        let names: Vec<_> = (1..=width).map(|place| format!("column{place}")).collect();
        let list = format!("unnest({}) AS v ({})", placeholders.join(", "), names.join(", "));
        let source = self.link.map(|link| match written.contains(&link.table) {
            true => written_rows(link.table),
            false => link.table.to_owned(),
        });
        let sql = self.sql("INSERT", &list, source.as_deref(), "");
        Ok((sql, arrays.into_iter().map(ColumnArray::into_value).collect()))
    }

    fn sql(&self, verb: &str, list: &str, source: Option<&str>, condition: &str) -> String {
        let expressions = (1..).zip(self.columns).map(|(place, column)| {
            let given = format!("v.column{place}");
            let computed = self.computed.iter().find(|(computed, _)| computed == column);
            computed.map_or_else(|| given.clone(), |(_, with)| with.replace("{}", &given))
        });
        let expressions = expressions.collect::<Vec<_>>().join(", ");
        let place = |column| self.columns.iter().position(|other| *other == column);
        let join = self.link.zip(source).map(|(Link { key, by, .. }, source)| {
            let place = place(by).map_or(0, |place| place + 1);
            // Not an inner join: a row without the other must fail and not be left out.
            format!("LEFT JOIN {source} AS linked ON linked.{key} = v.column{place} ")
        });
        let (table, columns) = (self.table, self.columns.join(", "));
        let (join, on_conflict) = (join.unwrap_or_default(), self.on_conflict);
        format!(
            "{verb} INTO {table} ({columns}) SELECT {expressions} FROM {list} \
             {join}{condition}{on_conflict}"
        )
    }

    /// The table without its alias.
    fn table_name(&self) -> &'static str {
        self.table.split(' ').next().unwrap_or_default()
    }
}

/// The name of what a statement has written into a table.
fn written_rows(table: &str) -> String {
    format!("{table}_written")
}

/// Runs inserts one after the other, and returns how many rows they have inserted or updated. For both
/// engines they are one message: a batch of webhooks waits for each answer.
///
/// # Errors
/// One that [tells of a duplicate](super::super::db_error::is_duplicate) when a row exists already.
pub(in crate::store) async fn run_all(
    db: &impl ConnectionTrait,
    mut inserts: Vec<BulkInsert>,
) -> Result<u64, DbErr> {
    inserts.retain(|insert| insert.rows() > 0);
    if inserts.is_empty() {
        return Ok(0);
    }
    let backend = db.get_database_backend();
    if backend == DatabaseBackend::Sqlite {
        let (texts, values): (Vec<_>, Vec<_>) =
            inserts.into_iter().map(BulkInsert::for_sqlite).unzip();
        let values: Vec<Value> = values.into_iter().flatten().collect();
        let statement = Statement::from_sql_and_values(backend, texts.join("; "), values);
        return Ok(db.execute_raw(statement).await?.rows_affected());
    }
    let (text, values) = in_one_statement(inserts)?;
    let statement = Statement::from_sql_and_values(backend, text, values);
    let row = db.query_one_raw(statement).await?;
    let count: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
    Ok(count.unsigned_abs())
}

/// One statement for PostgreSQL that runs inserts in their order and counts their rows.
fn in_one_statement(inserts: Vec<BulkInsert>) -> Result<(String, Vec<Value>), DbErr> {
    let linked: Vec<_> =
        inserts.iter().filter_map(|insert| insert.link.map(|link| link.table)).collect();
    let (mut parts, mut values, mut written) = (Vec::new(), Vec::new(), Vec::new());
    for insert in inserts {
        let table = insert.table_name();
        let returned = if linked.contains(&table) { "*" } else { "1" };
        let (text, more) = insert.for_postgres(values.len(), &written)?;
        parts.push(format!("{} AS ({text} RETURNING {returned})", written_rows(table)));
        values.extend(more);
        written.push(table);
    }
    let count = |table: &&str| format!("(SELECT count(*) FROM {})", written_rows(table));
    // They are run in the order in which they are counted.
    let counts = written.iter().map(count).collect::<Vec<_>>().join(" + ");
    Ok((format!("WITH {} SELECT {counts}", parts.join(", ")), values))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTACTS: [&str; 2] = ["id", "number"];
    const MESSAGES: [&str; 3] = ["id", "contact", "arrival"];

    /// One for each of two tables.
    fn inserts(rows: usize) -> Vec<BulkInsert> {
        let contacts = (0..rows).map(|_| ["a", "+1"].map(Value::from));
        let messages = (0..rows).map(|_| ["b", "+1", "0"].map(Value::from));
        let contacts = BulkInsert::new("contacts AS c", &CONTACTS, contacts)
            .computed("id", "(SELECT id FROM ids WHERE old = {})")
            .on_conflict("ON CONFLICT (number) DO NOTHING");
        let messages = BulkInsert::new("messages", &MESSAGES, messages)
            .link("contacts", "number", "contact")
            .computed("contact", "linked.key")
            .computed("arrival", "linked.arrived - {}");
        vec![contacts, messages]
    }

    #[test]
    fn postgresql_runs_them_as_one_statement_with_a_parameter_for_each_column() {
        let (text, values) = in_one_statement(inserts(2)).expect("types that tables have");
        assert_eq!(
            text,
            "WITH contacts_written AS (INSERT INTO contacts AS c (id, number) \
             SELECT (SELECT id FROM ids WHERE old = v.column1), v.column2 \
             FROM unnest($1, $2) AS v (column1, column2) ON CONFLICT (number) DO NOTHING \
             RETURNING *), messages_written AS (INSERT INTO messages (id, contact, arrival) \
             SELECT v.column1, linked.key, linked.arrived - v.column3 \
             FROM unnest($3, $4, $5) AS v (column1, column2, column3) \
             LEFT JOIN contacts_written AS linked ON linked.number = v.column2  RETURNING 1) \
             SELECT (SELECT count(*) FROM contacts_written) + \
             (SELECT count(*) FROM messages_written)"
        );
        assert_eq!(values.len(), 5);
        let more = in_one_statement(inserts(100)).expect("types that tables have");
        assert_eq!(more.0, text, "any number of rows is one statement");
    }

    #[test]
    fn sqlite_links_rows_of_the_table_itself() {
        let messages = inserts(1).pop().expect("the second");
        let (text, _) = messages.for_sqlite();
        assert_eq!(
            text,
            "INSERT OR FAIL INTO messages (id, contact, arrival) \
             SELECT v.column1, linked.key, linked.arrived - v.column3 \
             FROM (VALUES (?, ?, ?)) AS v \
             LEFT JOIN contacts AS linked ON linked.number = v.column2 \
             WHERE column1 IS NOT NULL "
        );
    }
}
