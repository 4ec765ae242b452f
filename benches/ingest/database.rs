//! The databases that are measured: new ones, with full durability.

use std::collections::HashSet;

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement,
};
use tempfile::TempDir;
use uuid::Uuid;

/// A new database.
pub struct BenchDatabase {
    pub label: &'static str,
    pub url: String,
    backend: DbBackend,
    /// Holds SQLite's file.
    _dir: Option<TempDir>,
}

/// Bytes for each message of a table or an index.
pub type Sizes = Vec<(String, f64)>;

impl BenchDatabase {
    pub fn sqlite() -> Self {
        // Not in /tmp, which may be in memory.
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let url = format!("sqlite:///{}", dir.path().join("bench.db").display());
        Self { label: "SQLite", url, backend: DbBackend::Sqlite, _dir: Some(dir) }
    }

    pub async fn postgres(server: &str) -> Self {
        let name = format!("bench_{}", Uuid::new_v4().simple());
        let admin = Database::connect(server).await.expect("PostgreSQL answers");
        admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a database");
        let mut url = url::Url::parse(server).expect("a URL");
        url.set_path(&name);
        Self { label: "PostgreSQL", url: url.into(), backend: DbBackend::Postgres, _dir: None }
    }

    pub fn is_sqlite(&self) -> bool {
        self.backend == DbBackend::Sqlite
    }

    /// Connects past convo.
    pub async fn connect(&self) -> DatabaseConnection {
        // sqlx takes the path after two slashes, convo after three, as SQLAlchemy does.
        let url = self.url.replacen("sqlite:////", "sqlite:///", 1);
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false);
        Database::connect(options).await.expect("the database opens")
    }

    async fn rows(&self, sql: &str) -> Vec<sea_orm::QueryResult> {
        let statement = Statement::from_string(self.backend, sql);
        self.connect().await.query_all_raw(statement).await.expect("an answer")
    }

    /// Checks that the messages answered 200 are stored, each once, and nothing else but so many that were
    /// there before.
    pub async fn check(&self, answered: &[Uuid], before: u64) {
        let count = self.rows("SELECT count(*) FROM messages").await;
        let count: i64 = count[0].try_get_by_index(0).expect("a number");
        assert_eq!(count.unsigned_abs(), before + answered.len() as u64, "{}", self.label);
        // Those from before have low ids.
        let own = if self.is_sqlite() { "x'01'" } else { "'\\x01'" };
        let sql = format!("SELECT telnyx_message_id FROM messages WHERE telnyx_message_id > {own}");
        let rows = self.rows(&sql).await;
        let id = |row: &sea_orm::QueryResult| {
            let bytes: Vec<u8> = row.try_get_by_index(0).expect("an id");
            Uuid::from_slice(&bytes).expect("a UUID")
        };
        let stored: Vec<Uuid> = rows.iter().map(id).collect();
        let unique: HashSet<&Uuid> = stored.iter().collect();
        assert_eq!(unique.len(), stored.len(), "{}: a message is stored twice", self.label);
        let lost = answered.iter().filter(|id| !unique.contains(id)).count();
        assert_eq!(lost, 0, "{}: acknowledged and not stored", self.label);
        println!(
            "{}: {} webhooks were acknowledged, all are stored once",
            self.label,
            answered.len()
        );
    }

    /// Bytes that each table and index takes for each message.
    pub async fn sizes(&self, messages: usize) -> Sizes {
        let sql = if self.is_sqlite() {
            "SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC"
        } else {
            "SELECT relname::text, pg_relation_size(oid) FROM pg_class \
             WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i', 't') ORDER BY 2 DESC"
        };
        let read = |row: &sea_orm::QueryResult| {
            let name: String = row.try_get_by_index(0).expect("a name");
            let bytes: i64 = row.try_get_by_index(1).expect("a size");
            (name, bytes as f64 / messages as f64)
        };
        self.rows(sql).await.iter().map(read).filter(|(_, bytes)| *bytes >= 0.5).collect()
    }
}
