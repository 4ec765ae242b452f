//! What makes rare threads quick to find in a long list.

use sea_orm_migration::prelude::*;

/// Two indices that most rows are not in.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Conversations {
    Table,
    Id,
    LastMessageAt,
    OptedOutAt,
}

#[derive(DeriveIden)]
enum Messages {
    Table,
    ConversationId,
    StatusRank,
}

const OPTED_OUT: &str = "idx_conversations_opted_out";
const UNDELIVERED: &str = "idx_messages_undelivered";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The few threads whose contact has opted out, by their activity.
        let opted_out = Index::create()
            .name(OPTED_OUT)
            .table(Conversations::Table)
            .col(Conversations::LastMessageAt)
            .col(Conversations::Id)
            .and_where(Expr::col(Conversations::OptedOutAt).is_not_null())
            .to_owned();
        manager.create_index(opted_out).await?;
        // The threads with a message that is under way or did not arrive (every rank below
        // `delivered`): a glance tells that a thread's last message need not be looked at.
        let undelivered = Index::create()
            .name(UNDELIVERED)
            .table(Messages::Table)
            .col(Messages::StatusRank)
            .col(Messages::ConversationId)
            .and_where(Expr::col(Messages::StatusRank).lt(110))
            .to_owned();
        manager.create_index(undelivered).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let undelivered = Index::drop().name(UNDELIVERED).table(Messages::Table).to_owned();
        manager.drop_index(undelivered).await?;
        let opted_out = Index::drop().name(OPTED_OUT).table(Conversations::Table).to_owned();
        manager.drop_index(opted_out).await
    }
}
