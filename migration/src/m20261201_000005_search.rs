//! The search index: which words each message has, and how far it has come.
//!
//! On SQLite, an FTS5 table without contents and positions. Its row ids begin with the second in which the
//! message is dated, so that it can be read from new to old; `search_rows` tells which message a row id
//! stands for. On PostgreSQL, a table of vectors by date, with a GIN index.
//!
//! The words are made by the program, and the index by whoever needs it: nothing is copied or converted
//! here, and the place says that it has to begin.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

use crate::columns::uuid;

/// Creates the tables of the search index, and an index for messages by status.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum SearchPlace {
    Table,
    Id,
    Version,
    Nonce,
    Position,
    FillBefore,
}

#[derive(DeriveIden)]
enum Messages {
    Table,
    Id,
    StatusRank,
    CreatedAt,
}

const SQLITE: [&str; 2] = [
    "CREATE VIRTUAL TABLE search_words USING fts5(\
     words, content='', contentless_delete=1, detail=none, tokenize='ascii')",
    "CREATE TABLE search_rows (key integer NOT NULL PRIMARY KEY, message_id blob NOT NULL)",
];

/// Without the list of pending entries, which every search would have to read, and which one insert among
/// many would have to empty.
const POSTGRES: [&str; 2] = [
    "CREATE TABLE search_rows (created_at bigint NOT NULL, message_id uuid NOT NULL, \
     part smallint NOT NULL, words tsvector NOT NULL, \
     PRIMARY KEY (created_at, message_id, part))",
    "CREATE INDEX idx_search_words ON search_rows USING gin (words) WITH (fastupdate = off)",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        manager.create_table(search_place(backend)).await?;
        let statements = match backend {
            DatabaseBackend::Sqlite => SQLITE,
            _ => POSTGRES,
        };
        let begin = "INSERT INTO search_place (id, version) VALUES (1, 0)";
        for statement in statements.into_iter().chain([begin]) {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        // The messages that are under way or were not delivered, newest first: a list of all messages
        // with a status. The inserts and reports of inbound messages do not touch it.
        let mut by_status = Index::create();
        by_status
            .name("idx_messages_status_time")
            .table(Messages::Table)
            .col(Messages::StatusRank)
            .col(Messages::CreatedAt)
            .col(Messages::Id)
            .and_where(Expr::col(Messages::StatusRank).lt(110));
        manager.create_index(by_status).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name("idx_messages_status_time").to_owned()).await?;
        let db = manager.get_connection();
        db.execute_unprepared("DROP TABLE search_rows").await?;
        if manager.get_database_backend() == DatabaseBackend::Sqlite {
            db.execute_unprepared("DROP TABLE search_words").await?;
        }
        manager.drop_table(Table::drop().table(SearchPlace::Table).to_owned()).await
    }
}

/// How far the index has come: one row.
fn search_place(backend: DatabaseBackend) -> TableCreateStatement {
    Table::create()
        .table(SearchPlace::Table)
        .col(ColumnDef::new(SearchPlace::Id).small_integer().not_null().primary_key())
        // Of the rules by which words are made; 0 if it has not begun.
        .col(ColumnDef::new(SearchPlace::Version).integer().not_null())
        // The entry of the feed up to which all messages are in it.
        .col(ColumnDef::new(SearchPlace::Nonce).integer())
        .col(ColumnDef::new(SearchPlace::Position).big_integer())
        // Of the messages that are older than the feed, those with this id and higher ones are in it.
        // NULL once all are.
        .col(uuid(SearchPlace::FillBefore, backend))
        .to_owned()
}
