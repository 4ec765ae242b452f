//! What a copy leaves in both databases, so that it can be taken up again after any crash, and
//! nobody writes to the one or opens the other meanwhile.
//!
//! The source is held by triggers: the database itself refuses every change, whichever program
//! and release asks for it, and its usual work costs nothing more. Only an unfinished target is
//! guarded by its mark alone.

use std::collections::HashMap;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::table::TABLES;
use crate::domain::Timestamp;
use crate::error::{Code, Error};
use crate::store::entity::meta;
use crate::store::failure::HELD_STATE;
use crate::store::schema;

/// The mark of a source.
const HELD: &str = "held";
/// The mark of a target.
const COPY: &str = "copy";
/// What the triggers say; the log of a server that still writes repeats it.
const WORDS: &str = "this database is held for a copy";

/// One copy, as each of its two databases knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The copy: both have the same.
    pub(super) id: Uuid,
    /// The other database, without a password.
    pub(super) other: String,
    /// Since when.
    pub(super) since: Timestamp,
    /// When it was finished and verified.
    pub(super) done: Option<Timestamp>,
}

/// The mark of a database that is copied, or was.
pub(super) fn held(meta: &HashMap<String, String>) -> Option<Mark> {
    read(meta, HELD)
}

/// The mark of a database that is made by a copy, or was.
pub(super) fn copy(meta: &HashMap<String, String>) -> Option<Mark> {
    read(meta, COPY)
}

fn read(meta: &HashMap<String, String>, key: &str) -> Option<Mark> {
    serde_json::from_str(meta.get(key)?).ok()
}

/// Whether nobody may write to the database, by a mark that this program may not even read.
pub(in crate::store) fn is_held(meta: &HashMap<String, String>) -> bool {
    meta.contains_key(HELD)
}

/// Refuses to write to a database that is copied, or was.
///
/// # Errors
/// `database_not_ready`, saying where it went.
pub(in crate::store) fn refuse_held(meta: &HashMap<String, String>) -> Result<(), Error> {
    let Some(mark) = held(meta) else { return Ok(()) };
    let Mark { other, since, done, .. } = mark;
    let (what, hint) = match done {
        Some(at) => (
            format!("this database was copied to {other} at {at} and takes nothing more"),
            "set DATABASE_URL to the copy; `convo copy --release` makes this one usable again",
        ),
        None => (
            format!("this database is held for a copy to {other} since {since}"),
            "wait for `convo copy`, or run it again if it broke off; --release gives it up",
        ),
    };
    Err(Error::new(Code::DatabaseNotReady, what).hint(hint))
}

/// Refuses to open a database that is not all there yet.
///
/// # Errors
/// `database_not_ready`.
pub(in crate::store) fn refuse_unfinished(meta: &HashMap<String, String>) -> Result<(), Error> {
    match copy(meta) {
        Some(Mark { done: None, other, .. }) => {
            let what = format!("this database is a copy of {other} that is not finished");
            Err(Error::new(Code::DatabaseNotReady, what)
                .hint("run the same `convo copy` again: it goes on where it stopped"))
        }
        _ => Ok(()),
    }
}

/// Marks a target.
pub(super) async fn mark_copy(db: &impl ConnectionTrait, mark: &Mark) -> Result<(), DbErr> {
    write(db, COPY, mark).await
}

/// Marks a source.
pub(super) async fn mark_held(db: &impl ConnectionTrait, mark: &Mark) -> Result<(), DbErr> {
    write(db, HELD, mark).await
}

/// Notes on a source that its copy is finished, if it is still held for that copy; whether it is.
/// One statement, so that nobody gives the hold up in between.
pub(super) async fn finish_held(db: &impl ConnectionTrait, finished: &Mark) -> Result<bool, DbErr> {
    let changed = meta::Entity::update_many()
        .col_expr(meta::Column::Value, Expr::value(text(finished)?))
        .filter(meta::Column::Key.eq(HELD))
        .filter(meta::Column::Value.contains(finished.id.to_string()))
        .exec(db)
        .await?;
    Ok(changed.rows_affected == 1)
}

fn text(mark: &Mark) -> Result<String, DbErr> {
    serde_json::to_string(mark).map_err(|error| DbErr::Custom(error.to_string()))
}

async fn write(db: &impl ConnectionTrait, key: &str, mark: &Mark) -> Result<(), DbErr> {
    schema::set(db, key, &text(mark)?).await
}

/// Lets the database refuse every change from the end of this transaction on. Waits for the
/// transactions that write at this moment.
pub(super) async fn hold(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    match db.get_database_backend() {
        DatabaseBackend::Sqlite => {
            for (table, event) in triggers() {
                db.execute_unprepared(&format!(
                    "CREATE TRIGGER IF NOT EXISTS convo_held_{table}_{event} \
                     BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, '{WORDS}'); END"
                ))
                .await?;
            }
        }
        _ => {
            let tables = TABLES.join(", ");
            db.execute_unprepared(&format!(
                "LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE; \
                 CREATE OR REPLACE FUNCTION convo_held() RETURNS trigger LANGUAGE plpgsql AS $$ \
                 BEGIN RAISE EXCEPTION '{WORDS}' \
                 USING ERRCODE = '{HELD_STATE}'; END $$"
            ))
            .await?;
            for table in TABLES {
                db.execute_unprepared(&format!(
                    "DROP TRIGGER IF EXISTS convo_held ON {table}; \
                     CREATE TRIGGER convo_held BEFORE INSERT OR UPDATE OR DELETE \
                     ON {table} FOR EACH STATEMENT EXECUTE FUNCTION convo_held()"
                ))
                .await?;
            }
        }
    }
    Ok(())
}

/// Lets the database take changes again.
pub(super) async fn release(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    match db.get_database_backend() {
        DatabaseBackend::Sqlite => {
            for (table, event) in triggers() {
                let name = format!("convo_held_{table}_{event}");
                db.execute_unprepared(&format!("DROP TRIGGER IF EXISTS {name}")).await?;
            }
        }
        _ => {
            db.execute_unprepared("DROP FUNCTION IF EXISTS convo_held() CASCADE").await?;
        }
    }
    db.execute_unprepared("DELETE FROM meta WHERE key = 'held'").await.map(drop)
}

/// Every table with every kind of change.
fn triggers() -> impl Iterator<Item = (&'static str, &'static str)> {
    let events = ["INSERT", "UPDATE", "DELETE"];
    TABLES.into_iter().flat_map(move |table| events.into_iter().map(move |event| (table, event)))
}
