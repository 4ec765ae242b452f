//! Letting go: the marks of contacts that were forgotten, indices for finding what is too old, and entries of
//! the feed for conversations that were removed.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

use crate::columns::clustered;

/// Creates the table of marks, and indices on idempotency keys.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
#[expect(clippy::enum_variant_names, reason = "they are the names of columns")]
enum Forgotten {
    Table,
    Mark,
    ForgottenAt,
    OptedOutAt,
    DecidedAt,
}

#[derive(DeriveIden)]
enum IdempotencyKeys {
    Table,
    CreatedAt,
    MessageId,
}

/// As the function of the same name with one argument less, for transactions that remove conversations.
const CREATE: &str = "\
CREATE FUNCTION append_to_feed(stored_at bigint, nonces int4[], kinds int2[], status_ranks int2[], \
message_ids uuid[], replaced_ids uuid[], contacts text[], conversation_ids uuid[]) \
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1717921124);
  INSERT INTO feed
    (position, at, nonce, kind, status_rank, message_id, replaces, contact, conversation_id)
  SELECT nextval('feed_positions'),
    greatest(stored_at, (SELECT f.at FROM feed AS f ORDER BY f.position DESC LIMIT 1)), v.*
  FROM unnest(nonces, kinds, status_ranks, message_ids, replaced_ids, contacts, conversation_ids) AS v;
END
$$";

const DROP: &str =
    "DROP FUNCTION append_to_feed(bigint, int4[], int2[], int2[], uuid[], uuid[], text[], uuid[])";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = Table::create();
        table
            .table(Forgotten::Table)
            // A keyed hash of the contact's number, 32 bytes. The key is in `meta`.
            .col(ColumnDef::new(Forgotten::Mark).blob().not_null().primary_key())
            // What is older than this is not stored again.
            .col(ColumnDef::new(Forgotten::ForgottenAt).big_integer().not_null())
            // When the contact opted out, and by Telnyx's clock; NULL if it has not.
            .col(ColumnDef::new(Forgotten::OptedOutAt).big_integer())
            .col(ColumnDef::new(Forgotten::DecidedAt).big_integer());
        manager.create_table(clustered(&mut table, manager.get_database_backend())).await?;
        // The keys that are too old, and those of messages that go.
        for (name, column) in [
            ("idx_idempotency_keys_age", IdempotencyKeys::CreatedAt),
            ("idx_idempotency_keys_message", IdempotencyKeys::MessageId),
        ] {
            let mut index = Index::create();
            index.name(name).table(IdempotencyKeys::Table).col(column);
            manager.create_index(index).await?;
        }
        on_postgres(manager, CREATE).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, DROP).await?;
        for name in ["idx_idempotency_keys_age", "idx_idempotency_keys_message"] {
            manager.drop_index(Index::drop().name(name).to_owned()).await?;
        }
        manager.drop_table(Table::drop().table(Forgotten::Table).to_owned()).await
    }
}

async fn on_postgres(manager: &SchemaManager<'_>, sql: &str) -> Result<(), DbErr> {
    if manager.get_database_backend() == DatabaseBackend::Postgres {
        manager.get_connection().execute_unprepared(sql).await?;
    }
    Ok(())
}
