//! Verifying that a webhook is from Telnyx, and recent.
//!
//! Telnyx signs `<timestamp header>|<raw body>` with Ed25519 and sends the signature in standard
//! base64; its public key is the raw 32 bytes in base64 (Telnyx's guide on receiving webhooks).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use thiserror::Error;

use super::batch_verify::BatchVerifier;
use crate::error::{Code, Error};

/// The header with the time of the signature, in Unix seconds.
pub const TIMESTAMP_HEADER: &str = "telnyx-timestamp";
/// The header with the signature.
pub const SIGNATURE_HEADER: &str = "telnyx-signature-ed25519";

/// How far a webhook's timestamp may be from our clock in either direction, as in Telnyx's SDKs.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// Why a webhook's signature is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// No public key is configured, so nothing can be verified.
    #[error("no public key is configured")]
    NoKey,
    /// One of the two headers is missing.
    #[error("a signature header is missing")]
    MissingHeader,
    /// The timestamp is not a number of seconds.
    #[error("the timestamp is not a number of seconds")]
    BadTimestamp,
    /// The signature is valid, but its timestamp differs from our clock by more than [`TOLERANCE`].
    #[error(
        "the signature is valid, but its timestamp is {skew_seconds} s off this machine's clock"
    )]
    Stale {
        /// This machine's time minus the webhook's.
        skew_seconds: i64,
    },
    /// The timestamp is as far off, and the body did not arrive soon enough to verify the signature.
    #[error("the timestamp is too far from this machine's clock, and the body did not arrive")]
    StaleWithoutBody,
    /// The signature is not one of a configured key over these bytes.
    #[error("the signature does not match the body")]
    BadSignature,
}

/// Verifies webhooks against the configured public keys. Several keys allow for rotation.
#[derive(Clone, Debug, Default)]
pub struct Verifier {
    keys: Vec<VerifyingKey>,
    /// The same in base64.
    texts: Vec<String>,
    /// Batch verification, which needs a single key.
    batch: Option<Arc<BatchVerifier>>,
}

/// The signature and timestamp in the headers of a webhook.
struct SignedHeaders {
    signature: Signature,
    sent_at: i64,
}

impl Verifier {
    /// Parses the configured keys, each 32 bytes in base64.
    ///
    /// # Errors
    /// `not_configured` when one of them is not an Ed25519 public key.
    pub fn new(keys: &[String]) -> Result<Self, Error> {
        let keys = keys.iter().map(|key| read_key(key.trim())).collect::<Option<Vec<_>>>();
        let keys = keys.ok_or_else(|| {
            Error::new(Code::NotConfigured, "TELNYX_PUBLIC_KEY is not an Ed25519 public key").hint(
                "copy it from the Telnyx portal (Keys & Credentials, Public Key): 44 characters \
                 of base64",
            )
        })?;
        let batch = match keys.as_slice() {
            [only] => Some(Arc::new(BatchVerifier::new(*only))),
            _ => None,
        };
        let texts = keys.iter().map(|key| STANDARD.encode(key.as_bytes())).collect();
        Ok(Self { keys, texts, batch })
    }

    /// The keys, in base64.
    #[must_use]
    pub fn keys(&self) -> &[String] {
        &self.texts
    }

    /// Whether no key is configured, in which case every webhook is rejected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Checks what the headers decide without the body.
    ///
    /// # Errors
    /// [`SignatureError`]; of [`Stale`](SignatureError::Stale), only the time is certain, not that the
    /// signature is valid.
    pub fn check_headers(
        &self,
        timestamp: Option<&[u8]>,
        signature: Option<&[u8]>,
        now: i64,
    ) -> Result<(), SignatureError> {
        self.read_headers(timestamp, signature).and_then(|headers| check_time(&headers, now))
    }

    /// Verifies a webhook, whose body must be exactly as it was received. `now` is in seconds since
    /// the Unix epoch.
    ///
    /// # Errors
    /// [`SignatureError`]; with any of them, the body must not be trusted.
    pub fn verify(
        &self,
        timestamp: Option<&[u8]>,
        signature: Option<&[u8]>,
        body: &[u8],
        now: i64,
    ) -> Result<(), SignatureError> {
        let (headers, signed) = self.read(timestamp, signature, body)?;
        self.verify_alone(&headers, &signed)?;
        check_time(&headers, now)
    }

    /// Like [`verify`](Self::verify), but together with other webhooks that arrive at the same time,
    /// which costs less. Returns the position of the key that the signature is of.
    ///
    /// # Errors
    /// See [`verify`](Self::verify).
    pub async fn verify_in_batch(
        &self,
        timestamp: Option<&[u8]>,
        signature: Option<&[u8]>,
        body: &[u8],
        now: i64,
    ) -> Result<usize, SignatureError> {
        let (headers, signed) = self.read(timestamp, signature, body)?;
        let is_proven = match &self.batch {
            Some(batch) => batch.is_proven(headers.signature, &signed).await,
            None => false,
        };
        // There is a batch only for a single key.
        let key = if is_proven { 0 } else { self.verify_alone(&headers, &signed)? };
        check_time(&headers, now).map(|()| key)
    }

    fn read(
        &self,
        timestamp: Option<&[u8]>,
        signature: Option<&[u8]>,
        body: &[u8],
    ) -> Result<(SignedHeaders, Vec<u8>), SignatureError> {
        let headers = self.read_headers(timestamp, signature)?;
        Ok((headers, signed_bytes(timestamp.unwrap_or_default(), body)))
    }

    fn read_headers(
        &self,
        timestamp: Option<&[u8]>,
        signature: Option<&[u8]>,
    ) -> Result<SignedHeaders, SignatureError> {
        if self.keys.is_empty() {
            return Err(SignatureError::NoKey);
        }
        let timestamp = timestamp.ok_or(SignatureError::MissingHeader)?;
        let signature = signature.ok_or(SignatureError::MissingHeader)?;
        let sent_at = read_seconds(timestamp).ok_or(SignatureError::BadTimestamp)?;
        let signature = read_signature(signature).ok_or(SignatureError::BadSignature)?;
        Ok(SignedHeaders { signature, sent_at })
    }

    fn verify_alone(
        &self,
        headers: &SignedHeaders,
        signed: &[u8],
    ) -> Result<usize, SignatureError> {
        let mut keys = self.keys.iter();
        keys.position(|key| key.verify_strict(signed, &headers.signature).is_ok())
            .ok_or(SignatureError::BadSignature)
    }
}

fn check_time(headers: &SignedHeaders, now: i64) -> Result<(), SignatureError> {
    let skew_seconds = now.saturating_sub(headers.sent_at);
    if skew_seconds.unsigned_abs() > TOLERANCE.as_secs() {
        return Err(SignatureError::Stale { skew_seconds });
    }
    Ok(())
}

/// The bytes that Telnyx signs.
#[must_use]
pub fn signed_bytes(timestamp: &[u8], body: &[u8]) -> Vec<u8> {
    [timestamp, b"|", body].concat()
}

fn read_key(key: &str) -> Option<VerifyingKey> {
    let bytes: [u8; 32] = STANDARD.decode(key).ok()?.try_into().ok()?;
    VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak())
}

fn read_signature(header: &[u8]) -> Option<Signature> {
    let bytes: [u8; 64] = STANDARD.decode(header.trim_ascii()).ok()?.try_into().ok()?;
    Some(Signature::from_bytes(&bytes))
}

/// Reads a timestamp of digits only: no sign, space or fraction.
fn read_seconds(header: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(header).ok()?;
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
