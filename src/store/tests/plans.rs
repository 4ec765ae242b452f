//! The statements of the hot paths and of the lists read along indices, on both databases: none reads a
//! whole table, or sorts one.

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, DbErr,
    Statement,
};

use super::activity::{self, OWN};
use super::{new_postgres_database, recorder};
use crate::domain::Direction;
use crate::store::job::Settlement;
use crate::store::model::Change;
use crate::store::transaction::WriteTransaction;
use crate::store::{Location, Mode, Purpose, Store};

/// Rows in each table: enough for PostgreSQL to prefer an index.
const ROWS: u32 = 20_000;

/// Fills every table. Row `n` has the id `n`, and every seventh message is ours.
async fn fill(db: &DatabaseConnection) {
    let is_sqlite = db.get_database_backend() == DatabaseBackend::Sqlite;
    let (uuid, bytes) = match is_sqlite {
        true => ("unhex(printf('%032x', i))", "unhex(printf('%032x', i))"),
        false => ("lpad(to_hex(i), 32, '0')::uuid", "decode(lpad(to_hex(i), 32, '0'), 'hex')"),
    };
    let contact = "'+1' || (2000000000 + i)";
    let way = "CASE WHEN i % 7 = 0 THEN 1 ELSE 0 END";
    let rank = "CASE WHEN i % 7 = 0 THEN 110 ELSE 130 END";
    for (table, columns, values) in [
        (
            "conversations",
            "id, contact_number, message_count, last_message_at, created_at, last_route, arrived, \
             unread_count",
            format!("{uuid}, {contact}, 1, i, i, 'in:{OWN}', 3, i % 3"),
        ),
        (
            "contact_names",
            "contact_number, name, folded_name, named_at",
            format!("{contact}, 'Ada ' || i, 'ada ' || i, i"),
        ),
        ("opt_outs", "contact_number, decided_at", format!("{contact}, i")),
        (
            "messages",
            "id, conversation_key, telnyx_message_id, direction, from_number, to_number, body, \
             status_rank, created_at",
            format!("{uuid}, i, {bytes}, {way}, {contact}, '{OWN}', 'Hi', {rank}, i"),
        ),
        (
            "delivery_reports",
            "telnyx_message_id, event_id, recipient, status, occurred_at",
            format!("{bytes}, {bytes}, {contact}, 'sent', i"),
        ),
        (
            "events",
            "occurred_at, id, event_type, received_at, dictionary, body",
            format!("i, {bytes}, 'test', i, 0, {bytes}"),
        ),
        (
            "idempotency_keys",
            "key, request_hash, message_id, created_at",
            format!("'filled-' || i, {bytes}, {uuid}, i"),
        ),
        ("feed", "position, at, nonce, kind, message_ids", format!("i - {ROWS}, i, i, 1, {bytes}")),
    ] {
        let sql = format!(
            "INSERT INTO {table} ({columns}) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL \
             SELECT i + 1 FROM n WHERE i < {ROWS}) SELECT {values} FROM n"
        );
        db.execute_unprepared(&sql).await.expect(table);
    }
    if !is_sqlite {
        db.execute_unprepared("ANALYZE").await.expect("analyzed");
    }
}

/// The steps of the plan for a statement.
async fn plan(db: &DatabaseConnection, statement: &Statement) -> Vec<String> {
    let is_sqlite = db.get_database_backend() == DatabaseBackend::Sqlite;
    let (explain, place) = if is_sqlite { ("EXPLAIN QUERY PLAN", 3) } else { ("EXPLAIN", 0) };
    let mut plan = Vec::new();
    // SQLite runs several statements in one call, and explains one.
    let mut values = statement.values.clone().map_or(Vec::new(), |values| values.0);
    for sql in statement.sql.split("; ") {
        let count = if is_sqlite { sql.matches('?').count() } else { values.len() };
        let bound: Vec<_> = values.drain(..count).collect();
        let explained =
            Statement::from_sql_and_values(statement.db_backend, format!("{explain} {sql}"), bound);
        let rows = db.query_all_raw(explained).await.expect(sql);
        plan.extend(rows.iter().map(|row| row.try_get_by_index::<String>(place).expect("a step")));
    }
    plan
}

/// A plan without the step that reads the first or last entries of the feed in the order of its primary key:
/// SQLite calls it a scan although it ends at the limit.
fn without_end_of_feed(sql: &str, mut plan: Vec<String>) -> Vec<String> {
    let is_limited = sql.contains("ORDER BY") && sql.contains("LIMIT");
    if is_limited && !plan.iter().any(|step| step.contains("TEMP B-TREE")) {
        plan.retain(|step| step != "SCAN feed");
    }
    plan
}

