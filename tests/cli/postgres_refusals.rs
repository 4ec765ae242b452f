//! PostgreSQL databases that convo cannot use: those that somebody must mend, and those to wait for.

use sea_orm::ConnectionTrait;

use crate::support::{Done, Home, TestDatabase, connect, execute};

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

/// A database with a role of its own that may only connect.
struct Guest {
    db: TestDatabase,
    role: String,
    url: String,
}

impl Guest {
    async fn new() -> Self {
        let db = TestDatabase::postgres().await;
        let mut url = url::Url::parse(&db.url).expect("a URL");
        let role = url.path().trim_start_matches('/').replace("convo_", "guest_");
        execute(&db.url, &format!("CREATE ROLE {role} LOGIN PASSWORD 'guest'")).await;
        // Up to PostgreSQL 14, everybody may create tables.
        execute(&db.url, "REVOKE CREATE ON SCHEMA public FROM PUBLIC").await;
        url.set_username(&role).expect("a user");
        url.set_password(Some("guest")).expect("a password");
        let url = url.into();
        Self { db, role, url }
    }

    async fn alter(&self, how: &str) {
        execute(&self.db.url, &format!("ALTER ROLE {} {how}", self.role)).await;
    }

    fn run(&self, args: &[&str]) -> Done {
        let home = Home::new().set("DATABASE_URL", &self.url);
        home.set("CONVO_START_TIMEOUT", "0").run(args)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoding_other_than_utf8_is_refused_and_nothing_is_created() {
    let db = TestDatabase::postgres().await;
    let admin = connect(&db.url).await;
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = format!("{}_{encoding}", db.url.rsplit('/').next().expect("a name"));
        let name = name.to_lowercase();
        let create = format!(
            "CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' \
             TEMPLATE template0"
        );
        admin.execute_unprepared(&create).await.expect("created");
        let url = format!("{}/{name}", db.url.rsplit_once('/').expect("a URL").0);
        let home = Home::new().set("DATABASE_URL", &url);
        for args in [&SERVE[..], &["migrate"], &["list"]] {
            let done = home.run(args).exits(4).reports(&format!("encoding is {encoding}"));
            assert!(done.err.contains("ENCODING 'UTF8'"), "{}", done.err);
        }
        let tables = "SELECT 1 FROM pg_tables WHERE schemaname = 'public'";
        let there = connect(&url).await;
        let found = there.query_one_raw(sea_orm::Statement::from_string(
            sea_orm::DatabaseBackend::Postgres,
            tables,
        ));
        assert!(found.await.expect("an answer").is_none(), "a table was created");
        let copy = Home::new();
        copy.run(&["migrate"]).exits(0);
        let copied =
            copy.run_with(&[("DATABASE_URL", &url)], &["copy", "sqlite:///conversations.db"]);
        copied.exits(4).reports(&format!("encoding is {encoding}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_rights_is_refused_until_it_has_them() {
    let guest = Guest::new().await;
    for args in [&SERVE[..], &["migrate"]] {
        let done = guest.run(args).exits(4).reports("permission denied for schema public");
        assert!(done.err.contains("GRANT USAGE, CREATE"), "{}", done.err);
    }
    // Another role has created the tables.
    let owner = Home::new().with_database(&guest.db);
    owner.run(&["migrate"]).exits(0);
    for args in [&SERVE[..], &["list"]] {
        guest.run(args).exits(4).reports("permission denied for table");
    }
    let grant = format!("GRANT SELECT ON seaql_migrations, meta TO {}", guest.role);
    execute(&guest.db.url, &grant).await;
    let done = guest.run(&["list"]).exits(4);
    assert!(done.err.contains("lacks a permission or table that convo needs"), "{}", done.err);
    let grant = format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {}", guest.role);
    execute(&guest.db.url, &grant).await;
    guest.run(&["list"]).silent();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_schema_is_refused() {
    let guest = Guest::new().await;
    guest.alter("SET search_path = nowhere").await;
    for args in [&SERVE[..], &["migrate"]] {
        let done = guest.run(args).exits(4).reports("no schema has been selected");
        assert!(done.err.contains("search_path"), "{}", done.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_limit_is_named_and_may_pass() {
    let guest = Guest::new().await;
    guest.alter("CONNECTION LIMIT 0").await;
    for args in [&SERVE[..], &["migrate"], &["list"]] {
        let done = guest.run(args).exits(5).reports("too many connections for role");
        assert!(done.err.contains("max_connections"), "{}", done.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_does_not_pass() {
    let guest = Guest::new().await;
    guest.alter("PASSWORD 'another'").await;
    guest.run(&["list"]).exits(4).reports("password authentication failed");
    guest.alter("NOLOGIN PASSWORD 'guest'").await;
    guest.run(&SERVE).exits(4).reports("is not permitted to log in");
}
