//! Many lines that say the same: the first is let through, then one in a while.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The least time between two lines.
const INTERVAL: Duration = Duration::from_secs(10);

/// Keeps one kind of line from filling the log.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    left_out: u64,
}

impl Throttle {
    /// One that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(State { last: None, left_out: 0 }))
    }

    /// Has the line written if it is due. It is told how many were left out since the last one,
    /// if any.
    pub fn pass(&self, write: impl FnOnce(Option<u64>)) {
        if let Some(left_out) = self.due(Instant::now()) {
            write(Some(left_out).filter(|count| *count > 0));
        }
    }

    fn due(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| now.saturating_duration_since(last) < INTERVAL) {
            state.left_out += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_passes_and_then_one_in_a_while_with_the_count() {
        let throttle = Throttle::new();
        let start = Instant::now();
        let at = |seconds| throttle.due(start + Duration::from_secs(seconds));
        assert_eq!(at(0), Some(0));
        assert_eq!((at(1), at(9)), (None, None));
        assert_eq!(at(10), Some(2));
        assert_eq!(at(19), None);
        assert_eq!(at(3_600), Some(1));
        assert_eq!(at(7_200), Some(0));
    }

    #[test]
    fn nothing_left_out_is_not_told() {
        let throttle = Throttle::new();
        let mut told = Vec::new();
        throttle.pass(|left_out| told.push(left_out));
        throttle.pass(|left_out| told.push(left_out));
        assert_eq!(told, [None]);
    }
}
