//! News of messages' statuses from the feed, for those who wait for them.

use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::follow::Follower;
use crate::backend::Backend;
use crate::domain::{FeedFilter, FeedKind, FeedStart, Selector};

/// The first pause between two reads without news; each one is half as long again as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// News that wait to be taken. Who falls behind reads its message again in any case.
const QUEUE: usize = 256;

/// The ids under which a message is known that has another status.
type Changed = [Option<Uuid>; 2];

/// One reader of the feed for any number of waits.
pub(super) struct StatusNews {
    has_begun: watch::Receiver<bool>,
    changes: broadcast::Receiver<Changed>,
    _task: AbortOnDropHandle<()>,
}

impl StatusNews {
    /// News of one conversation, or of all. Needs a runtime.
    pub(super) fn follow(backend: &Backend, conversation: Option<Uuid>) -> Self {
        let (begun, has_begun) = watch::channel(false);
        let (sender, changes) = broadcast::channel(QUEUE);
        let filter = FeedFilter {
            contact: conversation.map(|id| Selector::new(&id.to_string())),
            kinds: vec![FeedKind::Status],
            ..FeedFilter::default()
        };
        let task = tokio::spawn(follow(backend.clone(), filter, begun, sender));
        Self { has_begun, changes, _task: AbortOnDropHandle::new(task) }
    }

    /// News of one message from now on.
    pub(super) fn of(&self, message: Uuid) -> MessageNews {
        let (has_begun, changes) = (self.has_begun.clone(), self.changes.resubscribe());
        MessageNews { message, has_begun, changes, is_first: true, pause: FIRST_PAUSE }
    }
}

/// Ends where the feed cannot be read, as at an older server, which drops the senders.
async fn follow(
    backend: Backend,
    filter: FeedFilter,
    begun: watch::Sender<bool>,
    sender: broadcast::Sender<Changed>,
) {
    let mut follower = Follower::new(&backend, filter, FeedStart::Now);
    if follower.begin().await.is_err() {
        return;
    }
    begun.send_replace(true);
    while let Ok(event) = follower.next().await {
        let id = event.message.map(|message| message.id);
        // Without a receiver nobody waits any longer, and this ends with them.
        let _ = sender.send([id, event.replaces]);
    }
}

/// News of one message.
pub(super) struct MessageNews {
    message: Uuid,
    has_begun: watch::Receiver<bool>,
    changes: broadcast::Receiver<Changed>,
    is_first: bool,
    pause: Duration,
}

impl MessageNews {
    /// Returns when the message may have another status than when it was last read. If the feed cannot be
    /// read, that is after a pause.
    pub(super) async fn changed(&mut self) {
        // What happens after the feed has begun is told; what happened before shows when the message is
        // read now.
        if std::mem::take(&mut self.is_first)
            && self.has_begun.wait_for(|begun| *begun).await.is_ok()
        {
            return;
        }
        loop {
            match self.changes.recv().await {
                Ok(ids) if ids.contains(&Some(self.message)) => return,
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return,
                Err(broadcast::error::RecvError::Closed) => return self.pause().await,
            }
        }
    }

    /// Waits before the message is read again.
    pub(super) async fn pause(&mut self) {
        sleep(self.pause).await;
        self.pause = longer(self.pause);
    }

    /// Without a feed, and with another first pause.
    #[cfg(test)]
    pub(super) fn none(first_pause: Duration) -> Self {
        let (_, has_begun) = watch::channel(false);
        let (_, changes) = broadcast::channel(1);
        let message = Uuid::nil();
        Self { message, has_begun, changes, is_first: true, pause: first_pause }
    }
}

/// The pause after a pause.
fn longer(pause: Duration) -> Duration {
    (pause * 3 / 2).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_feed_a_minute_is_few_reads_and_the_first_come_soon() {
        let pauses = || std::iter::successors(Some(FIRST_PAUSE), |pause| Some(longer(*pause)));
        let mut waited = Duration::ZERO;
        let reads = pauses().take_while(|pause| {
            waited += *pause;
            waited <= Duration::from_secs(60)
        });
        assert!((15..=25).contains(&reads.count()));
        assert!(pauses().take(3).sum::<Duration>() < Duration::from_secs(2));
    }
}
