//! Is this webhook from Telnyx, and from now?
//!
//! Telnyx signs `<timestamp header>|<raw body>` with Ed25519 and sends the signature as standard
//! base64, the public key being the raw 32 bytes in base64 (Telnyx: receiving webhooks).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ed25519_dalek::{Signature, VerifyingKey};
use thiserror::Error;

use super::together::Crowd;
use crate::error::{Code, Error};

/// How far a webhook's clock may be from ours, both ways, as in Telnyx's own SDKs.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// Why a webhook is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// No public key is configured, so nothing can be believed.
    #[error("no public key is configured")]
    NoKey,
    /// One of the two headers is missing.
    #[error("a signature header is missing")]
    MissingHeader,
    /// The timestamp is not a number of seconds.
    #[error("the timestamp is no number of seconds")]
    BadTimestamp,
    /// The signature is good, but the two clocks disagree by more than [`TOLERANCE`].
    #[error("the signature is good, but {skew_seconds} s away from this machine's clock")]
    Stale {
        /// This machine's time minus the webhook's.
        skew_seconds: i64,
    },
    /// The signature is not that of any configured key over these bytes.
    #[error("the signature does not fit the body")]
    BadSignature,
}

/// The public keys whose signatures count. Several, so that a key can be rotated.
#[derive(Clone, Debug, Default)]
pub struct Verifier {
    keys: Vec<VerifyingKey>,
    /// Those who wait for the only key; while keys are rotated nobody does.
    crowd: Option<Arc<Crowd>>,
}

/// What the headers of a webhook claim.
struct Claim {
    signature: Signature,
    sent_at: i64,
}

impl Verifier {
    /// Reads the configured keys: base64 of 32 bytes each.
    ///
    /// # Errors
    /// `not_configured` when one of them is no such key.
    pub fn new(keys: &[String]) -> Result<Self, Error> {
        let keys = keys.iter().map(|key| read_key(key.trim())).collect::<Option<Vec<_>>>();
        let keys = keys.ok_or_else(|| {
            Error::new(Code::NotConfigured, "TELNYX_PUBLIC_KEY is not an Ed25519 public key").hint(
                "copy it from the Telnyx portal (Keys & Credentials, Public Key): 44 characters \
                 of base64",
            )
        })?;
        let crowd = match keys.as_slice() {
            [only] => Some(Arc::new(Crowd::new(*only))),
            _ => None,
        };
        Ok(Self { keys, crowd })
    }

    /// Whether there is no key, in which case every webhook is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Believes a webhook or says why not. The body counts byte for byte; `now` is in seconds
    /// since the Unix epoch.
    ///
    /// # Errors
    /// [`SignatureError`]; every one of them means that nothing of the body may be trusted.
    pub fn verify(
        &self,
        timestamp: Option<&[u8]>,
        signature: Option<&[u8]>,
        body: &[u8],
        now: i64,
    ) -> Result<(), SignatureError> {
        let (claim, signed) = self.read(timestamp, signature, body)?;
        self.judge(&claim, &signed)?;
        check_time(&claim, now)
    }

    /// As [`verify`](Self::verify), at a fraction of the cost where many webhooks come at once.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub async fn verify_among_others(
        &self,
        timestamp: Option<&[u8]>,
        signature: Option<&[u8]>,
        body: &[u8],
        now: i64,
    ) -> Result<(), SignatureError> {
        let (claim, signed) = self.read(timestamp, signature, body)?;
        let good = match &self.crowd {
            Some(crowd) => crowd.agrees(claim.signature, signed.clone()).await,
            None => false,
        };
        if !good {
            self.judge(&claim, &signed)?;
        }
        check_time(&claim, now)
    }

    fn read(
        &self,
        timestamp: Option<&[u8]>,
        signature: Option<&[u8]>,
        body: &[u8],
    ) -> Result<(Claim, Bytes), SignatureError> {
        if self.keys.is_empty() {
            return Err(SignatureError::NoKey);
        }
        let timestamp = timestamp.ok_or(SignatureError::MissingHeader)?;
        let signature = signature.ok_or(SignatureError::MissingHeader)?;
        let sent_at = read_seconds(timestamp).ok_or(SignatureError::BadTimestamp)?;
        let signature = read_signature(signature).ok_or(SignatureError::BadSignature)?;
        Ok((Claim { signature, sent_at }, signed_bytes(timestamp, body).into()))
    }

    /// What the keys say, one signature by itself.
    fn judge(&self, claim: &Claim, signed: &[u8]) -> Result<(), SignatureError> {
        if self.keys.iter().any(|key| key.verify_strict(signed, &claim.signature).is_ok()) {
            Ok(())
        } else {
            Err(SignatureError::BadSignature)
        }
    }
}

