//! The keys of the `meta` table, in which a database describes itself.

use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait, DbErr, EntityTrait};

use super::entity::meta;

/// `real` or `sandbox`.
pub(super) const MODE: &str = "mode";
/// The last migration that a program must know to understand the database.
pub(super) const NEEDS: &str = "needs";
/// The base URL at which the simulated Telnyx last ran.
pub(super) const SANDBOX: &str = "sandbox_base_url";
/// The public key of the simulated Telnyx that last ran.
pub(super) const SANDBOX_KEY: &str = "sandbox_public_key";
/// What a server shares with those who can read its database: see
/// [`EndpointKey`](crate::threading::EndpointKey). A copy of the database gets another one.
pub(super) const ENDPOINT_KEY: &str = "endpoint_key";
/// Followed by a type of event: which public key verified the last webhooks of it, and when.
pub(super) const VERIFIED: &str = "verified:";
/// In a backup: its [`BackupRecord`](super::copy::backup::BackupRecord).
pub(super) const BACKUP: &str = "backup";
/// In a source: its [`CopyRecord`](super::hold::CopyRecord). As long as it exists, the database is held.
pub(super) const HELD: &str = "held";
/// In a target: its [`CopyRecord`](super::hold::CopyRecord).
pub(super) const COPY: &str = "copy";
/// In an unfinished target: the indices that are created at its end, as JSON.
pub(super) const INDICES: &str = "copy_indices";

/// The key of the marks of contacts that were forgotten, in hex.
pub(super) const FORGET_KEY: &str = "forget_key";
/// What a copy, a backup and a restored database have from their source.
pub(super) const CARRIED: [&str; 2] = [SANDBOX, FORGET_KEY];

/// What a [`probe`] writes, for a moment.
const PROBE: &str = "probe";
/// Its size: more than a transaction usually writes, since a full disk may still take a few pages.
const PROBE_SIZE: usize = 256 * 1024;

/// Sets a key, which may exist.
pub(super) async fn set(db: &impl ConnectionTrait, key: &str, value: &str) -> Result<(), DbErr> {
    let row = meta::ActiveModel {
        key: sea_orm::Set(key.to_owned()),
        value: sea_orm::Set(value.to_owned()),
    };
    let newest =
        OnConflict::column(meta::Column::Key).update_column(meta::Column::Value).to_owned();
    meta::Entity::insert(row).on_conflict(newest).exec_without_returning(db).await.map(drop)
}

/// Writes something that fails wherever a usual transaction would.
pub(super) async fn begin_probe(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    set(db, PROBE, &"-".repeat(PROBE_SIZE)).await
}

/// Removes it, in another transaction: within the same one little would reach the disk.
pub(super) async fn end_probe(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    meta::Entity::delete_by_id(PROBE).exec(db).await.map(drop)
}
