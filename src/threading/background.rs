//! The pace of work in the background: webhooks come first.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Conversations;

/// The shortest pause between two steps.
const LEAST_PAUSE: Duration = Duration::from_millis(5);
/// How many times as long as the step before it a pause is.
const PAUSE: u32 = 3;
/// How many times as long it goes on where others wait to write.
const LONGER: u32 = 12;

impl Conversations {
    /// Pauses after a step that began at a time.
    pub(super) async fn pause_after_step(&self, since: Instant) {
        let [pause, longer] = pauses(since.elapsed());
        sleep(pause).await;
        // Not at once after the step: the writer has just taken everything that waited for it.
        if self.store.writer().is_ok_and(|writer| writer.queue().0 > 0) {
            sleep(longer).await;
        }
    }
}

/// The pause after a step that took so long, and by how much it is longer where others wait.
fn pauses(step: Duration) -> [Duration; 2] {
    [(step * PAUSE).max(LEAST_PAUSE), step * LONGER]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_in_proportion_to_the_step() {
        let millis = Duration::from_millis;
        assert_eq!(pauses(millis(10)), [millis(30), millis(120)]);
        assert_eq!(pauses(millis(1))[0], millis(5));
    }
}