fn check_time(claim: &Claim, now: i64) -> Result<(), SignatureError> {
    let skew_seconds = now.saturating_sub(claim.sent_at);
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

/// Digits only: no sign, no space, no fraction.
fn read_seconds(header: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(header).ok()?;
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer, SigningKey};

    const NOW: i64 = 1_700_000_000;
    const BODY: &[u8] = br#"{"data":{"event_type":"message.received"}}"#;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn verifier() -> Verifier {
        Verifier::new(&[STANDARD.encode(key().verifying_key().as_bytes())]).expect("a good key")
    }

    fn sign(timestamp: &str, body: &[u8]) -> String {
        STANDARD.encode(key().sign(&signed_bytes(timestamp.as_bytes(), body)).to_bytes())
    }

    fn verify(timestamp: &str, signature: &str, body: &[u8]) -> Result<(), SignatureError> {
        verifier().verify(Some(timestamp.as_bytes()), Some(signature.as_bytes()), body, NOW)
    }

    /// A timestamp `offset` seconds from now, well signed.
    fn at(offset: i64) -> Result<(), SignatureError> {
        let timestamp = (NOW + offset).to_string();
        verify(&timestamp, &sign(&timestamp, BODY), BODY)
    }

    #[derive(serde::Deserialize)]
    struct Vector {
        key: String,
        public_key: String,
        timestamp: String,
        body: String,
        signature: String,
    }

    #[test]
    fn published_keys_and_bodies_verify() {
        let file = include_str!("../../tests/telnyx/signature-vectors.json");
        let vectors: Vec<Vector> = serde_json::from_str(file).expect("the vectors parse");
        assert!(vectors.len() >= 7);
        for case in vectors {
            let verifier = Verifier::new(std::slice::from_ref(&case.public_key)).expect("a key");
            let now = case.timestamp.parse::<i64>().expect("seconds") + 1;
            let (time, signature) = (case.timestamp.as_bytes(), case.signature.as_bytes());
            let verify = |body: &[u8]| verifier.verify(Some(time), Some(signature), body, now);
            assert_eq!(verify(case.body.as_bytes()), Ok(()), "{}", case.key);
            let longer = format!("{} ", case.body);
            assert_eq!(
                verify(longer.as_bytes()),
                Err(SignatureError::BadSignature),
                "{}",
                case.key
            );
        }
    }

    #[test]
    fn five_minutes_either_way_are_tolerated() {
        for offset in [0, -120, -299, -300, 300] {
            assert_eq!(at(offset), Ok(()), "{offset}");
        }
        for offset in [-301, 301, -400, 400, -600, 600] {
            assert_eq!(at(offset), Err(SignatureError::Stale { skew_seconds: -offset }));
        }
    }

    #[test]
    fn a_timestamp_is_digits() {
        for timestamp in [
            "not-a-number",
            "not-an-integer",
            "invalid_timestamp",
            "",
            "+1700000000",
            "-5",
            "1700000000.0",
            " 1700000000",
            "99999999999999999999",
        ] {
            let refused = verify(timestamp, &sign(timestamp, BODY), BODY);
            assert_eq!(refused, Err(SignatureError::BadTimestamp), "{timestamp:?}");
        }
        for timestamp in ["0", "5", "9999999999"] {
            let refused = verify(timestamp, &sign(timestamp, BODY), BODY);
            assert!(matches!(refused, Err(SignatureError::Stale { .. })), "{timestamp}");
        }
    }

    #[test]
    fn what_is_no_signature_is_refused() {
        let now = NOW.to_string();
        let mut flipped = key().sign(&signed_bytes(now.as_bytes(), BODY)).to_bytes();
        flipped[0] ^= 0xFF;
        let good = sign(&now, BODY);
        for signature in [
            "not-valid-base64!!!".to_owned(),
            "%%%".to_owned(),
            "dGVzdA==".to_owned(),
            "dGVzdHNpZ25hdHVyZQ==".to_owned(),
            STANDARD.encode([0; 64]),
            STANDARD.encode(flipped),
            good.trim_end_matches('=').to_owned(),
            format!("{good}{good}"),
            String::new(),
        ] {
            let refused = verify(&now, &signature, BODY);
            assert_eq!(refused, Err(SignatureError::BadSignature), "{signature}");
        }
    }

    #[test]
    fn another_body_or_key_is_refused_and_spaces_count() {
        let now = NOW.to_string();
        let tampered = br#"{"data":{"event_type":"message.received","tampered":true}}"#;
        assert_eq!(verify(&now, &sign(&now, BODY), tampered), Err(SignatureError::BadSignature));
        let spaced = [b" ", BODY, b" "].concat();
        assert_eq!(verify(&now, &sign(&now, &spaced), &spaced), Ok(()));
        assert_eq!(verify(&now, &sign(&now, &spaced), BODY), Err(SignatureError::BadSignature));
        let other = Verifier::new(&[STANDARD.encode([b'A'; 32])]);
        if let Ok(other) = other {
            let refused =
                other.verify(Some(now.as_bytes()), Some(sign(&now, BODY).as_bytes()), BODY, NOW);
            assert_eq!(refused, Err(SignatureError::BadSignature));
        }
    }

    #[tokio::test]
    async fn among_others_the_same_is_believed() {
        let time = |offset: i64| (NOW + offset).to_string();
        let old = STANDARD.encode(SigningKey::from_bytes(&[1; 32]).verifying_key().as_bytes());
        let new = STANDARD.encode(key().verifying_key().as_bytes());
        let cases = [
            (time(0), sign(&time(0), b"another body")),
            (time(1), sign(&time(0), BODY)),
            (time(301), sign(&time(301), BODY)),
            (time(0), STANDARD.encode([0; 64])),
            ("soon".to_owned(), sign("soon", BODY)),
        ];
        for keys in [vec![new.clone()], vec![old, new]] {
            let verifier = Verifier::new(&keys).expect("good keys");
            // A bad one comes among those that are all good without it.
            for case in &cases {
                let good = (0..10).map(|n| (time(n), sign(&time(n), BODY)));
                let crowd: Vec<_> = good.chain([case.clone()]).collect();
                let asked = crowd.iter().map(|(time, signature)| {
                    let (time, signature) = (time.as_bytes(), signature.as_bytes());
                    verifier.verify_among_others(Some(time), Some(signature), BODY, NOW)
                });
                let verdicts = futures_util::future::join_all(asked).await;
                for ((time, signature), verdict) in crowd.iter().zip(verdicts) {
                    let (time, signature) = (time.as_bytes(), signature.as_bytes());
                    let alone = verifier.verify(Some(time), Some(signature), BODY, NOW);
                    assert_eq!(verdict, alone);
                }
            }
        }
    }

    #[test]
    fn headers_and_keys_must_be_there() {
        let now = NOW.to_string();
        let signature = sign(&now, BODY);
        let (time, sig) = (Some(now.as_bytes()), Some(signature.as_bytes()));
        assert_eq!(verifier().verify(None, sig, BODY, NOW), Err(SignatureError::MissingHeader));
        assert_eq!(verifier().verify(time, None, BODY, NOW), Err(SignatureError::MissingHeader));
        let none = Verifier::default();
        assert_eq!(none.verify(time, sig, BODY, NOW), Err(SignatureError::NoKey));
    }

    #[test]
    fn a_second_key_serves_during_rotation() {
        let old = STANDARD.encode(SigningKey::from_bytes(&[1; 32]).verifying_key().as_bytes());
        let new = format!(" {} ", STANDARD.encode(key().verifying_key().as_bytes()));
        let both = Verifier::new(&[old, new]).expect("two good keys");
        let now = NOW.to_string();
        assert_eq!(
            both.verify(Some(now.as_bytes()), Some(sign(&now, BODY).as_bytes()), BODY, NOW),
            Ok(())
        );
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_stranger_sends_is_refused(
            time in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40),
            signature in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..120),
            body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60),
        ) {
            let encoded = STANDARD.encode(&signature);
            for signature in [signature.as_slice(), encoded.as_bytes()] {
                let refused = verifier().verify(Some(&time), Some(signature), &body, NOW);
                proptest::prop_assert!(refused.is_err());
            }
        }
    }

    #[test]
    fn what_is_no_key_is_refused_at_start() {
        let zero = STANDARD.encode([0; 32]);
        for key in ["dGVzdA==", "not-valid-base64!!!", "invalid-key", "whsec_aaaaaaaaaa", "", &zero]
        {
            let refused = Verifier::new(&[key.to_owned()]).expect_err(key);
            assert_eq!(refused.code(), Code::NotConfigured);
        }
    }
}
