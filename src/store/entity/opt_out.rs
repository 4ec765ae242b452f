//! Contacts that have opted out, or have opted in again.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "opt_outs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub contact_number: String,
    /// When the contact opted out; NULL once it has opted in again.
    pub opted_out_at: Option<i64>,
    /// The number of ours that received the STOP.
    pub opted_out_number: Option<String>,
    /// The messaging profile that received the STOP.
    pub opted_out_profile: Option<String>,
    /// When that was decided, by Telnyx's clock; NULL if Telnyx did not say.
    pub decided_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
