//! Many lines that say the same: the first is let through, then one in a while.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The least time between two lines that say the same.
const INTERVAL: Duration = Duration::from_secs(10);
/// How many different things are let through in that time.
const KINDS: usize = 8;

/// Keeps lines that others can cause at will from filling the log.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<Vec<Kind>>);

/// Lines that say the same.
#[derive(Debug)]
struct Kind {
    what: u64,
    last: Instant,
    left_out: u64,
}

impl Throttle {
    /// One that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Has a line written if it is due. `what` tells lines apart; the writer is told how many like
    /// it were left out since the last one, if any.
    pub fn pass(&self, what: impl Hash, write: impl FnOnce(Option<u64>)) {
        let what = BuildHasherDefault::<DefaultHasher>::default().hash_one(what);
        if let Some(left_out) = self.due(what, Instant::now()) {
            write(Some(left_out).filter(|count| *count > 0));
        }
    }

    fn due(&self, what: u64, now: Instant) -> Option<u64> {
        let is_due = |kind: &Kind| now.saturating_duration_since(kind.last) >= INTERVAL;
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kind) = kinds.iter_mut().find(|kind| kind.what == what) {
            if !is_due(kind) {
                kind.left_out += 1;
                return None;
            }
            kind.last = now;
            return Some(std::mem::take(&mut kind.left_out));
        }
        if kinds.len() >= KINDS {
            let old = kinds.iter().position(is_due)?;
            kinds.swap_remove(old);
        }
        kinds.push(Kind { what, last: now, left_out: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_passes_and_then_one_in_a_while_with_the_count() {
        let throttle = Throttle::new();
        let start = Instant::now();
        let at = |what, seconds| throttle.due(what, start + Duration::from_secs(seconds));
        assert_eq!(at(1, 0), Some(0));
        assert_eq!((at(1, 1), at(1, 9)), (None, None));
        assert_eq!(at(2, 9), Some(0), "something else is no repetition");
        assert_eq!(at(1, 10), Some(2));
        assert_eq!((at(1, 19), at(2, 18)), (None, None));
        assert_eq!(at(1, 3_600), Some(1));
        assert_eq!(at(1, 7_200), Some(0));
    }

    #[test]
    fn however_much_they_differ_only_so_many_pass() {
        let throttle = Throttle::new();
        let start = Instant::now();
        let passed = (0..1_000).filter(|what| throttle.due(*what, start).is_some());
        assert_eq!(passed.count(), KINDS);
        assert_eq!(throttle.due(5_000, start + INTERVAL), Some(0));
    }

    #[test]
    fn nothing_left_out_is_not_told() {
        let throttle = Throttle::new();
        let mut told = Vec::new();
        throttle.pass("same", |left_out| told.push(left_out));
        throttle.pass("same", |left_out| told.push(left_out));
        assert_eq!(told, [None]);
    }
}