/// What is wrong with a plan, if anything is.
fn fault(plan: &[String], is_sqlite: bool) -> Option<String> {
    let tables = [
        "conversations",
        "messages",
        "delivery_reports",
        "events",
        "idempotency_keys",
        "opt_outs",
        "feed",
        "merged_messages",
    ];
    let aliases = ["c", "newest"];
    let is_table = |name: &str| tables.contains(&name) || aliases.contains(&name);
    let scanned = |step: &str| match is_sqlite {
        true => {
            let rest = step.strip_prefix("SCAN ")?;
            let name = rest.split(' ').next()?;
            (is_table(name) && !rest.contains("USING")).then(|| name.to_owned())
        }
        false => {
            let (_, rest) = step.split_once("Seq Scan on ")?;
            let name = rest.split(' ').next()?;
            is_table(name).then(|| name.to_owned())
        }
    };
    let sorted = |step: &str| match is_sqlite {
        // What a search finds is little.
        true => {
            let is_walk = |other: &String| {
                let name = other.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
                name.is_some_and(is_table)
            };
            step.contains("TEMP B-TREE FOR ORDER BY") && plan.iter().any(is_walk)
        }
        false => {
            let rows = step.split_once("rows=").and_then(|(_, rest)| rest.split(' ').next());
            let is_large = rows.and_then(|rows| rows.parse().ok()) > Some(ROWS / 2);
            step.trim_start_matches([' ', '-', '>']).starts_with("Sort") && is_large
        }
    };
    let found = plan.iter().find_map(|step| scanned(step));
    let found = found.map(|table| format!("reads all of {table}"));
    found.or_else(|| plan.iter().any(|step| sorted(step)).then(|| "sorts a table".to_owned()))
}

async fn check(location: &Location, url: &str) {
    recorder::start(location);
    let store = Store::open(location, Mode::Real, Purpose::Serve).await.expect("a store");
    let mut options = ConnectOptions::new(url);
    options.max_connections(1);
    let db = Database::connect(options).await.expect("a connection");
    fill(&db).await;
    let is_own = |statement: &Statement| statement.values.is_some();
    let before = recorder::statements(location).len();
    activity::all(&store).await;
    store.close().await;
    let recorded = recorder::statements(location);
    assert!(recorded.len() > before + 60, "{} statements", recorded.len() - before);
    let is_sqlite = db.get_database_backend() == DatabaseBackend::Sqlite;
    if !is_sqlite {
        // For many rows of a small table, reading all of it is indeed the fastest.
        db.execute_unprepared("SET enable_seqscan = off").await.expect("set");
    }
    let mut faults = Vec::new();
    for statement in recorded.iter().filter(|statement| is_own(statement)) {
        let plan = without_end_of_feed(&statement.sql, plan(&db, statement).await);
        if let Some(fault) = fault(&plan, is_sqlite) {
            let sql: String = statement.sql.chars().take(2_000).collect();
            faults.push(format!("{fault}: {sql}\n{}", plan.join("\n")));
        }
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n\n"));
    db.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_use_indices_on_sqlite() {
    let dir = tempfile::tempdir().expect("a directory");
    let location = Location::parse("sqlite:plans.db", dir.path()).expect("a location");
    let url = format!("sqlite://{}", dir.path().join("plans.db").display());
    check(&location, &url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_use_indices_on_postgresql() {
    let url = new_postgres_database().await;
    let location = Location::parse(&url, ".".as_ref()).expect("a location");
    check(&location, &url).await;
}

/// How often PostgreSQL has run the statement of webhooks with a plan that it had, and with one made for it.
#[derive(Debug)]
struct CountPlans;

impl Settlement for CountPlans {
    type Output = (i64, i64);

    async fn write(&self, db: &WriteTransaction) -> Result<(i64, i64), DbErr> {
        let sql = "SELECT CAST(sum(generic_plans) AS bigint), CAST(sum(custom_plans) AS bigint) \
                   FROM pg_prepared_statements WHERE statement LIKE '%events_written%'";
        let row = db.query_one_raw(Statement::from_string(DatabaseBackend::Postgres, sql)).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound(sql.to_owned()))?;
        Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))
    }
}

/// Planning takes PostgreSQL longer than storing a webhook.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_stored_without_planning_on_postgresql() {
    let url = new_postgres_database().await;
    let location = Location::parse(&url, ".".as_ref()).expect("a location");
    let store = Store::open(&location, Mode::Real, Purpose::Serve).await.expect("a store");
    let writer = store.writer().expect("a writer");
    for n in 0..40 {
        let message = activity::message(n % 3, Direction::Inbound);
        let change = Change::Message(Box::new(message), None);
        writer.event(activity::event(change)).await.expect("stored");
    }
    let (planned_before, planned_for_it) = writer.settle(CountPlans).await.expect("counted");
    // Each statement is planned five times before PostgreSQL decides. The first webhook of a contact is
    // another one.
    assert!(planned_for_it <= 15, "{planned_for_it}");
    assert!(planned_before >= 25, "{planned_before}");
    store.close().await;
}
