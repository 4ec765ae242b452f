//! The pace of work in the background: webhooks come first.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Conversations;

/// The shortest pause between two steps.
const LEAST_PAUSE: Duration = Duration::from_millis(5);
/// How many times as long as the step before a pause is.
const PAUSE: u32 = 3;
/// The same while others wait to write.
const BUSY_PAUSE: u32 = 15;

impl Conversations {
    /// Pauses after a step that began at a time.
    pub(super) async fn pause_after_step(&self, since: Instant) {
        let waiting = self.store.writer().map_or(0, |writer| writer.queue().0);
        sleep(pause(since.elapsed(), waiting > 0)).await;
    }
}

fn pause(step: Duration, is_busy: bool) -> Duration {
    (step * if is_busy { BUSY_PAUSE } else { PAUSE }).max(LEAST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_is_longer_while_others_wait() {
        let millis = Duration::from_millis;
        assert_eq!(pause(millis(10), false), millis(30));
        assert_eq!(pause(millis(10), true), millis(150));
        assert_eq!(pause(millis(1), false), millis(5));
    }
}
