//! Batch verification: many signatures of one key verified together, at less than half the cost of
//! verifying each.
//!
//! ed25519-zebra verifies a random linear combination of the signatures, in which the key is one term however
//! many they are. It holds only if all of them are valid. If it does not hold, each caller verifies its own
//! signature strictly, so an invalid one affects only its sender.
//!
//! Passing here proves as much as strict verification. The combination does not detect some oddities
//! that strict verification refuses (a non-canonical encoding of `R`, and a component of `R` of small
//! order). But the signed hash covers every bit of `R`, so only the holder of the private key can
//! make such a signature, who can make an ordinary one as well.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ed25519_dalek::{Signature, VerifyingKey};
use ed25519_zebra::VerificationKeyBytes;
use ed25519_zebra::batch::{Item, Verifier};
use tokio::sync::oneshot;

/// The fewest signatures for which a batch is faster.
const SMALLEST_BATCH: usize = 2;
/// The most signatures in a batch, beyond which little is gained: while one thread verifies them, another may be
/// idle, and their requests wait for one another.
const LARGEST_BATCH: usize = 16;

/// Verifies the signatures that wait at the same moment together.
#[derive(Debug)]
pub(super) struct BatchVerifier {
    key: VerificationKeyBytes,
    waiting: Mutex<Vec<Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    signature: Item,
    answer: oneshot::Sender<bool>,
}

impl BatchVerifier {
    /// For a key that is not weak: with one of small order, anybody could make signatures that pass.
    pub(super) fn new(key: VerifyingKey) -> Self {
        Self { key: key.to_bytes().into(), waiting: Mutex::default() }
    }

    /// Whether the signature was proven valid in a batch. `false` proves nothing.
    pub(super) async fn is_proven(&self, signature: Signature, signed: &[u8]) -> bool {
        let signature = Item::from((self.key, signature, signed));
        let (answer, proven) = oneshot::channel();
        self.waiting().push(Waiter { signature, answer });
        // Other tasks that are ready with a webhook add theirs before this one continues.
        tokio::task::yield_now().await;
        while let Some(batch) = self.next_batch() {
            let (signatures, answers): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|waiter| (waiter.signature, waiter.answer)).unzip();
            let valid = answers.len() >= SMALLEST_BATCH && are_valid(signatures);
            for answer in answers {
                let _ = answer.send(valid);
            }
        }
        proven.await.unwrap_or(false)
    }

    fn next_batch(&self) -> Option<Vec<Waiter>> {
        let mut waiting = self.waiting();
        let count = waiting.len().min(LARGEST_BATCH);
        (count > 0).then(|| waiting.drain(..count).collect())
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiter>> {
        // A panic during a push or a drain leaves a usable list.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether all of the signatures are valid.
fn are_valid(signatures: Vec<Item>) -> bool {
    let mut batch = Verifier::new();
    signatures.into_iter().for_each(|signature| batch.queue(signature));
    batch.verify(rand::rng()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer, SigningKey};

    /// The order of the base point: adding it to `s` keeps the verification equation true.
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn item(signature: Signature, signed: &[u8]) -> Item {
        Item::from((key().verifying_key().to_bytes().into(), signature, signed))
    }

    /// Verifies eight valid signatures, with one more in the middle if given.
    fn verifies_with(odd: Option<(Signature, &[u8])>) -> bool {
        let key = key();
        let good = |n: u8| item(key.sign(&[n; 40]), &[n; 40]);
        let mut signatures: Vec<_> = (0..8).map(good).collect();
        if let Some((signature, signed)) = odd {
            signatures.insert(4, item(signature, signed));
        }
        are_valid(signatures)
    }

    #[test]
    fn valid_signatures_verify_together() {
        assert!(verifies_with(None));
        assert!(verifies_with(Some((key().sign(b"one more"), b"one more"))));
    }

    #[test]
    fn one_invalid_signature_fails_the_batch() {
        let good = key().sign(b"one more");
        assert!(!verifies_with(Some((good, b"another"))));
        let stranger = SigningKey::from_bytes(&[8; 32]).sign(b"one more");
        assert!(!verifies_with(Some((stranger, b"one more"))));
        assert!(!verifies_with(Some((Signature::from_bytes(&[0; 64]), b"one more"))));
        for place in 0..64 {
            for bit in [1, 0x80] {
                let mut bytes = good.to_bytes();
                bytes[place] ^= bit;
                let damaged = Signature::from_bytes(&bytes);
                assert!(!verifies_with(Some((damaged, b"one more"))), "{place} {bit}");
            }
        }
    }

    #[test]
    fn a_non_canonical_s_is_refused() {
        let good = key().sign(b"signed");
        let mut s = *good.s_bytes();
        let mut carry = 0;
        for (byte, add) in s.iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            (*byte, carry) = ((sum & 0xFF) as u8, sum >> 8);
        }
        let second = Signature::from_components(*good.r_bytes(), s);
        assert!(!verifies_with(Some((second, b"signed"))));
    }

    #[tokio::test]
    async fn an_invalid_signature_proves_nothing_about_the_others() {
        let key = key();
        let batch = BatchVerifier::new(key.verifying_key());
        let ask =
            async |n: u8, signed: [u8; 40]| batch.is_proven(key.sign(&[n; 40]), &signed).await;
        let asked = (0..9_u8).map(|n| ask(n, [7; 40]));
        // All but one are signatures of something else; alone, the valid one would be accepted.
        assert_eq!(futures_util::future::join_all(asked).await, [false; 9]);
        let asked = (0..9_u8).map(|n| ask(n, [n; 40]));
        assert_eq!(futures_util::future::join_all(asked).await, [true; 9]);
        assert!(!ask(1, [1; 40]).await, "one is not a batch");
    }
}
