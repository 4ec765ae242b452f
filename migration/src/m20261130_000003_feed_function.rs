//! The function that gives the feed's entries their positions on PostgreSQL.
//!
//! PostgreSQL plans a statement of the simple protocol each time, which takes it longer than inserting a
//! batch of entries; the plans of a function are kept by the session. Each statement of a volatile function
//! sees what was committed before it began, so the second sees what the last holder of the lock has written.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

/// Creates the function `append_to_feed`.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// The number of the advisory lock will do as well as any if every release uses the same; this one spells
/// "feed". An array that is NULL counts as one of NULLs.
const CREATE: &str = "\
CREATE FUNCTION append_to_feed(stored_at bigint, nonces int4[], kinds int2[], status_ranks int2[], \
message_ids uuid[], replaced_ids uuid[], contacts text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1717921124);
  INSERT INTO feed (position, at, nonce, kind, status_rank, message_id, replaces, contact)
  SELECT nextval('feed_positions'),
    greatest(stored_at, (SELECT f.at FROM feed AS f ORDER BY f.position DESC LIMIT 1)), v.*
  FROM unnest(nonces, kinds, status_ranks, message_ids, replaced_ids, contacts) AS v;
END
$$";

const DROP: &str =
    "DROP FUNCTION append_to_feed(bigint, int4[], int2[], int2[], uuid[], uuid[], text[])";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, CREATE).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, DROP).await
    }
}

async fn on_postgres(manager: &SchemaManager<'_>, sql: &str) -> Result<(), DbErr> {
    if manager.get_database_backend() == DatabaseBackend::Postgres {
        manager.get_connection().execute_unprepared(sql).await?;
    }
    Ok(())
}
