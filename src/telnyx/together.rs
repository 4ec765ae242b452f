//! Many signatures of one key checked together, at less than half of the price of one by one.
//!
//! ed25519-dalek weighs the signatures at random and checks their sum, which is good only if all
//! of them are. If it is not, or there is any doubt, everybody checks the own signature alone,
//! strictly, so that a bad one harms nobody but its sender.
//!
//! Passing here proves as much as passing alone. The sum is blind to two oddities that the strict
//! check refuses (a second spelling of `R`, a part of `R` of small order), but the hash that is
//! signed binds every bit of `R`, so only who holds the private key can make such a signature,
//! and who holds it can make a plain one as well.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ed25519_dalek::{Signature, VerifyingKey, verify_batch};
use tokio::sync::oneshot;

/// The fewest signatures that are worth it.
const FEW: usize = 4;
/// The most at once: nobody else runs on the thread meanwhile.
const MANY: usize = 64;

/// Those whose signatures wait to be checked.
#[derive(Debug)]
pub(super) struct Crowd {
    key: VerifyingKey,
    waiting: Mutex<Vec<Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    signature: Signature,
    signed: Bytes,
    answer: oneshot::Sender<bool>,
}

impl Crowd {
    pub(super) fn new(key: VerifyingKey) -> Self {
        Self { key, waiting: Mutex::default() }
    }

    /// Whether the signature was found good together with others. If not, that says nothing.
    pub(super) async fn agrees(&self, signature: Signature, signed: Bytes) -> bool {
        let (answer, verdict) = oneshot::channel();
        self.waiting().push(Waiter { signature, signed, answer });
        // Whoever else has a webhook at this moment joins the crowd before this task goes on.
        tokio::task::yield_now().await;
        while let Some(batch) = self.next_batch() {
            let good = batch.len() >= FEW && are_good(&self.key, &batch);
            for waiter in batch {
                let _ = waiter.answer.send(good);
            }
        }
        verdict.await.unwrap_or(false)
    }

    fn next_batch(&self) -> Option<Vec<Waiter>> {
        let mut waiting = self.waiting();
        let count = waiting.len().min(MANY);
        (count > 0).then(|| waiting.drain(..count).collect())
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiter>> {
        // A list that somebody left in the middle of a push or a drain is still a list.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether all of the signatures are good.
fn are_good(key: &VerifyingKey, waiters: &[Waiter]) -> bool {
    let signed: Vec<&[u8]> = waiters.iter().map(|waiter| waiter.signed.as_ref()).collect();
    let signatures: Vec<Signature> = waiters.iter().map(|waiter| waiter.signature).collect();
    verify_batch(&signed, &signatures, &vec![*key; waiters.len()]).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer, SigningKey};

    /// The order of the base point: added to `s`, it leaves the equation of a signature true.
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn waiter(signature: Signature, signed: &[u8]) -> Waiter {
        let signed = Bytes::copy_from_slice(signed);
        Waiter { signature, signed, answer: oneshot::channel().0 }
    }

    /// Eight good signatures, and perhaps one more in the middle of them.
    fn judge(odd: Option<(Signature, &[u8])>) -> bool {
        let key = key();
        let good = |n: u8| waiter(key.sign(&[n; 40]), &[n; 40]);
        let mut waiters: Vec<_> = (0..8).map(good).collect();
        if let Some((signature, signed)) = odd {
            waiters.insert(4, waiter(signature, signed));
        }
        are_good(&key.verifying_key(), &waiters)
    }

    #[test]
    fn good_signatures_are_good_together() {
        assert!(judge(None));
        assert!(judge(Some((key().sign(b"one more"), b"one more"))));
    }

    #[test]
    fn one_that_is_not_good_spoils_the_sum() {
        let good = key().sign(b"one more");
        assert!(!judge(Some((good, b"another"))));
        let stranger = SigningKey::from_bytes(&[8; 32]).sign(b"one more");
        assert!(!judge(Some((stranger, b"one more"))));
        assert!(!judge(Some((Signature::from_bytes(&[0; 64]), b"one more"))));
        for place in 0..64 {
            for bit in [1, 0x80] {
                let mut bytes = good.to_bytes();
                bytes[place] ^= bit;
                let damaged = Signature::from_bytes(&bytes);
                assert!(!judge(Some((damaged, b"one more"))), "{place} {bit}");
            }
        }
    }

    #[test]
    fn a_second_spelling_of_s_is_refused() {
        let good = key().sign(b"signed");
        let mut s = *good.s_bytes();
        let mut carry = 0;
        for (byte, add) in s.iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            (*byte, carry) = ((sum & 0xFF) as u8, sum >> 8);
        }
        let second = Signature::from_components(*good.r_bytes(), s);
        assert!(!judge(Some((second, b"signed"))));
    }

    #[tokio::test]
    async fn a_bad_signature_in_a_crowd_harms_nobody_else() {
        let key = key();
        let crowd = Crowd::new(key.verifying_key());
        let ask = async |n: u8, signed: [u8; 40]| {
            crowd.agrees(key.sign(&[n; 40]), Bytes::copy_from_slice(&signed)).await
        };
        let asked = (0..9_u8).map(|n| ask(n, [7; 40]));
        // All but one are signatures of something else; alone, the good one would be believed.
        assert_eq!(futures_util::future::join_all(asked).await, [false; 9]);
        let asked = (0..9_u8).map(|n| ask(n, [n; 40]));
        assert_eq!(futures_util::future::join_all(asked).await, [true; 9]);
        assert!(!ask(1, [1; 40]).await, "one is no crowd");
    }
}
