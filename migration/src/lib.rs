//! The schema of convo's database, one migration per file.
//!
//! A released migration is never edited or renamed: its file name is its name in the database. A
//! migration only adds, so that the previous release keeps working on the new schema. One that
//! removes what the previous release no longer uses, but an older one does, sets the key `needs` in
//! `meta` to its own name: programs that do not know it then refuse the database.

pub use sea_orm_migration::prelude::*;

mod columns;
mod m20261129_000003_schema;
mod m20261130_000001_feed;
mod m20261130_000002_forwarding;
mod m20261130_000003_feed_function;
mod m20261201_000001_sync;
mod m20261201_000005_search;
mod m20261201_000006_media;
mod m20261201_000007_lifecycle;
mod m20261202_000001_names;
mod m20261202_000002_unread;
mod m20261202_000003_batches;
mod m20261202_000004_stats;
mod m20261203_000001_feed_rows;

/// Migrations of development versions, before the first release. A database that has them was made
/// with another schema and cannot be brought up to date.
pub const UNRELEASED: &[&str] = &[
    "m20261123_000001_threads",
    "m20261124_000001_list_filters",
    "m20261129_000001_schema",
    "m20261129_000002_schema",
];

/// Runs the migrations, in order.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261129_000003_schema::Migration),
            Box::new(m20261130_000001_feed::Migration),
            Box::new(m20261130_000002_forwarding::Migration),
            Box::new(m20261130_000003_feed_function::Migration),
            Box::new(m20261201_000001_sync::Migration),
            Box::new(m20261201_000005_search::Migration),
            Box::new(m20261201_000006_media::Migration),
            Box::new(m20261201_000007_lifecycle::Migration),
            Box::new(m20261202_000001_names::Migration),
            Box::new(m20261202_000002_unread::Migration),
            Box::new(m20261202_000003_batches::Migration),
            Box::new(m20261202_000004_stats::Migration),
            Box::new(m20261203_000001_feed_rows::Migration),
        ]
    }
}
