//! Rate limiting of repeated log lines: the first one is written, then one per interval.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The minimum interval between two lines of the same kind.
const INTERVAL: Duration = Duration::from_secs(10);
/// How many kinds of lines are usually written per interval.
const MAX_KINDS: usize = 8;

/// Keeps lines that others can cause in any number from filling the log.
#[derive(Debug)]
pub(crate) struct Throttle {
    kinds: Mutex<Vec<LineKind>>,
    max_kinds: usize,
}

#[derive(Debug)]
struct LineKind {
    /// A hash of the kind.
    id: u64,
    last: Instant,
    left_out: u64,
}

impl Throttle {
    pub(crate) const fn new() -> Self {
        Self::for_kinds(MAX_KINDS)
    }

    /// Writes lines of at most so many kinds per interval.
    pub(crate) const fn for_kinds(max_kinds: usize) -> Self {
        Self { kinds: Mutex::new(Vec::new()), max_kinds }
    }

    /// Calls `write` if a line of this kind is due, with the number of lines left out since the last
    /// one, if any.
    pub(crate) fn pass(&self, kind: impl Hash, write: impl FnOnce(Option<u64>)) {
        let id = BuildHasherDefault::<DefaultHasher>::default().hash_one(kind);
        if let Some(left_out) = self.due(id, Instant::now()) {
            write(Some(left_out).filter(|count| *count > 0));
        }
    }

    fn due(&self, id: u64, now: Instant) -> Option<u64> {
        let is_due = |kind: &LineKind| now.saturating_duration_since(kind.last) >= INTERVAL;
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kind) = kinds.iter_mut().find(|kind| kind.id == id) {
            if !is_due(kind) {
                kind.left_out += 1;
                return None;
            }
            kind.last = now;
            return Some(std::mem::take(&mut kind.left_out));
        }
        if kinds.len() >= self.max_kinds {
            let old = kinds.iter().position(is_due)?;
            kinds.swap_remove(old);
        }
        kinds.push(LineKind { id, last: now, left_out: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_written_and_then_one_per_interval_with_the_count() {
        let throttle = Throttle::new();
        let start = Instant::now();
        let at = |id, seconds| throttle.due(id, start + Duration::from_secs(seconds));
        assert_eq!(at(1, 0), Some(0));
        assert_eq!((at(1, 1), at(1, 9)), (None, None));
        assert_eq!(at(2, 9), Some(0), "another kind");
        assert_eq!(at(1, 10), Some(2));
        assert_eq!((at(1, 19), at(2, 18)), (None, None));
        assert_eq!(at(1, 3_600), Some(1));
        assert_eq!(at(1, 7_200), Some(0));
    }

    #[test]
    fn the_number_of_kinds_per_interval_is_limited() {
        let throttle = Throttle::new();
        let start = Instant::now();
        let passed = (0..1_000).filter(|id| throttle.due(*id, start).is_some());
        assert_eq!(passed.count(), MAX_KINDS);
        assert_eq!(throttle.due(5_000, start + INTERVAL), Some(0));
    }

    #[test]
    fn a_first_line_has_no_count() {
        let throttle = Throttle::new();
        let mut lines = Vec::new();
        throttle.pass("same", |left_out| lines.push(left_out));
        throttle.pass("same", |left_out| lines.push(left_out));
        assert_eq!(lines, [None]);
    }
}
