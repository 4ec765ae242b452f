//! The endpoint's question: whether a webhook URL leads to a server on this database.
//!
//! The servers of a database share a key that is stored in it. A question is posted to the webhook URL
//! in the shape of a webhook, so that whatever stands between lets it pass as it lets Telnyx's pass: where
//! those have a signature, it has a nonce and its HMAC under the key, over the time, the nonce and the
//! body. The answer is an HMAC of its own, so it proves the key, and that time, signature and body came
//! through unchanged. Without the key nobody can ask: to strangers, a question is a webhook with a wrong
//! signature, and is answered as one. Nothing is asked of the database.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::Key;
use hmac::{Hmac, KeyInit, Mac};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::Conversations;
use crate::clock;
use crate::domain::Timestamp;
use crate::error::Error;
use crate::store::{LastEvent, VerifiedType};
use crate::telnyx::signature::TOLERANCE;

/// What separates the uses of the key.
const QUESTION: &[u8] = b"convo endpoint question 1";
const ANSWER: &[u8] = b"convo endpoint answer 1";
/// Bytes of the key, of a nonce, and of an HMAC; nonce and HMAC together are as long as a signature.
const LENGTH: usize = 32;
/// The version that an answer names.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How often it is noted which key verifies webhooks of a type.
const NOTE_INTERVAL: Duration = Duration::from_secs(3_600);
/// How many types of events are noted, and how long their names may be. Telnyx has six.
const MAX_TYPES: usize = 32;
const MAX_TYPE: usize = 64;

/// The key that the servers of one database share. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointKey([u8; LENGTH]);

impl fmt::Debug for EndpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// A question, as it is posted: the values of a webhook's two headers, and the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointQuestion {
    /// The time in Unix seconds.
    pub timestamp: String,
    /// The base64 of the nonce and the HMAC.
    pub signature: String,
    /// The body, which is no event.
    pub body: String,
    nonce: [u8; LENGTH],
}

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointAnswer {
    /// The version of the server.
    pub version: String,
    /// The base64 of the HMAC over the question and the version.
    pub proof: String,
}

impl EndpointKey {
    /// A new key.
    ///
    /// # Errors
    /// `internal` if the system has no randomness.
    fn generate() -> Result<Self, Error> {
        random().map(Self)
    }

    fn parse(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }

    fn as_text(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// A new question.
    ///
    /// # Errors
    /// `internal` if the system has no randomness.
    pub fn ask(&self, now: Timestamp) -> Result<EndpointQuestion, Error> {
        let nonce: [u8; LENGTH] = random()?;
        let timestamp = (now.as_micros() / 1_000_000).to_string();
        let body = "{}".to_owned();
        let mac = self.mac(QUESTION, &[timestamp.as_bytes(), &nonce, body.as_bytes()]);
        let signature = STANDARD.encode([&nonce[..], &mac.finalize().into_bytes()].concat());
        Ok(EndpointQuestion { timestamp, signature, body, nonce })
    }

    /// The answer to a question; `None` for anything else that was posted. `now` is in seconds since
    /// the Unix epoch.
    #[must_use]
    pub fn answer(
        &self,
        timestamp: Option<&[u8]>,
        signature: Option<&[u8]>,
        body: &[u8],
        now: i64,
    ) -> Option<EndpointAnswer> {
        let (timestamp, signature) = (timestamp?, signature?);
        let asked_at: i64 = std::str::from_utf8(timestamp).ok()?.parse().ok()?;
        if now.saturating_sub(asked_at).unsigned_abs() > TOLERANCE.as_secs() {
            return None;
        }
        let signature: [u8; 2 * LENGTH] =
            STANDARD.decode(signature.trim_ascii()).ok()?.try_into().ok()?;
        let (nonce, mac) = signature.split_at(LENGTH);
        // In constant time.
        self.mac(QUESTION, &[timestamp, nonce, body]).verify_slice(mac).ok()?;
        let proof = self.mac(ANSWER, &[timestamp, nonce, VERSION.as_bytes()]);
        let proof = STANDARD.encode(proof.finalize().into_bytes());
        Some(EndpointAnswer { version: VERSION.to_owned(), proof })
    }

    /// Whether an answer is that of a server with this key.
    #[must_use]
    pub fn is_proof(&self, question: &EndpointQuestion, answer: &EndpointAnswer) -> bool {
        let EndpointQuestion { timestamp, nonce, .. } = question;
        let mac = self.mac(ANSWER, &[timestamp.as_bytes(), nonce, answer.version.as_bytes()]);
        STANDARD.decode(&answer.proof).is_ok_and(|proof| mac.verify_slice(&proof).is_ok())
    }

    /// Each part is preceded by its length, so that no two lists of parts are the same bytes.
    fn mac(&self, purpose: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
        // The key of a block's length, as HMAC pads it.
        let mut block = Key::<Hmac<Sha256>>::default();
        block[..LENGTH].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&block);
        for part in std::iter::once(&purpose).chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Error::internal())?;
    Ok(bytes)
}

