//! Giving the space of what was removed back to the system.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DbErr, Statement};

use crate::error::{Code, Error};
use crate::store::Location;
use crate::store::Store;
use crate::store::copy::table::TABLES;
use crate::store::db_error::OrTell;
use crate::store::open_error::cannot_open;
use crate::store::pool::{Pool, Role};

/// How long to wait for readers that use the write-ahead log.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two attempts to truncate it.
const PAUSE: Duration = Duration::from_millis(50);

impl Store {
    /// Writes the file anew without what was removed, and empties the write-ahead log; nobody else can
    /// write meanwhile. On PostgreSQL, makes the space usable for new rows. Returns the sizes of an SQLite
    /// file before and after.
    ///
    /// # Errors
    /// `database_unavailable` if there is no space for it, or the log stays in use.
    pub(crate) async fn compact(&self) -> Result<Option<(u64, u64)>, Error> {
        let location = self.reader.location();
        let size = || location.path().and_then(|path| Some(path.metadata().ok()?.len()));
        let before = size();
        let pool = Pool::connect(location, Role::Work).await;
        let pool = pool.map_err(|error| cannot_open(location, &error))?;
        let compacted = compact(location, &pool).await;
        let _ = pool.db.close().await;
        compacted?;
        Ok(before.zip(size()))
    }
}

async fn compact(location: &Location, pool: &Pool) -> Result<(), Error> {
    if location.path().is_none() {
        for table in TABLES.into_iter().chain(["search_rows"]) {
            pool.db.execute_unprepared(&format!("VACUUM (ANALYZE) {table}")).await.or_tell()?;
        }
        return Ok(());
    }
    // Words of messages that were removed are in the index until it is written anew.
    let optimize = "INSERT INTO search_words(search_words) VALUES ('optimize')";
    pool.db.execute_unprepared(optimize).await.or_tell()?;
    pool.db.execute_unprepared("VACUUM").await.or_tell()?;
    let since = Instant::now();
    while !truncate(pool).await.or_tell()? {
        if since.elapsed() > PATIENCE {
            let what = "the write-ahead log stays in use, so it could not be emptied";
            return Err(Error::new(Code::DatabaseUnavailable, what).hint(
                "run `convo prune --compact` again when nothing reads the database for long",
            ));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Empties the write-ahead log, unless somebody uses it.
async fn truncate(pool: &Pool) -> Result<bool, DbErr> {
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    let checkpoint = Statement::from_string(pool.db.get_database_backend(), checkpoint);
    let row = pool.db.query_one_raw(checkpoint).await?;
    let is_busy: i32 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
    Ok(is_busy == 0)
}
