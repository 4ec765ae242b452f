//! How the writer's last transaction ended, for readiness.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Shared by the writer and those who watch it. Clones refer to the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct LastCommit(Arc<AtomicU8>);

/// How a transaction ended, as far as it says something about the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It was committed.
    Committed,
    /// The database could not take it, for example because its disk is full. This may pass.
    Failed,
    /// The file is corrupt. This does not pass by itself.
    Corrupt,
}

impl LastCommit {
    pub(super) fn record(&self, ending: Ending) {
        self.0.store(ending as u8, Ordering::Relaxed);
    }

    /// [`Committed`](Ending::Committed) before the first one.
    pub(super) fn get(&self) -> Ending {
        let value = self.0.load(Ordering::Relaxed);
        let all = [Ending::Committed, Ending::Failed, Ending::Corrupt];
        all.into_iter().find(|ending| *ending as u8 == value).unwrap_or(Ending::Committed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_last_ending() {
        let writers = LastCommit::default();
        let readers = writers.clone();
        assert_eq!(readers.get(), Ending::Committed);
        for ending in [Ending::Failed, Ending::Corrupt, Ending::Committed] {
            writers.record(ending);
            assert_eq!(readers.get(), ending);
        }
    }
}
