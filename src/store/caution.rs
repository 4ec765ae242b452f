//! Whether the writer looks for known rows before it inserts new ones.
//!
//! As a rule nothing of a batch is known, and inserting it shows just that. When something is, all
//! of it is taken back, looked up and written once more. So it is only worth it for batches of
//! some size, and not while Telnyx repeats itself.

/// The smallest batch that is written without a look. Also, a quiet server then leaves no error in
/// the log of PostgreSQL for each repetition.
const LARGE: usize = 8;
/// For how many batches it is looked after something was known.
const BATCHES: u32 = 16;

/// What the batches before make likely.
#[derive(Debug, Default)]
pub(super) struct Caution {
    left: u32,
}

impl Caution {
    /// Whether to look before a batch of so many jobs is written.
    pub(super) fn looks(&self, jobs: usize) -> bool {
        jobs < LARGE || self.left > 0
    }

    /// Learns whether something of a batch was known.
    pub(super) fn learn(&mut self, was_known: bool) {
        self.left = if was_known { BATCHES } else { self.left.saturating_sub(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lasts_as_long_as_something_is_known() {
        let mut caution = Caution::default();
        assert!(caution.looks(LARGE - 1) && !caution.looks(LARGE));
        caution.learn(true);
        for _ in 0..BATCHES {
            assert!(caution.looks(LARGE));
            caution.learn(false);
        }
        assert!(!caution.looks(LARGE));
        caution.learn(false);
        assert!(!caution.looks(LARGE), "no less than none");
    }
}
