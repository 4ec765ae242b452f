//! How far each source of a sync has been read.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sync_sources")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// By Telnyx's clock: everything that it listed up to then is here.
    pub until: Option<i64>,
    /// By Telnyx's clock: when the last seven days were last read as a whole.
    pub swept_at: Option<i64>,
    /// Where a pass that is not complete goes on, as JSON.
    pub pass: Option<String>,
    /// By convo's clock.
    pub succeeded_at: Option<i64>,
    pub error: Option<String>,
    pub error_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
