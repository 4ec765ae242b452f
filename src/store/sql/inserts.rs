//! Inserts into several tables, as one message to the database.

use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, Statement};

use super::insert::{BulkInsert, written_rows};
use crate::store::db_error::left_out;

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
        let (text, values) = for_sqlite(inserts);
        let statement = Statement::from_sql_and_values(backend, text, values);
        return Ok(db.execute_raw(statement).await?.rows_affected());
    }
    let Written { with, count, values } = for_postgres(inserts)?;
    let statement =
        Statement::from_sql_and_values(backend, format!("{with} SELECT {count}"), values);
    let row = db.query_one_raw(statement).await?;
    let count: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
    Ok(count.unsigned_abs())
}

/// Runs inserts none of whose rows exists.
///
/// # Errors
/// One that [tells of a duplicate](super::super::db_error::is_duplicate) when a row exists.
pub(in crate::store) async fn insert_all(
    db: &impl ConnectionTrait,
    inserts: Vec<BulkInsert>,
) -> Result<(), DbErr> {
    let expected = rows(&inserts);
    if run_all(db, inserts).await? < expected { Err(left_out()) } else { Ok(()) }
}

/// How many rows inserts have.
pub(in crate::store) fn rows(inserts: &[BulkInsert]) -> u64 {
    inserts.iter().map(|insert| insert.rows() as u64).sum()
}

/// The statements for SQLite that run inserts in their order, for one call, and their values.
pub(in crate::store) fn for_sqlite(inserts: Vec<BulkInsert>) -> (String, Vec<Value>) {
    let (texts, values): (Vec<_>, Vec<_>) = inserts.into_iter().map(BulkInsert::for_sqlite).unzip();
    (texts.join("; "), values.into_iter().flatten().collect())
}

/// The beginning of a statement for PostgreSQL that runs inserts in their order.
pub(in crate::store) struct Written {
    /// The WITH clause.
    pub(in crate::store) with: String,
    /// The expression of how many rows were written. The inserts are run in the order in which it counts.
    pub(in crate::store) count: String,
    pub(in crate::store) values: Vec<Value>,
}

/// The inserts for PostgreSQL, as the beginning of one statement.
///
/// # Errors
/// If a value has a type that no table has.
pub(in crate::store) fn for_postgres(inserts: Vec<BulkInsert>) -> Result<Written, DbErr> {
    let is_conditional = inserts.iter().any(BulkInsert::is_conditional);
    let condition = if is_conditional { "WHERE NOT EXISTS (SELECT 1 FROM existing) " } else { "" };
    let linked: Vec<_> = inserts.iter().filter_map(BulkInsert::linked_table).collect();
    let (mut parts, mut found) = (Vec::new(), Vec::new());
    let (mut values, mut written) = (Vec::new(), Vec::new());
    for insert in inserts {
        let table = insert.table_name();
        let returned = if linked.contains(&table) { "*" } else { "1" };
        let part = insert.for_postgres(values.len(), &written, condition)?;
        parts.push(format!("{} AS ({} RETURNING {returned})", written_rows(table), part.text));
        found.extend(part.existing);
        values.extend(part.values);
        written.push(table);
    }
    if is_conditional {
        parts
            .insert(0, format!("existing AS MATERIALIZED ({} LIMIT 1)", found.join(" UNION ALL ")));
    }
    let count = |table: &&str| format!("(SELECT count(*) FROM {})", written_rows(table));
    let count = written.iter().map(count).collect::<Vec<_>>().join(" + ");
    Ok(Written { with: format!("WITH {}", parts.join(", ")), count, values })
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
        let written = |rows| {
            let all = for_postgres(inserts(rows));
            all.expect("types that tables have")
        };
        let Written { with, count, values } = written(2);
        assert_eq!(
            with,
            "WITH contacts_written AS (INSERT INTO contacts AS c (id, number) \
             SELECT (SELECT id FROM ids WHERE old = v.id), v.number \
             FROM (SELECT unnest($1) AS id, unnest($2) AS number) AS v ON CONFLICT (number) DO NOTHING \
             RETURNING *), messages_written AS (INSERT INTO messages (id, contact, arrival) \
             SELECT v.id, linked.key, linked.arrived - v.arrival \
             FROM (SELECT unnest($3) AS id, unnest($4) AS contact, unnest($5) AS arrival) AS v \
             LEFT JOIN contacts_written AS linked ON linked.number = v.contact  RETURNING 1)"
        );
        let counts =
            "(SELECT count(*) FROM contacts_written) + (SELECT count(*) FROM messages_written)";
        assert_eq!(count, counts);
        assert_eq!(values.len(), 5);
        assert_eq!(written(100).with, with, "any number of rows is one statement");
    }

    #[test]
    fn on_postgresql_a_row_that_exists_can_stop_all() {
        let messages =
            inserts(1).pop().expect("the second").existing(Some("messages WHERE id = v.id"));
        let written = for_postgres(vec![messages]);
        assert_eq!(
            written.expect("types that tables have").with,
            "WITH existing AS MATERIALIZED (SELECT 1 FROM \
             (SELECT unnest($1) AS id, unnest($2) AS contact, unnest($3) AS arrival) AS v \
             WHERE (SELECT 1 FROM messages WHERE id = v.id LIMIT 1) = 1 LIMIT 1), \
             messages_written AS (INSERT INTO messages (id, contact, arrival) \
             SELECT v.id, linked.key, linked.arrived - v.arrival \
             FROM (SELECT unnest($1) AS id, unnest($2) AS contact, unnest($3) AS arrival) AS v \
             LEFT JOIN contacts AS linked ON linked.number = v.contact \
             WHERE NOT EXISTS (SELECT 1 FROM existing)  RETURNING 1)"
        );
    }

    #[test]
    fn a_column_without_values_is_left_out_unless_something_needs_it() {
        let rows = || [[Value::from("b"), Value::String(None), Value::String(None)]];
        let messages = || BulkInsert::new("messages", &MESSAGES, rows());
        let (text, values) = for_sqlite(vec![messages()]);
        assert_eq!(
            text,
            "INSERT OR FAIL INTO messages (id) SELECT v.column1 FROM (VALUES (?)) AS v \
             WHERE v.column1 IS NOT NULL "
        );
        assert_eq!(values, [Value::from("b")]);
        let prevented = messages().existing(Some("messages WHERE arrival = v.arrival"));
        let written = for_postgres(vec![prevented]).expect("types that tables have");
        assert!(
            written.with.contains("(SELECT unnest($1) AS id, unnest($2) AS arrival) AS v"),
            "{}",
            written.with
        );
        assert_eq!(written.values.len(), 2);
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
             WHERE v.column1 IS NOT NULL "
        );
    }
}
