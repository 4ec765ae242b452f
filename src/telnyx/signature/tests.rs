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

/// Verifies a valid signature whose timestamp is `offset` seconds from now.
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
    let file = include_str!("../../../tests/telnyx/signature-vectors.json");
    let vectors: Vec<Vector> = serde_json::from_str(file).expect("the vectors parse");
    assert!(vectors.len() >= 7);
    for case in vectors {
        let verifier = Verifier::new(std::slice::from_ref(&case.public_key)).expect("a key");
        let now = case.timestamp.parse::<i64>().expect("seconds") + 1;
        let (time, signature) = (case.timestamp.as_bytes(), case.signature.as_bytes());
        let verify = |body: &[u8]| verifier.verify(Some(time), Some(signature), body, now);
        assert_eq!(verify(case.body.as_bytes()), Ok(()), "{}", case.key);
        let longer = format!("{} ", case.body);
        assert_eq!(verify(longer.as_bytes()), Err(SignatureError::BadSignature), "{}", case.key);
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
fn an_invalid_signature_is_rejected() {
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
fn another_body_or_key_is_rejected_and_spaces_count() {
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
async fn a_batch_accepts_and_rejects_the_same() {
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
        // One invalid signature among others that are all valid.
        for case in &cases {
            let good = (0..10).map(|n| (time(n), sign(&time(n), BODY)));
            let batch: Vec<_> = good.chain([case.clone()]).collect();
            let asked = batch.iter().map(|(time, signature)| {
                let (time, signature) = (time.as_bytes(), signature.as_bytes());
                verifier.verify_in_batch(Some(time), Some(signature), BODY, NOW)
            });
            let verdicts = futures_util::future::join_all(asked).await;
            for ((time, signature), verdict) in batch.iter().zip(verdicts) {
                let (time, signature) = (time.as_bytes(), signature.as_bytes());
                let alone = verifier.verify(Some(time), Some(signature), BODY, NOW);
                assert_eq!(verdict.map(drop), alone);
            }
        }
    }
}

#[test]
fn missing_headers_and_keys_are_rejected() {
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
    fn random_headers_are_rejected(
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
fn an_invalid_key_is_rejected() {
    let zero = STANDARD.encode([0; 32]);
    for key in ["dGVzdA==", "not-valid-base64!!!", "invalid-key", "whsec_aaaaaaaaaa", "", &zero] {
        let refused = Verifier::new(&[key.to_owned()]).expect_err(key);
        assert_eq!(refused.code(), Code::NotConfigured);
    }
}
