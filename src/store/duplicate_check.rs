//! How the writer finds the duplicates in a batch.
//!
//! Usually a batch holds none, and the insert alone shows that. If it does hold one, the whole
//! transaction is rolled back, the duplicates are looked up, and the rest is written. While Telnyx is
//! redelivering, they are looked up at once.

/// The smallest batch whose insert may fail. For smaller ones the little that this saves is not worth an
/// error in PostgreSQL's log for every redelivery.
const FAILING_FROM: usize = 8;
/// In how many batches duplicates are looked up after one that held a duplicate.
const CHECKED_BATCHES: u32 = 16;

/// What duplicates do to the insert of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Duplicates {
    /// They make it fail.
    Fail,
    /// They prevent it; on SQLite, which logs nothing, they make it fail.
    Prevent,
    /// They were looked up and are not inserted.
    AreKnown,
}

/// Decides from the batches before how the duplicates in the next one are found.
#[derive(Debug, Default)]
pub(super) struct DuplicateCheck {
    batches_left: u32,
}

impl DuplicateCheck {
    /// How to find them in a batch of `jobs` jobs.
    pub(super) fn next(&self, jobs: usize) -> Duplicates {
        match self.batches_left {
            0 if jobs >= FAILING_FROM => Duplicates::Fail,
            0 => Duplicates::Prevent,
            _ => Duplicates::AreKnown,
        }
    }

    /// Records whether a batch held a duplicate.
    pub(super) fn record(&mut self, held_duplicate: bool) {
        self.batches_left =
            if held_duplicate { CHECKED_BATCHES } else { self.batches_left.saturating_sub(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_duplicate_the_next_batches_are_looked_up() {
        let mut check = DuplicateCheck::default();
        assert_eq!(check.next(FAILING_FROM - 1), Duplicates::Prevent);
        assert_eq!(check.next(FAILING_FROM), Duplicates::Fail);
        check.record(true);
        for _ in 0..CHECKED_BATCHES {
            assert_eq!(check.next(FAILING_FROM), Duplicates::AreKnown);
            check.record(false);
        }
        assert_eq!(check.next(FAILING_FROM), Duplicates::Fail);
        check.record(false);
        assert_eq!(
            check.next(FAILING_FROM),
            Duplicates::Fail,
            "the count does not wrap below zero"
        );
    }
}
