//! The search index in the database: writing it, how far it has come, and the messages that may match.
//!
//! Both databases answer only which messages have all of some words; whether these form a phrase is
//! checked on the messages themselves. The index is written in batches after the messages, by whoever
//! searches or by a server in the background.

mod candidates;
mod expression;
mod index;
mod pending;
mod place;

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, Statement};
use uuid::Uuid;

use super::sql::BulkInsert;
use super::transaction::WriteTransaction;
use crate::domain::search::searched_text;
use crate::domain::words;

pub(crate) use candidates::{SearchCandidates, SearchScope};
pub(crate) use pending::{NextDocuments, Pending};
pub(crate) use place::IndexPlace;

/// The most bytes of words in one row of the index. PostgreSQL spoils a vector of more than a megabyte.
const PART_BYTES: usize = 512 * 1024;
/// A word of each row of a message with several rows. No text has it: it is for private use.
const IN_PARTS: &str = "\u{e001}";

/// What the index has of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexDocument {
    id: Uuid,
    created_at: i64,
    /// The words of each row, separated by spaces.
    parts: Vec<String>,
}

impl IndexDocument {
    /// Of a message in a conversation.
    pub(super) fn new(
        id: Uuid,
        created_at: i64,
        conversation_key: i64,
        subject: Option<&str>,
        body: &str,
    ) -> Self {
        let text = searched_text(subject, body);
        let mut words: Vec<_> = words::words(&text).into_iter().map(|word| word.text).collect();
        words.sort_unstable();
        words.dedup();
        let conversation = conversation_word(conversation_key);
        let mut parts = vec![conversation.clone()];
        let mut size = 0;
        for word in words {
            if size > PART_BYTES {
                parts.push(conversation.clone());
                size = 0;
            }
            if let Some(part) = parts.last_mut() {
                part.push(' ');
                part.push_str(&word);
                // A vector has some bytes beside each word.
                size += word.len() + 8;
            }
        }
        if parts.len() > 1 {
            parts.iter_mut().for_each(|part| part.extend([" ", IN_PARTS]));
        }
        Self { id, created_at, parts }
    }
}

/// A word of all messages of a conversation. No text has it: its first character is for private use.
fn conversation_word(key: i64) -> String {
    format!("\u{e000}{key}")
}

/// Removes messages from the index, given the id and the time of each, within the transaction that has
/// deleted them: only then can no other process add them again.
pub(super) async fn remove(db: &WriteTransaction, messages: &[(Uuid, i64)]) -> Result<(), DbErr> {
    let backend = db.get_database_backend();
    for (id, created_at) in messages {
        let statements: &[&str] = match backend {
            DatabaseBackend::Sqlite => &[
                "DELETE FROM search_words WHERE rowid IN (SELECT key FROM search_rows \
                 WHERE key >= $2 AND key < $2 + 64 AND message_id = $1)",
                "DELETE FROM search_rows WHERE key >= $2 AND key < $2 + 64 AND message_id = $1",
            ],
            _ => &["DELETE FROM search_rows WHERE message_id = $1 AND created_at = $2"],
        };
        let key = match backend {
            DatabaseBackend::Sqlite => first_key(*id, *created_at),
            _ => *created_at,
        };
        for sql in statements {
            let values = [(*id).into(), key.into()];
            db.execute_raw(Statement::from_sql_and_values(backend, *sql, values)).await?;
        }
    }
    Ok(())
}

/// Tells that messages which are not in the feed have to be added, within the transaction that stores
/// them. Until that is done, a search says that messages may be missing.
pub(super) async fn add_later(
    db: &WriteTransaction,
    messages: impl Iterator<Item = Uuid>,
) -> Result<(), DbErr> {
    let Some(last) = messages.max() else { return Ok(()) };
    let before = Uuid::from_u128(last.as_u128().saturating_add(1));
    // An index that has not begun will add all messages.
    let sql = "UPDATE search_place SET fill_before = $1 \
               WHERE id = 1 AND version > 0 AND (fill_before IS NULL OR fill_before < $1)";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [before.into()]);
    db.execute_raw(statement).await.map(drop)
}

/// How many row ids a message may have, beginning with its first one. Others, whose ids are similar, may
/// have some of them, and a long text needs several.
const KEYS: i64 = 64;
/// The bits of a row id below the second: many enough for 16 million messages of one second. Few bits make
/// the ids short, and the distances between them, which the index consists of.
const KEY_BITS: u32 = 24;

/// The lowest row id of messages that are dated in a second or later.
fn second_key(created_at: i64) -> i64 {
    // Times before 1970 and after 2242 do not occur.
    created_at.div_euclid(1_000_000).clamp(0, (1 << 33) - 2) << KEY_BITS
}

/// The first row id that a message may have: its second, and bits of its id that are random.
fn first_key(id: Uuid, created_at: i64) -> i64 {
    let bits = id.as_u64_pair().1 % ((1 << KEY_BITS) - KEYS.unsigned_abs());
    second_key(created_at) + bits.cast_signed()
}

/// Inserts rows of the index on PostgreSQL; messages that are in it already are left out.
fn postgres_rows(documents: &[&IndexDocument]) -> BulkInsert {
    let rows = documents.iter().flat_map(|document| {
        (0_i16..).zip(&document.parts).map(|(part, words)| {
            [document.created_at.into(), document.id.into(), part.into(), words.as_str().into()]
        })
    });
    BulkInsert::new("search_rows", &["created_at", "message_id", "part", "words"], rows)
        .computed("words", "array_to_tsvector(string_to_array({}, ' '))")
        .on_conflict("ON CONFLICT DO NOTHING")
}
