//! Names of contacts.

use sea_orm::entity::prelude::*;

use crate::domain::{Contact, PhoneNumber, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "contact_names")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub contact_number: String,
    pub name: String,
    /// The name as it is compared, see [`fold`](crate::domain::contact::fold).
    pub folded_name: String,
    pub named_at: i64,
}

impl From<Model> for Contact {
    fn from(row: Model) -> Self {
        Self {
            contact_number: PhoneNumber::from_stored(row.contact_number),
            contact_name: Some(row.name),
            named_at: Some(Timestamp::from_micros(row.named_at)),
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
