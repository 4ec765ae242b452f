//! How far the search index has come.

use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, QueryOrder, Statement};
use uuid::Uuid;

use crate::domain::FeedCursor;
use crate::error::Error;
use crate::store::Store;
use crate::store::db_error::OrTell;
use crate::store::entity::{feed, search_place};
use crate::store::job::Settlement;
use crate::store::transaction::WriteTransaction;
use crate::store::writer::Writer;

/// Of the rules by which words and row ids are made. Where they change, the index is built anew.
const VERSION: i32 = 2;

/// How far the search index has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexPlace {
    /// All messages up to this entry of the feed are in it, but for those below.
    pub(super) feed: FeedCursor,
    /// Of the messages that are older than the feed, those with this id and higher ones are in it. `None`
    /// once all are.
    pub(crate) fill_before: Option<Uuid>,
}

impl IndexPlace {
    /// Whether the index has all messages up to an entry of the feed.
    pub(crate) fn has_all_until(self, head: FeedCursor) -> bool {
        self.fill_before.is_none() && self.feed.position >= head.position
    }

    fn read(row: &search_place::Model) -> Option<Self> {
        let (position, nonce) = (row.position?, row.nonce?.cast_unsigned());
        let feed = FeedCursor { position, nonce };
        (row.version == VERSION).then_some(Self { feed, fill_before: row.fill_before })
    }

    /// Moves the place within a transaction, unless another process has moved it. Returns whether it was
    /// moved; if not, the transaction must not add to the index.
    pub(super) async fn advance(self, to: Self, db: &WriteTransaction) -> Result<bool, DbErr> {
        let sql = "UPDATE search_place SET position = $1, nonce = $2, fill_before = $3 \
                   WHERE id = 1 AND version = $4 AND position = $5 AND nonce = $6 \
                   AND fill_before IS NOT DISTINCT FROM $7";
        let values: [Value; 7] = [
            to.feed.position.into(),
            to.feed.nonce.cast_signed().into(),
            to.fill_before.into(),
            VERSION.into(),
            self.feed.position.into(),
            self.feed.nonce.cast_signed().into(),
            self.fill_before.into(),
        ];
        let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
        Ok(db.execute_raw(statement).await?.rows_affected() == 1)
    }
}

impl Store {
    /// How far the search index has come; `None` if it has to begin.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn index_place(&self) -> Result<Option<IndexPlace>, Error> {
        let row = search_place::Entity::find_by_id(1_i16).one(&self.reader).await.or_tell()?;
        Ok(row.as_ref().and_then(IndexPlace::read))
    }
}

impl Writer {
    /// Begins the index: all messages that there are now have to be added, and then what the feed brings.
    /// Those that are in it stay, unless the rules for words or row ids have changed. Does nothing if the
    /// place is no longer `seen`.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn begin_index(&self, seen: Option<IndexPlace>) -> Result<(), Error> {
        self.settle(BeginIndex { seen }).await
    }
}

#[derive(Debug)]
struct BeginIndex {
    seen: Option<IndexPlace>,
}

impl Settlement for BeginIndex {
    type Output = ();

    async fn write(&self, db: &WriteTransaction) -> Result<(), DbErr> {
        // Locks the row: of several processes, one begins.
        let lock = "UPDATE search_place SET version = version WHERE id = 1";
        db.execute_unprepared(lock).await?;
        let row = search_place::Entity::find_by_id(1_i16).one(db).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("the place of the index".to_owned()))?;
        if IndexPlace::read(&row) != self.seen {
            return Ok(());
        }
        if ![0, VERSION].contains(&row.version) {
            clear(db).await?;
        }
        let head = feed::Entity::find().order_by_desc(feed::Column::Position).one(db).await?;
        let head = head.ok_or_else(|| DbErr::RecordNotFound("an entry of the feed".to_owned()))?;
        let sql = "UPDATE search_place SET version = $1, position = $2, nonce = $3, \
                   fill_before = $4 WHERE id = 1";
        let values: [Value; 4] =
            [VERSION.into(), head.position.into(), head.nonce.into(), Uuid::max().into()];
        let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
        db.execute_raw(statement).await.map(drop)
    }
}

/// Empties the index.
async fn clear(db: &WriteTransaction) -> Result<(), DbErr> {
    let statements: &[&str] = match db.get_database_backend() {
        DatabaseBackend::Sqlite => &[
            "INSERT INTO search_words (search_words) VALUES ('delete-all')",
            "DELETE FROM search_rows",
        ],
        _ => &["TRUNCATE search_rows"],
    };
    for sql in statements {
        db.execute_unprepared(sql).await?;
    }
    Ok(())
}