/// What a server remembers about its endpoint.
#[derive(Debug, Default)]
pub(super) struct EndpointState {
    key: OnceLock<EndpointKey>,
    /// By type of event: the position of the key that verified the last one noted, and when.
    noted: Mutex<HashMap<String, (usize, Instant)>>,
}

impl EndpointState {
    /// Whether it is to be noted that a key verified a webhook of a type: the first time, when the key
    /// has changed, and from time to time.
    fn is_due(&self, event_type: &str, position: usize, now: Instant) -> bool {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, at)) = noted.get_mut(event_type) {
            let is_due = *known != position || now >= *at + NOTE_INTERVAL;
            if is_due {
                (*known, *at) = (position, now);
            }
            return is_due;
        }
        let has_room = noted.len() < MAX_TYPES && is_usual_type(event_type);
        if has_room {
            noted.insert(event_type.to_owned(), (position, now));
        }
        has_room
    }

    /// The next webhook of this type is to be noted.
    fn forget(&self, event_type: &str) {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).remove(event_type);
    }
}

/// Whether a type may be part of a key in the database.
fn is_usual_type(event_type: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=MAX_TYPE).contains(&event_type.len()) && event_type.bytes().all(is_allowed)
}

/// The public key that verified a webhook.
#[derive(Clone, Copy, Debug)]
pub struct VerifiedBy<'a> {
    /// Its position among the configured keys.
    pub position: usize,
    /// In base64.
    pub public_key: &'a str,
}

