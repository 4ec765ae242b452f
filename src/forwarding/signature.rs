//! Signatures of forwarded events, as Standard Webhooks prescribe them.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A key for signatures. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SigningSecret(Vec<u8>);

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Whether a key may have so many bytes.
pub(super) fn is_secret_length(bytes: usize) -> bool {
    (24..=64).contains(&bytes)
}

impl SigningSecret {
    pub(super) fn new(key: Vec<u8>) -> Self {
        Self(key)
    }

    fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        // A key of any length is accepted.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// The header `webhook-signature`: one signature for each secret, so that receivers can change to another
/// one at any time. `seconds` is the header `webhook-timestamp`.
pub(super) fn sign(secrets: &[SigningSecret], id: &str, seconds: i64, body: &[u8]) -> String {
    let signatures: Vec<_> = secrets.iter().map(|secret| secret.sign(id, seconds, body)).collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn the_example_of_standard_webhooks_is_signed_alike() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let secrets = [SigningSecret::new(key), SigningSecret::new(vec![7; 24])];
        let signed = sign(
            &secrets,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        let (first, second) = signed.split_once(' ').expect("two signatures");
        assert_eq!(first, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(second.starts_with("v1,") && second != first);
    }
}
