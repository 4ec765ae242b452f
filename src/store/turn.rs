//! Whether a send is stored or given up, decided once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whose turn it is with a send. Either the writer takes it and stores it, or its caller does and
/// leaves: then it is surely not stored.
#[derive(Debug, Default)]
pub(super) struct Turn {
    taken: Arc<AtomicBool>,
    is_mine: bool,
}

impl Turn {
    /// The other side's.
    pub(super) fn other(&self) -> Self {
        Self { taken: Arc::clone(&self.taken), is_mine: false }
    }

    /// Whether it is the own one, which it then stays.
    pub(super) fn take(&mut self) -> bool {
        self.is_mine = self.is_mine || !self.taken.swap(true, Ordering::AcqRel);
        self.is_mine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_sides_and_stays_so() {
        for writer_is_first in [true, false] {
            let mut caller = Turn::default();
            let mut writer = caller.other();
            if writer_is_first {
                assert!(writer.take());
            }
            assert_eq!(caller.take(), !writer_is_first);
            for _ in 0..2 {
                assert_eq!(writer.take(), writer_is_first, "also when it is written once more");
                assert_eq!(caller.take(), !writer_is_first);
            }
        }
    }
}
