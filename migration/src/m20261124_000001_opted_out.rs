//! The few threads whose contact has opted out, by their activity: `convo list --opted-out` reads
//! them without passing all the others.

use sea_orm_migration::prelude::*;

/// The index of opt-outs.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Conversations {
    Table,
    Id,
    LastMessageAt,
    OptedOutAt,
}

const NAME: &str = "idx_conversations_opted_out";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let index = Index::create()
            .name(NAME)
            .table(Conversations::Table)
            .col(Conversations::LastMessageAt)
            .col(Conversations::Id)
            .and_where(Expr::col(Conversations::OptedOutAt).is_not_null())
            .to_owned();
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(NAME).table(Conversations::Table).to_owned()).await
    }
}
