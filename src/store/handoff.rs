//! Which side owns a send that waits in the writer's queue: the writer or its caller.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One side's handle. The first side to take the send owns it for good: the writer stores it, or
/// the caller gives up, and then it is certain not to be stored.
#[derive(Debug, Default)]
pub(super) struct Handoff {
    taken: Arc<AtomicBool>,
    is_mine: bool,
}

impl Handoff {
    /// A handle for the other side.
    pub(super) fn other_side(&self) -> Self {
        Self { taken: Arc::clone(&self.taken), is_mine: false }
    }

    /// Takes the send, unless the other side has. Returns whether this side owns it, now or from
    /// an earlier call.
    pub(super) fn take(&mut self) -> bool {
        self.is_mine = self.is_mine || !self.taken.swap(true, Ordering::AcqRel);
        self.is_mine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_side_to_take_it_keeps_it() {
        for writer_is_first in [true, false] {
            let mut caller = Handoff::default();
            let mut writer = caller.other_side();
            if writer_is_first {
                assert!(writer.take());
            }
            assert_eq!(caller.take(), !writer_is_first);
            for _ in 0..2 {
                assert_eq!(writer.take(), writer_is_first, "also when the batch is retried");
                assert_eq!(caller.take(), !writer_is_first);
            }
        }
    }
}
