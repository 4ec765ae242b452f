//! Many signatures of one key checked together, at about a third of the price of one by one.
//!
//! A signature `(R, s)` is good if `R + kA - sB` is zero, `A` being the key, `B` the base point
//! and `k` the hash of `R`, `A` and what was signed. A sum of many such terms, each with a random
//! weight of 128 bits that nobody could foresee, is zero only if all of them are: then one long
//! multiplication answers for all. If it is not zero, or there is any doubt, everybody checks the
//! own signature alone, strictly, so that a bad one harms nobody but its sender.
//!
//! Passing here proves as much as passing alone. The sum is blind to two oddities that the strict
//! check refuses (a second spelling of `R`, a part of `R` of small order), but `k` binds every
//! bit of `R`, so only who holds the private key can make such a signature, and who holds it can
//! make a plain one as well.

use std::sync::{Mutex, PoisonError};

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use curve25519_dalek::{EdwardsPoint, Scalar};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha512};
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
    term: Term,
    answer: oneshot::Sender<bool>,
}

/// A signature as a term of the sum.
#[derive(Debug)]
struct Term {
    r: CompressedEdwardsY,
    s: Scalar,
    k: Scalar,
}

impl Crowd {
    pub(super) fn new(key: VerifyingKey) -> Self {
        Self { key, waiting: Mutex::default() }
    }

    /// Whether the signature was found good together with others. If not, that says nothing.
    pub(super) async fn agrees(&self, signature: &Signature, signed: &[u8]) -> bool {
        let Some(term) = Term::new(&self.key, signature, signed) else { return false };
        let (answer, verdict) = oneshot::channel();
        self.waiting().push(Waiter { term, answer });
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

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waiter>> {
        // A list that somebody left in the middle of a push or a drain is still a list.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Term {
    /// `None` if `s` is not the one spelling of its number.
    fn new(key: &VerifyingKey, signature: &Signature, signed: &[u8]) -> Option<Self> {
        let s = Option::from(Scalar::from_canonical_bytes(*signature.s_bytes()))?;
        let hash = Sha512::new()
            .chain_update(signature.r_bytes())
            .chain_update(key.as_bytes())
            .chain_update(signed);
        let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        Some(Self { r: CompressedEdwardsY(*signature.r_bytes()), s, k })
    }
}

/// Whether all of the signatures are good.
fn are_good(key: &VerifyingKey, waiters: &[Waiter]) -> bool {
    let mut random = vec![[0; 16]; waiters.len()];
    if getrandom::fill(random.as_flattened_mut()).is_err() {
        return false;
    }
    let weights: Vec<Scalar> =
        random.into_iter().map(|bytes| Scalar::from(u128::from_le_bytes(bytes))).collect();
    let terms = || waiters.iter().map(|waiter| &waiter.term);
    let of_key: Scalar = terms().zip(&weights).map(|(term, weight)| weight * term.k).sum();
    let of_base: Scalar = terms().zip(&weights).map(|(term, weight)| weight * term.s).sum();
    let points = terms()
        .map(|term| term.r.decompress())
        .chain([Some(key.to_edwards()), Some(ED25519_BASEPOINT_POINT)]);
    let factors = weights.iter().copied().chain([of_key, -of_base]);
    EdwardsPoint::optional_multiscalar_mul(factors, points).is_some_and(|sum| sum.is_identity())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer, SigningKey};

    fn waiter(key: &SigningKey, signature: &Signature, signed: &[u8]) -> Option<Waiter> {
        let term = Term::new(&key.verifying_key(), signature, signed)?;
        Some(Waiter { term, answer: oneshot::channel().0 })
    }

    /// Eight good signatures, and perhaps one more in the middle of them.
    fn judge(key: &SigningKey, odd: Option<(&Signature, &[u8])>) -> bool {
        let mut waiters: Vec<_> =
            (0..8_u8).filter_map(|n| waiter(key, &key.sign(&[n; 40]), &[n; 40])).collect();
        assert_eq!(waiters.len(), 8);
        if let Some((signature, signed)) = odd {
            match waiter(key, signature, signed) {
                Some(odd) => waiters.insert(4, odd),
                None => return false,
            }
        }
        are_good(&key.verifying_key(), &waiters)
    }

    #[test]
    fn good_signatures_are_good_together() {
        let key = SigningKey::from_bytes(&[7; 32]);
        assert!(judge(&key, None));
        assert!(judge(&key, Some((&key.sign(b"one more"), b"one more"))));
    }

    #[test]
    fn one_that_is_not_good_spoils_the_sum() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let good = key.sign(b"one more");
        assert!(!judge(&key, Some((&good, b"another"))));
        let stranger = SigningKey::from_bytes(&[8; 32]).sign(b"one more");
        assert!(!judge(&key, Some((&stranger, b"one more"))));
        assert!(!judge(&key, Some((&Signature::from_bytes(&[0; 64]), b"one more"))));
        for place in 0..64 {
            for bit in [1, 0x80] {
                let mut bytes = good.to_bytes();
                bytes[place] ^= bit;
                let damaged = Signature::from_bytes(&bytes);
                assert!(!judge(&key, Some((&damaged, b"one more"))), "{place} {bit}");
            }
        }
    }

    #[test]
    fn two_that_only_make_up_for_each_other_are_not_good() {
        // Were the weights the same, the errors of these two would cancel out.
        let key = SigningKey::from_bytes(&[7; 32]);
        let shifted = |signed: &'static [u8], by: Scalar| {
            let good = key.sign(signed);
            let s: Scalar = Option::from(Scalar::from_canonical_bytes(*good.s_bytes()))
                .expect("a number in its one spelling");
            let bad = Signature::from_components(*good.r_bytes(), (s + by).to_bytes());
            waiter(&key, &bad, signed).expect("a term")
        };
        let pair = [shifted(b"one", Scalar::ONE), shifted(b"two", -Scalar::ONE)];
        assert!(!are_good(&key.verifying_key(), &pair));
    }

    #[test]
    fn a_second_spelling_of_s_is_refused() {
        // The order of the base point, added to s, leaves the equation true.
        let key = SigningKey::from_bytes(&[7; 32]);
        let good = key.sign(b"signed");
        let order = (-Scalar::ONE).to_bytes();
        let mut s = *good.s_bytes();
        let mut carry = 1;
        for (byte, add) in s.iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            (*byte, carry) = ((sum & 0xFF) as u8, sum >> 8);
        }
        let second = Signature::from_components(*good.r_bytes(), s);
        assert!(!judge(&key, Some((&second, b"signed"))));
    }

    #[tokio::test]
    async fn a_bad_signature_in_a_crowd_harms_nobody_else() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let crowd = Crowd::new(key.verifying_key());
        let ask = async |n: u8, signed: &[u8]| crowd.agrees(&key.sign(&[n; 40]), signed).await;
        let asked = (0..9_u8).map(|n| ask(n, &[7; 40]));
        // All but one are signatures of something else; alone, the good one would be believed.
        assert_eq!(futures_util::future::join_all(asked).await, [false; 9]);
        let bodies: Vec<_> = (0..9_u8).map(|n| [n; 40]).collect();
        let asked = (0..9_u8).zip(&bodies).map(|(n, body)| ask(n, body));
        assert_eq!(futures_util::future::join_all(asked).await, [true; 9]);
        assert!(!ask(1, &[1; 40]).await, "one is no crowd");
    }
}
