//! Waking those who wait for the feed to grow.
//!
//! A commit of this process wakes them at once. For those of other processes one task watches on behalf of
//! all, as long as anybody waits: on SQLite it asks a connection of its own whether the file has changed;
//! PostgreSQL notifies a session that listens, and behind a pooler, where sessions cannot listen, the
//! newest position is polled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sea_orm::sqlx::postgres::PgListener;
use sea_orm::{
    ConnectionTrait, DbErr, EntityTrait, QueryOrder, QuerySelect, RuntimeErr, Statement,
};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use crate::store::Location;
use crate::store::entity::feed;
use crate::store::pool::{Pool, Role};
use crate::store::reader::Reader;

/// The channel on which servers notify each other.
const CHANNEL: &str = "convo_feed";
/// How often to ask SQLite whether another connection has changed the file: it looks at shared memory.
const SQLITE_POLL: Duration = Duration::from_millis(50);
/// How often to poll where nobody notifies.
const POLL: Duration = Duration::from_millis(150);
/// How often to look in case a notification was lost.
const FALLBACK_POLL: Duration = Duration::from_secs(1);
/// The least time between two notifications. Those who are notified read everything that is new.
const NOTIFY_PAUSE: Duration = Duration::from_millis(20);
/// The pause before watching is tried again after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Wakes those who wait for new entries. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct FeedSignal(Arc<SignalState>);

#[derive(Debug)]
struct SignalState {
    /// How often there may have been new entries.
    growth: watch::Sender<u64>,
    /// There are commits that other servers were not notified of.
    unannounced: Arc<Notify>,
    is_watching: AtomicBool,
}

impl SignalState {
    fn grew(&self) {
        self.growth.send_modify(|count| *count += 1);
    }
}

impl Drop for SignalState {
    /// Ends the task that notifies others.
    fn drop(&mut self) {
        self.unannounced.notify_one();
    }
}

/// A waiter for new entries.
#[derive(Debug)]
pub(crate) struct FeedGrowth(watch::Receiver<u64>);

impl FeedGrowth {
    /// Returns when there may be entries that were not there when this was last called, or when it was
    /// made. The number is that of the last growth; what is read from now on has all of it. Cancel safe.
    pub(crate) async fn grown(&mut self) -> u64 {
        if self.0.changed().await.is_err() {
            // The database was closed: there will be none.
            std::future::pending::<()>().await;
        }
        *self.0.borrow_and_update()
    }
}

impl FeedSignal {
    pub(in crate::store) fn new() -> Self {
        let (growth, _) = watch::channel(0);
        let (unannounced, is_watching) = (Arc::default(), AtomicBool::new(false));
        Self(Arc::new(SignalState { growth, unannounced, is_watching }))
    }

    /// Tells that entries were committed.
    pub(in crate::store) fn grew(&self) {
        self.0.grew();
        self.0.unannounced.notify_one();
    }

    /// A waiter from now on, for whom commits of other processes are watched.
    pub(in crate::store) fn subscribe(&self, reader: &Reader) -> FeedGrowth {
        let growth = FeedGrowth(self.0.growth.subscribe());
        if !self.0.is_watching.swap(true, Ordering::AcqRel) {
            tokio::spawn(watch(Arc::clone(&self.0), reader.clone()));
        }
        growth
    }

    /// Notifies other servers of this process's commits, as long as this signal exists.
    pub(in crate::store) fn announce(&self, reader: &Reader) {
        let (shared, reader) = (Arc::downgrade(&self.0), reader.clone());
        let unannounced = Arc::clone(&self.0.unannounced);
        tokio::spawn(async move {
            loop {
                unannounced.notified().await;
                if shared.strong_count() == 0 {
                    break;
                }
                // Whoever is not notified looks by itself a little later.
                if let Err(error) = notify(&reader).await {
                    tracing::debug!(%error, "other servers were not notified");
                }
                sleep(NOTIFY_PAUSE).await;
            }
        });
    }
}

/// A notification is a commit of its own, which need not be flushed to the disk: nobody waits for it after
/// a crash. Both statements are one message, and with it one transaction.
async fn notify(reader: &Reader) -> Result<(), DbErr> {
    let sql = format!("SET LOCAL synchronous_commit = off; NOTIFY {CHANNEL}");
    reader.execute_unprepared(&sql).await.map(drop)
}

/// Watches the commits of other processes for as long as anybody waits.
async fn watch(shared: Arc<SignalState>, reader: Reader) {
    loop {
        while shared.growth.receiver_count() > 0 {
            let location = reader.location();
            let watched = match location {
                Location::Sqlite { .. } => watch_sqlite(&shared, location).await,
                Location::Postgres { url } => watch_postgres(&shared, url, &reader).await,
            };
            if let Err(error) = watched {
                tracing::debug!(%error, "commits of other processes cannot be watched");
                sleep(RETRY_PAUSE).await;
                shared.grew();
            }
        }
        shared.is_watching.store(false, Ordering::Release);
        // Somebody may have come in between and found this one still watching.
        let is_needed = shared.growth.receiver_count() > 0;
        if !is_needed || shared.is_watching.swap(true, Ordering::AcqRel) {
            return;
        }
    }
}

async fn watch_sqlite(shared: &SignalState, location: &Location) -> Result<(), DbErr> {
    let pool = Pool::connect(location, Role::Reader).await?;
    let watched = async {
        let mut seen = None;
        while shared.growth.receiver_count() > 0 {
            let version = data_version(&pool).await?;
            if seen.replace(version) != Some(version) {
                shared.grew();
            }
            sleep(SQLITE_POLL).await;
        }
        Ok(())
    };
    let watched = watched.await;
    let _ = pool.db.close().await;
    watched
}

/// A number that changes when another connection commits.
async fn data_version(pool: &Pool) -> Result<i64, DbErr> {
    let query = Statement::from_string(pool.db.get_database_backend(), "PRAGMA data_version");
    let row = pool.db.query_one_raw(query).await?;
    row.map_or(Ok(0), |row| row.try_get_by_index(0))
}

async fn watch_postgres(shared: &SignalState, url: &str, reader: &Reader) -> Result<(), DbErr> {
    let is_pooled = reader.pool()?.is_transaction_pooled();
    let listener = if is_pooled { None } else { listen(url).await };
    let pause = if listener.is_some() { FALLBACK_POLL } else { POLL };
    let mut listener = listener;
    let mut seen = None;
    while shared.growth.receiver_count() > 0 {
        let newest = newest(reader).await?;
        if seen.replace(newest) != Some(newest) {
            shared.grew();
        }
        match &mut listener {
            None => sleep(pause).await,
            Some(listener) => match timeout(pause, listener.recv()).await {
                Ok(Ok(_)) => shared.grew(),
                Ok(Err(error)) => return Err(DbErr::Conn(RuntimeErr::SqlxError(error.into()))),
                Err(_) => {}
            },
        }
    }
    Ok(())
}

/// `None` if the session cannot listen.
async fn listen(url: &str) -> Option<PgListener> {
    let mut listener = PgListener::connect(url).await.ok()?;
    listener.listen(CHANNEL).await.ok()?;
    Some(listener)
}

async fn newest(reader: &Reader) -> Result<Option<i64>, DbErr> {
    let query = feed::Entity::find().select_only().column(feed::Column::Position);
    query.order_by_desc(feed::Column::Position).limit(1).into_tuple().one(reader).await
}
