//! Connecting to PostgreSQL, directly or through a pooler such as PgBouncer in transaction mode.
//!
//! A direct session gets its settings once, when it starts, and keeps its prepared statements.
//! Under transaction pooling the pooler may run each transaction in another of its sessions, where
//! neither would last: every transaction sets what it needs with `SET LOCAL`, and deallocates the
//! statements that other clients prepared under the same names.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::{self, ConnectOptions as _, Executor, Row};
use sea_orm::{ConnectOptions, Database, DbErr, RuntimeErr};

use super::{Pool, Role, STATEMENTS, set_pool_options};
use crate::store::db_error::{is_pool_exhausted, is_refused_setting};

/// A custom setting that marks a session as ours. If it is still there once the session has
/// started, so are the other settings.
const SESSION_MARK: (&str, &str) = ("convo.session", "own");
/// A role or database may have it off, but an acknowledged message must be on disk.
const DURABLE: (&str, &str) = ("synchronous_commit", "on");
/// Migrations would otherwise log a notice for everything that exists already.
const NO_NOTICES: (&str, &str) = ("client_min_messages", "warning");
/// How long the writer waits for a row lock: less than the sender of a webhook waits, so that
/// nothing is stored for a request that was told to retry.
const LOCK_TIMEOUT: (&str, &str) = ("lock_timeout", "1200ms");
/// The writer finds every row by a key. A plan made while a table is small would scan it whole, and
/// stay cached while the table grows.
const USE_INDEXES: (&str, &str) = ("enable_seqscan", "off");
/// The pages that it reads are in memory, as a rule. If each counted as much as by default, PostgreSQL would
/// plan the statement of a few webhooks anew each time, which takes it longer than running it.
const IN_MEMORY: (&str, &str) = ("random_page_cost", "0.1");
/// Whatever the database's default is: the feed is numbered after what others have written last, and a schema
/// is migrated by what others have left to do.
const SEES_COMMITTED: (&str, &str) = ("default_transaction_isolation", "read committed");
/// Every read is of one page along an index. If it takes longer, somebody has locked the table.
const STATEMENT_TIMEOUT: (&str, &str) = ("statement_timeout", "3s");
/// When PostgreSQL ends an idle transaction: the machine that began it is gone, and the rows it
/// locked must become free.
const IDLE_TIMEOUT: (&str, &str) = ("idle_in_transaction_session_timeout", "10s");

/// How long a connection may be idle before it is tested with a ping when next used.
const TEST_IF_IDLE: Duration = Duration::from_secs(10);

/// How long PostgreSQL may take to say why it accepts no connection.
const REASON_TIMEOUT: Duration = Duration::from_secs(1);

fn settings(role: Role) -> &'static [(&'static str, &'static str)] {
    match role {
        Role::Reader | Role::Readers(_) => &[DURABLE, STATEMENT_TIMEOUT],
        Role::Writer => {
            &[DURABLE, LOCK_TIMEOUT, IDLE_TIMEOUT, USE_INDEXES, IN_MEMORY, SEES_COMMITTED]
        }
        Role::Work => &[DURABLE, NO_NOTICES, SEES_COMMITTED],
    }
}

/// Connects directly first. A pooler either refuses the session settings or loses them, which the
/// missing mark reveals; then connects as through a pooler.
pub(super) async fn connect(url: &str, role: Role) -> Result<Pool, DbErr> {
    let check = Arc::new(SessionCheck::default());
    let mut options = options(url, role);
    options
        .map_sqlx_postgres_opts(move |postgres| {
            let settings = settings(role).iter().copied().chain([SESSION_MARK]);
            postgres.statement_cache_capacity(STATEMENTS).options(settings)
        })
        .map_sqlx_postgres_pool_opts({
            let check = Arc::clone(&check);
            move |pool| check_sessions(pool, Arc::clone(&check))
        });
    match Database::connect(options).await {
        Ok(db) if !check.is_pooled.load(Ordering::SeqCst) => {
            check.must_be_direct.store(true, Ordering::SeqCst);
            Ok(Pool { db, role, prologue: None, file: None })
        }
        Ok(db) => {
            let _ = db.close().await;
            connect_pooled(url, role).await
        }
        Err(error) if is_refused_setting(&error) => connect_pooled(url, role).await,
        Err(error) => Err(reason(url, error).await),
    }
}

/// Why no connection was made. The pool tries again while PostgreSQL is starting or has no free
/// connection, and in the end reports a timeout; a single attempt reports what PostgreSQL says.
async fn reason(url: &str, error: DbErr) -> DbErr {
    if !is_pool_exhausted(&error) {
        return error;
    }
    let Ok(options) = url.parse::<PgConnectOptions>() else { return error };
    match tokio::time::timeout(REASON_TIMEOUT, options.connect()).await {
        Ok(Err(told)) => DbErr::Conn(RuntimeErr::SqlxError(told.into())),
        Ok(Ok(_)) | Err(_) => error,
    }
}

/// Connects through a pooler, without anything that applies to a whole session.
async fn connect_pooled(url: &str, role: Role) -> Result<Pool, DbErr> {
    let mut options = options(url, role);
    options.map_sqlx_postgres_opts(|postgres: PgConnectOptions| {
        postgres.statement_cache_capacity(0).extra_float_digits(None)
    });
    let db = Database::connect(options).await?;
    let settings = settings(role).iter();
    let settings = settings.map(|(name, value)| format!("; SET LOCAL {name} = '{value}'"));
    let prologue = "DEALLOCATE ALL".to_owned() + &settings.collect::<String>();
    Ok(Pool { db, role, prologue: Some(prologue.into()), file: None })
}

fn options(url: &str, role: Role) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    set_pool_options(&mut options, role);
    options.set_application_name("convo").test_before_acquire_if_idle_for(TEST_IF_IDLE);
    options
}

/// What the sessions of a pool have shown.
#[derive(Debug, Default)]
struct SessionCheck {
    /// One of them came without the mark.
    is_pooled: AtomicBool,
    /// The pool is in use as a direct one: a session without the mark is now an error.
    must_be_direct: AtomicBool,
}

/// Checks every new session for the mark: a pooler may be put in between while the program runs.
fn check_sessions(pool: PgPoolOptions, check: Arc<SessionCheck>) -> PgPoolOptions {
    pool.after_connect(move |connection, _| {
        let check = Arc::clone(&check);
        Box::pin(async move {
            // Not prepared: a pooler could run the statement in another session than it was
            // prepared in.
            let mark = connection.fetch_one("SELECT current_setting('convo.session', true)");
            let mark: Option<String> = mark.await?.try_get(0)?;
            if mark.as_deref() == Some(SESSION_MARK.1) {
                return Ok(());
            }
            check.is_pooled.store(true, Ordering::SeqCst);
            if check.must_be_direct.load(Ordering::SeqCst) {
                let what = "the database is now behind a connection pooler";
                return Err(sqlx::Error::Configuration(what.into()));
            }
            Ok(())
        })
    })
}