impl Conversations {
    /// Prepares to answer questions about the endpoint. Until then, and if the database cannot be
    /// written, none is answered.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn open_endpoint(&self) -> Result<(), Error> {
        let proposed = EndpointKey::generate()?.as_text();
        let key = match self.store.endpoint_key().await? {
            Some(key) => key,
            None => self.store.make_endpoint_key(proposed).await?,
        };
        let key = EndpointKey::parse(&key).ok_or_else(Error::internal)?;
        // Called once; a second call would have no effect.
        let _ = self.endpoint.key.set(key);
        Ok(())
    }

    /// The key for questions to the servers of this database; `None` if none has run yet.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn endpoint_key(&self) -> Result<Option<EndpointKey>, Error> {
        let key = self.store.endpoint_key().await?;
        Ok(key.as_deref().and_then(EndpointKey::parse))
    }

    /// The answer to what was posted to the webhook's route without a valid signature, if it is a
    /// question: see [`EndpointKey::answer`].
    #[must_use]
    pub fn answer_question(
        &self,
        timestamp: Option<&[u8]>,
        signature: Option<&[u8]>,
        body: &[u8],
        now: i64,
    ) -> Option<EndpointAnswer> {
        self.endpoint.key.get()?.answer(timestamp, signature, body, now)
    }

    /// Notes, now and then, which key verified webhooks of a type. Nobody waits for it.
    pub(super) fn note_verified(&self, event_type: &str, by: VerifiedBy<'_>) {
        if !self.endpoint.is_due(event_type, by.position, Instant::now()) {
            return;
        }
        let (this, event_type) = (self.clone(), event_type.to_owned());
        let verified = VerifiedType { public_key: by.public_key.to_owned(), at: clock::now() };
        tokio::spawn(async move {
            if this.store.note_verified(&event_type, verified).await.is_err() {
                this.endpoint.forget(&event_type);
            }
        });
    }

    /// The newest event, and which key verified webhooks of its type.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub(crate) async fn last_event(
        &self,
    ) -> Result<Option<(LastEvent, Option<VerifiedType>)>, Error> {
        let Some(event) = self.store.last_event().await? else { return Ok(None) };
        let verified = self.store.verified(&event.event_type).await?;
        Ok(Some((event, verified)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> EndpointKey {
        EndpointKey([byte; LENGTH])
    }

    fn answered(key: &EndpointKey, asked: &EndpointQuestion, now: i64) -> Option<EndpointAnswer> {
        let (timestamp, signature) = (asked.timestamp.as_bytes(), asked.signature.as_bytes());
        key.answer(Some(timestamp), Some(signature), asked.body.as_bytes(), now)
    }

    #[test]
    fn only_the_key_asks_and_answers() {
        let now = Timestamp::from_micros(1_800_000_000_000_000);
        let asked = key(1).ask(now).expect("randomness");
        assert_eq!(asked.signature.len(), 88, "as long as a signature");
        let answer = answered(&key(1), &asked, 1_800_000_000).expect("an answer");
        assert!(key(1).is_proof(&asked, &answer));
        assert!(!key(2).is_proof(&asked, &answer));
        assert_eq!(answered(&key(2), &asked, 1_800_000_000), None);
        let other = key(1).ask(now).expect("randomness");
        assert!(!key(1).is_proof(&other, &answer), "an answer is for one question");
        let forged = EndpointAnswer { version: "9.9.9".to_owned(), ..answer };
        assert!(!key(1).is_proof(&asked, &forged));
    }

    #[test]
    fn a_question_that_was_changed_on_the_way_or_is_old_has_no_answer() {
        let now = 1_800_000_000;
        let asked = key(1).ask(Timestamp::from_micros(now * 1_000_000)).expect("randomness");
        assert!(answered(&key(1), &asked, now + 300).is_some());
        for late in [now + 301, now - 301, i64::MAX, i64::MIN] {
            assert_eq!(answered(&key(1), &asked, late), None);
        }
        for changed in [
            EndpointQuestion { body: "{ }".to_owned(), ..asked.clone() },
            EndpointQuestion { timestamp: (now + 1).to_string(), ..asked.clone() },
            EndpointQuestion { signature: STANDARD.encode([7; 64]), ..asked.clone() },
            EndpointQuestion { signature: "e30=".to_owned(), ..asked.clone() },
            EndpointQuestion { signature: "not base64".to_owned(), ..asked.clone() },
            EndpointQuestion { timestamp: "soon".to_owned(), ..asked.clone() },
        ] {
            assert_eq!(answered(&key(1), &changed, now), None, "{changed:?}");
        }
        assert_eq!(key(1).answer(None, None, b"{}", now), None);
    }

    #[test]
    fn a_key_is_noted_the_first_time_when_it_changes_and_hourly() {
        let (state, now) = (EndpointState::default(), Instant::now());
        let due = |event_type: &str, position, now| state.is_due(event_type, position, now);
        assert!(due("message.received", 0, now));
        assert!(!due("message.received", 0, now));
        assert!(due("message.sent", 0, now));
        assert!(due("message.received", 1, now));
        assert!(!due("message.received", 1, now + NOTE_INTERVAL - Duration::from_secs(1)));
        assert!(due("message.received", 1, now + NOTE_INTERVAL));
        assert!(!due("a type\n", 0, now) && !due(&"a".repeat(65), 0, now));
        let many = (0..1_000).filter(|n| due(&format!("type{n}"), 0, now)).count();
        assert_eq!(many, MAX_TYPES - 2);
    }
}
