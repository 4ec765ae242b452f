//! Texts to many: an index that counts what a contact was sent.

use sea_orm_migration::prelude::*;

/// Creates the index.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// What convo offered to Telnyx and was not refused, by contact and time: how many texts a contact has had
/// within an hour. Inbound messages are not in it.
const OFFERED: &str = "CREATE INDEX idx_messages_offered ON messages (conversation_key, created_at) \
     WHERE base_url IS NOT NULL AND refusal IS NULL";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(OFFERED).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name("idx_messages_offered").to_owned()).await
    }
}
