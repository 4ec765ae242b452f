//! Tests of what no statement alone shows.

pub(super) mod recorder;

mod activity;
mod feed;
mod media;
mod plans;
mod search;

use sea_orm::{ConnectionTrait, Database};
use uuid::Uuid;

/// The URL of a new, empty database on PostgreSQL.
#[allow(clippy::disallowed_methods, reason = "the environment names the PostgreSQL server")]
pub(super) async fn new_postgres_database() -> String {
    let server = std::env::var("CONVO_TEST_POSTGRES_URL").expect("set: run scripts/test");
    let admin = Database::connect(&server).await.expect("PostgreSQL answers");
    let name = format!("test_{}", Uuid::new_v4().simple());
    admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a database");
    admin.close().await.expect("closed");
    let mut url = url::Url::parse(&server).expect("a URL");
    url.set_path(&name);
    url.into()
}
