//! The schema of convo's database, one migration a file.
//!
//! A migration is never edited once released, only followed by another: its file name is its name
//! in the database. Each leaves the previous release working on the new schema: it only adds. One
//! that takes something away that the previous release no longer uses, but an older one does, sets
//! the row `needs` of `meta` to its own name: programs that do not know it then refuse the database.

pub use sea_orm_migration::prelude::*;

mod m20261123_000001_threads;
mod m20261124_000001_list_filters;

/// Every migration, in order.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261123_000001_threads::Migration),
            Box::new(m20261124_000001_list_filters::Migration),
        ]
    }
}
