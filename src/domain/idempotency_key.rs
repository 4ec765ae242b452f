//! The key under which a send can be repeated without sending twice.

use std::fmt;

use uuid::Uuid;

use super::Fingerprint;
use crate::error::Error;

/// The format of a caller's idempotency key, as the OpenAPI document states it.
pub const IDEMPOTENCY_KEY_PATTERN: &str = "^[A-Za-z0-9_:-]{1,255}$";

/// What the key of an answer begins with; the id of the message that is answered follows.
const REPLY_PREFIX: &str = "reply:";
/// What the key of a row of a batch begins with.
const BATCH_PREFIX: &str = "batch:";

/// The idempotency key of a send: the caller's, or convo's id of the message. The format is the one
/// that Telnyx prescribes for its keys, which is also safe in a header.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Parses a caller's key, which must match [`IDEMPOTENCY_KEY_PATTERN`].
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn parse(key: &str) -> Result<Self, Error> {
        let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"_:-".contains(&b);
        if (1..=255).contains(&key.len()) && key.bytes().all(is_allowed) {
            return Ok(Self(key.to_owned()));
        }
        Err(Error::invalid("the idempotency key is not 1 to 255 letters, digits, '_', ':' or '-'")
            .hint("a UUID makes a good key"))
    }

    /// The key of the answer to an inbound message: there is one answer, whoever sends it.
    #[must_use]
    pub fn for_reply(answered: Uuid) -> Self {
        Self(format!("{REPLY_PREFIX}{answered}"))
    }

    /// The message whose answer this is the key of, if it is such a key.
    #[must_use]
    pub fn answered(&self) -> Option<Uuid> {
        Uuid::try_parse(self.0.strip_prefix(REPLY_PREFIX)?).ok()
    }

    /// Whether a stored key is removed when it is old. The key of an answer is not: a message is answered
    /// once, however late.
    pub(crate) fn is_temporary(key: &str) -> bool {
        !Self::parse(key).is_ok_and(|key| key.answered().is_some())
    }

    /// The key of a row of a batch: it is sent once.
    #[must_use]
    pub fn for_batch(row: Fingerprint) -> Self {
        Self(format!("{BATCH_PREFIX}{row}"))
    }

    /// Whether this is the key of a row of a batch.
    #[must_use]
    pub fn is_of_batch(&self) -> bool {
        let row = self.0.strip_prefix(BATCH_PREFIX);
        row.is_some_and(|row| row.parse::<Fingerprint>().is_ok())
    }

    /// A new key, for a send without one.
    #[must_use]
    pub fn random() -> Self {
        Self::from(Uuid::now_v7())
    }

    /// The key as it is stored and sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Uuid> for IdempotencyKey {
    fn from(id: Uuid) -> Self {
        Self(id.to_string())
    }
}

impl From<IdempotencyKey> for String {
    fn from(key: IdempotencyKey) -> Self {
        key.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn a_key_has_letters_digits_and_three_signs() {
        let longest = "k".repeat(255);
        for key in ["a", "Order:17_a-b", longest.as_str()] {
            assert_eq!(IdempotencyKey::parse(key).expect("a good key").as_str(), key);
        }
        for key in ["", "a b", "é", "a.b", "a\n", "k".repeat(256).as_str()] {
            let error = IdempotencyKey::parse(key).expect_err("a bad key");
            assert_eq!(error.code(), Code::InvalidRequest, "{key:?}");
            assert!(error.hint_text().is_some());
        }
    }

    #[test]
    fn the_key_of_an_answer_names_the_message() {
        let answered = Uuid::from_u128(7);
        let key = IdempotencyKey::for_reply(answered);
        assert_eq!(IdempotencyKey::parse(key.as_str()).expect("a good key"), key);
        assert_eq!(key.answered(), Some(answered));
        assert!(!IdempotencyKey::is_temporary(key.as_str()));
        for other in ["reply:7", "reply:", "7", "order:00000000-0000-0000-0000-000000000007"] {
            assert_eq!(IdempotencyKey::parse(other).expect("a good key").answered(), None);
            assert!(IdempotencyKey::is_temporary(other), "{other}");
        }
    }

    #[test]
    fn a_generated_key_is_valid() {
        let key = IdempotencyKey::random();
        assert_eq!(IdempotencyKey::parse(key.as_str()).expect("a good key"), key);
    }
}
