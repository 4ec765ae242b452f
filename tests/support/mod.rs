//! What the tests share: a fresh database of each kind.

#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::disallowed_methods, reason = "variables say where PostgreSQL is")]

pub mod cluster;
pub mod exposition;
pub mod pooler;
pub mod proxy;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use sea_orm::{ConnectionTrait, Database};
use uuid::Uuid;

/// A fresh, empty database that lives as long as this value.
pub struct TestDatabase {
    /// Its URL, as `DATABASE_URL` takes it.
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

    /// A new database on the server that `scripts/test` starts. There is no test without it: a
    /// run that leaves PostgreSQL out must not look like one that passed.
    pub async fn postgres() -> Self {
        let server = std::env::var("CONVO_TEST_POSTGRES_URL")
            .expect("CONVO_TEST_POSTGRES_URL names a PostgreSQL server; run scripts/test");
        let name = format!("convo_{}", Uuid::new_v4().simple());
        let admin = Database::connect(&server).await.expect("the PostgreSQL server answers");
        admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a new database");
        admin.close().await.expect("closed");
        let mut url = url::Url::parse(&server).expect("a URL");
        url.set_path(&name);
        Self { url: url.into(), dir: tempfile::tempdir().expect("a temporary directory") }
    }

    /// The file, when it is one.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("convo.db")
    }
}

/// A body from the published examples.
pub fn example(name: &str) -> Vec<u8> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/telnyx/events/{name}.json"));
    std::fs::read(path).expect(name)
}

/// The address in the line of a server's log that tells where it listens.
pub fn listening(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let address = line["address"].as_str().filter(|_| line["message"] == "listening");
    address.and_then(|address| address.parse().ok())
}

/// The names of the published examples.
pub fn examples() -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/telnyx/events");
    let files = std::fs::read_dir(directory).expect("the examples");
    let name = |file: std::io::Result<std::fs::DirEntry>| {
        Some(file.ok()?.file_name().to_str()?.strip_suffix(".json")?.to_owned())
    };
    files.filter_map(name).collect()
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
