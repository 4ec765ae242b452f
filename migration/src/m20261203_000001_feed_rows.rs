//! Rows of the feed that hold several entries: those of new messages that follow one another, with their ids in
//! one column. A transaction of many new messages adds one row or a few, in place of one for each.
//!
//! The position and the random number of such a row are those of its last entry; both count up from entry to
//! entry. No released program reads the rows of before. On PostgreSQL entries are now numbered after the newest
//! one, under the lock, and not by a sequence.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

/// Changes the table `feed` and the function `append_to_feed`, for good.
#[derive(DeriveMigrationName)]
pub struct Migration;

const SQLITE: [&str; 1] = ["ALTER TABLE feed RENAME COLUMN message_id TO message_ids"];

const POSTGRES: [&str; 6] = [
    "ALTER TABLE feed ALTER COLUMN message_id TYPE bytea USING uuid_send(message_id)",
    "ALTER TABLE feed RENAME COLUMN message_id TO message_ids",
    "DROP FUNCTION append_to_feed(bigint, int4[], int2[], int2[], uuid[], uuid[], text[])",
    "DROP FUNCTION append_to_feed(bigint, int4[], int2[], int2[], uuid[], uuid[], text[], uuid[])",
    "DROP SEQUENCE feed_positions",
    // The steps count from the newest entry to the last one of each row. An array that is NULL counts as one
    // of NULLs.
    "CREATE FUNCTION append_to_feed(stored_at bigint, steps int4[], nonces int4[], kinds int2[], \
status_ranks int2[], message_ids bytea[], replaced_ids uuid[], contacts text[], \
conversation_ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1717921124);
  INSERT INTO feed
    (position, at, nonce, kind, status_rank, message_ids, replaces, contact, conversation_id)
  SELECT newest.position + v.step, greatest(stored_at, newest.at), v.nonce, v.kind, v.status_rank,
    v.ids, v.replaces, v.contact, v.conversation_id
  FROM (SELECT f.position, f.at FROM feed AS f ORDER BY f.position DESC LIMIT 1) AS newest,
    unnest(steps, nonces, kinds, status_ranks, message_ids, replaced_ids, contacts, conversation_ids)
      AS v (step, nonce, kind, status_rank, ids, replaces, contact, conversation_id);
END
$$",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let statements: &[&str] = match manager.get_database_backend() {
            DatabaseBackend::Sqlite => &SQLITE,
            _ => &POSTGRES,
        };
        for statement in statements {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}
