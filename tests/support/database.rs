//! A fresh database of each kind, and the tests' own connections to it.

use std::path::PathBuf;

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, Statement,
};
use uuid::Uuid;

/// A fresh, empty database that lives as long as this value.
pub struct TestDatabase {
    /// As `DATABASE_URL` takes it.
    pub url: String,
    /// A directory of its own.
    pub dir: tempfile::TempDir,
}

impl TestDatabase {
    /// A file that does not exist yet.
    pub fn sqlite() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let url = format!("sqlite:///{}", dir.path().join("convo.db").display());
        Self { url, dir }
    }

    /// A new database on the server that `scripts/with-servers` starts. Without that server the test fails:
    /// a run that leaves PostgreSQL out must not look like one that passed.
    pub async fn postgres() -> Self {
        let server = super::variable("CONVO_TEST_POSTGRES_URL");
        let name = format!("convo_{}", Uuid::new_v4().simple());
        execute(&server, &format!("CREATE DATABASE {name}")).await;
        let mut url = url::Url::parse(&server).expect("a URL");
        url.set_path(&name);
        Self { url: url.into(), dir: tempfile::tempdir().expect("a temporary directory") }
    }

    /// The same database at another address, such as a proxy's.
    pub fn at(&self, url: String) -> Self {
        Self { url, dir: tempfile::tempdir().expect("a temporary directory") }
    }

    /// The file of a SQLite database.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("convo.db")
    }
}

/// A connection of the test's own, and not a pool: its settings and transactions stay on it.
pub async fn connect(url: &str) -> DatabaseConnection {
    // convo's form with three slashes is relative to a directory; SQLx knows paths only.
    let mut options = ConnectOptions::new(url.replace("sqlite:///", "sqlite:"));
    options.max_connections(1);
    Database::connect(options).await.expect("the database can be opened")
}

/// Runs statements on a connection of their own.
pub async fn execute(url: &str, sql: &str) {
    let db = connect(url).await;
    db.execute_unprepared(sql).await.expect(sql);
    db.close().await.expect("closed");
}

/// The first column of the first row that a query returns.
pub async fn query_one<T: sea_orm::TryGetable>(db: &DatabaseConnection, sql: &str) -> T {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await.expect(sql).expect("a row");
    row.try_get_by_index(0).expect("a column of that type")
}

/// Inserts rows numbered from 1 to `count`. The values are SQL expressions over the number `i`, in which
/// `{id:PREFIX}` is an id that begins with eight characters and ends with the number.
pub async fn insert_numbered(
    db: &DatabaseConnection,
    table: &str,
    count: u32,
    row: &[(&str, &str)],
) {
    let is_sqlite = db.get_database_backend() == DatabaseBackend::Sqlite;
    let id = |value: &str| match value.strip_prefix("{id:").and_then(|rest| rest.strip_suffix('}'))
    {
        Some(prefix) if is_sqlite => format!("unhex(printf('{prefix}000070008000%012x', i))"),
        Some(prefix) => {
            format!("('{prefix}-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid")
        }
        None => value.to_owned(),
    };
    let columns = row.iter().map(|(column, _)| *column).collect::<Vec<_>>().join(", ");
    let values = row.iter().map(|(_, value)| id(value)).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "INSERT INTO {table} ({columns}) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 \
         FROM n WHERE i < {count}) SELECT {values} FROM n"
    );
    db.execute_unprepared(&sql).await.expect(&sql);
}

/// Runs a test on both kinds of database, as two tests.
#[macro_export]
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() { super::$name($crate::support::TestDatabase::sqlite()).await; })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() { super::$name($crate::support::TestDatabase::postgres().await).await; })+
        }
    };
}
