//! Unread messages, by arrival: a watermark a conversation, and how many are above it.

use sea_orm_migration::prelude::*;

/// Adds the order of arrival, the watermark and the count, and an index of the conversations with unread
/// messages.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Conversations {
    Table,
    Id,
    LastMessageAt,
    Arrived,
    ReadUpTo,
    UnreadCount,
}

#[derive(DeriveIden)]
enum Messages {
    Table,
    Arrival,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [
            // How many inbound messages have arrived in it since then.
            Conversations::Arrived,
            // The watermark: up to which of them, in the order of their arrival, they are read.
            Conversations::ReadUpTo,
            // How many of those above the watermark there are.
            Conversations::UnreadCount,
        ] {
            let mut column = ColumnDef::new(column);
            column.big_integer().not_null().default(0);
            let mut add = Table::alter();
            manager
                .alter_table(add.table(Conversations::Table).add_column(column).to_owned())
                .await?;
        }
        // Of an inbound message its place in the order of arrival, of an outbound one that of the last
        // inbound message before it. NULL for one from before this migration, or of an import: it is read.
        let arrival = ColumnDef::new(Messages::Arrival).big_integer().to_owned();
        let mut add = Table::alter();
        manager.alter_table(add.table(Messages::Table).add_column(arrival).to_owned()).await?;
        // The conversations with unread messages, by their activity.
        let mut index = Index::create();
        index
            .name("idx_conversations_unread")
            .table(Conversations::Table)
            .col(Conversations::LastMessageAt)
            .col(Conversations::Id)
            .and_where(Expr::col(Conversations::UnreadCount).gt(0));
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name("idx_conversations_unread").to_owned()).await?;
        let mut remove = Table::alter();
        remove.table(Messages::Table).drop_column(Messages::Arrival);
        manager.alter_table(remove).await?;
        for column in [Conversations::Arrived, Conversations::ReadUpTo, Conversations::UnreadCount]
        {
            let mut remove = Table::alter();
            manager
                .alter_table(remove.table(Conversations::Table).drop_column(column).to_owned())
                .await?;
        }
        Ok(())
    }
}
