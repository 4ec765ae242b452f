//! The feed: one ordered list of what changed.
//!
//! Positions are given at the end of each writing transaction, under a lock that is held until its
//! commit, so entries become visible in their order: a reader that has seen one has seen all before it.
//! SQLite's write lock is that lock; on PostgreSQL it is an advisory lock, and a sequence numbers the
//! entries. A rolled-back transaction leaves a gap, which no later entry fills.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

use crate::columns::{clustered, uuid};

/// Creates the feed with its first entry, which readers never see: the newest entry is always kept, so
/// that there is one to count from.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Feed {
    Table,
    Position,
    At,
    Nonce,
    Kind,
    StatusRank,
    MessageId,
    Replaces,
    ConversationId,
    Contact,
}

#[derive(DeriveIden)]
enum MergedMessages {
    Table,
    Id,
    SurvivorId,
}

#[derive(DeriveIden)]
enum Messages {
    Table,
    InReplyTo,
    AutoresponseType,
    ConversationKey,
    CreatedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        manager.create_table(feed(backend)).await?;
        manager.create_table(merged_messages(backend)).await?;
        let in_reply_to = uuid(Messages::InReplyTo, backend);
        // The word that Telnyx recognised in an inbound message and answered by itself, such as STOP.
        let autoresponse = ColumnDef::new(Messages::AutoresponseType).text().to_owned();
        for column in [in_reply_to, autoresponse] {
            let mut add = Table::alter();
            manager.alter_table(add.table(Messages::Table).add_column(column).to_owned()).await?;
        }
        // The automatic answers in a conversation, to count those of the last hour.
        let mut answers = Index::create();
        answers
            .name("idx_messages_answers")
            .table(Messages::Table)
            .col(Messages::ConversationKey)
            .col(Messages::CreatedAt)
            .and_where(Expr::col(Messages::InReplyTo).is_not_null());
        manager.create_index(answers).await?;
        for statement in first_entry(backend) {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name("idx_messages_answers").to_owned()).await?;
        for column in [Messages::InReplyTo, Messages::AutoresponseType] {
            let mut remove = Table::alter();
            remove.table(Messages::Table).drop_column(column);
            manager.alter_table(remove).await?;
        }
        manager.drop_table(Table::drop().table(MergedMessages::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(Feed::Table).to_owned()).await?;
        if manager.get_database_backend() == DatabaseBackend::Postgres {
            manager.get_connection().execute_unprepared("DROP SEQUENCE feed_positions").await?;
        }
        Ok(())
    }
}

/// Its columns of eight bytes come first: PostgreSQL would pad the others.
fn feed(backend: DatabaseBackend) -> TableCreateStatement {
    let mut position = ColumnDef::new(Feed::Position);
    match backend {
        // The alias of SQLite's own row id.
        DatabaseBackend::Sqlite => position.integer(),
        _ => position.big_integer(),
    };
    Table::create()
        .table(Feed::Table)
        .col(position.not_null().primary_key())
        // When it was stored, in microseconds; never before the entry that precedes it.
        .col(ColumnDef::new(Feed::At).big_integer().not_null())
        // Random, to tell the entries of a restored database from those that were lost.
        .col(ColumnDef::new(Feed::Nonce).integer().not_null())
        // 0 nothing, 1 message, 2 status, 3 opt-out given, 4 opt-out lifted, 5 conversation removed.
        .col(ColumnDef::new(Feed::Kind).small_integer().not_null())
        // The status that the message got.
        .col(ColumnDef::new(Feed::StatusRank).small_integer())
        .col(uuid(Feed::MessageId, backend))
        // Another message that turned out to be this one.
        .col(uuid(Feed::Replaces, backend))
        // Of a conversation that was removed.
        .col(uuid(Feed::ConversationId, backend))
        // Of an opt-out: there may be none but this of the contact.
        .col(ColumnDef::new(Feed::Contact).text())
        .to_owned()
}

/// Messages whose rows were merged into another: earlier entries of the feed are about that one.
fn merged_messages(backend: DatabaseBackend) -> TableCreateStatement {
    let mut table = Table::create();
    table
        .table(MergedMessages::Table)
        .col(uuid(MergedMessages::Id, backend).not_null().primary_key())
        .col(uuid(MergedMessages::SurvivorId, backend).not_null());
    clustered(&mut table, backend)
}

fn first_entry(backend: DatabaseBackend) -> &'static [&'static str] {
    match backend {
        DatabaseBackend::Sqlite => &["INSERT INTO feed (position, at, nonce, kind) \
               VALUES (1, 0, random() & 2147483647, 0)"],
        _ => &[
            "CREATE SEQUENCE feed_positions",
            "INSERT INTO feed (position, at, nonce, kind) \
             VALUES (nextval('feed_positions'), 0, floor(random() * 2147483647)::integer, 0)",
        ],
    }
}
