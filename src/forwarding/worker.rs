//! Forwarding to one name: in order, until the receiver has each event.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::delivery::{Courier, DeliveryEnd};
use super::{Forwarder, webhook_id};
use crate::clock;
use crate::domain::forward::{PATIENCE, pause_after};
use crate::domain::{FeedCursor, FeedEvent, FeedFilter, FeedPage, FeedStart, Timestamp};
use crate::error::{Code, Error};
use crate::metrics::DeliveryOutcome;
use crate::store::forwards::{ForwardPart, ForwardPlace, ForwardStep, StoredForward};
use crate::store::lease::Lease;

/// How many events are read at once.
const PAGE: u64 = 50;
/// How long to wait for events before looking whether somebody enabled a name or asked for a replay.
const WATCH_TIME: Duration = Duration::from_secs(1);
/// How often the place is stored while deliveries go well: after a crash, what was delivered since is
/// delivered again.
const SAVE_INTERVAL: Duration = Duration::from_millis(250);
/// How long a delivery may still take at a shutdown.
const GRACE: Duration = Duration::from_secs(2);
/// The pause after the database failed.
const DATABASE_PAUSE: Duration = Duration::from_secs(2);

/// Forwards to one name.
pub(super) struct Worker {
    pub(super) forwarder: Forwarder,
    pub(super) name: String,
    pub(super) filter: FeedFilter,
    pub(super) courier: Courier,
}

/// What to do after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextStep {
    /// There may be more to do.
    Now,
    /// Nothing to do for so long.
    After(Duration),
    /// Another process has the lease, or this one shuts down.
    Stop,
}

/// What became of a page.
struct PostedPage {
    /// The last event that was delivered, and when.
    reached: Option<(FeedCursor, Timestamp)>,
    ended: PageEnd,
}

enum PageEnd {
    All,
    Failed(DeliveryEnd),
    /// This process shuts down, or has lost the lease.
    Stopped,
}

impl Worker {
    /// Forwards under a lease, until it is lost or `shutdown`.
    pub(super) async fn work(&self, lease: &Lease, shutdown: &CancellationToken) {
        while !shutdown.is_cancelled() {
            let pause = match self.step(lease, shutdown).await {
                Ok(NextStep::Now) => continue,
                Ok(NextStep::After(pause)) => pause,
                Ok(NextStep::Stop) => return,
                Err(error) => {
                    tracing::warn!(name = self.name, %error, "forwarding waits for the database");
                    DATABASE_PAUSE
                }
            };
            shutdown.run_until_cancelled(sleep(pause)).await;
        }
    }

    /// Delivers a page of what is due: first of what follows the live place, then of a replay.
    async fn step(&self, lease: &Lease, shutdown: &CancellationToken) -> Result<NextStep, Error> {
        let store = self.forwarder.store();
        let Some(stored) = store.forward(&self.name).await? else {
            let at = store.feed_head().await?;
            return self.write(lease, ForwardStep::Begin { at }).await;
        };
        if stored.is_paused {
            return Ok(NextStep::After(WATCH_TIME));
        }
        let now = clock::now();
        let replay = store.forward_replay(&self.name).await?.map(|range| range.place);
        let replay = replay.filter(|place| is_due(place, now));
        let is_live_due = is_due(&stored.live, now);
        if is_live_due {
            let wait = if replay.is_some() { Duration::ZERO } else { WATCH_TIME };
            let next = self.live(lease, &stored, wait, shutdown).await?;
            if next != NextStep::Now {
                return Ok(next);
            }
        }
        match replay {
            Some(place) => self.replay(lease, &place, shutdown).await,
            None if is_live_due => Ok(NextStep::Now),
            None => Ok(NextStep::After(WATCH_TIME)),
        }
    }

    async fn live(
        &self,
        lease: &Lease,
        stored: &StoredForward,
        wait: Duration,
        shutdown: &CancellationToken,
    ) -> Result<NextStep, Error> {
        let place = &stored.live;
        let old = clock::now().minus(PATIENCE);
        if fails_since(stored).is_some_and(|since| since <= old) {
            let to = self.forwarder.store().feed_before(old).await?;
            if to.position > place.after.position {
                return self.give_up(lease, place.after, to, old).await;
            }
        }
        let reading = self.forwarder.conversations().events(
            FeedStart::After(place.after),
            &self.filter,
            PAGE,
            wait,
        );
        match shutdown.run_until_cancelled(reading).await {
            None => Ok(NextStep::Stop),
            Some(Ok(page)) => self.deliver(lease, place, page, shutdown).await,
            Some(Err(error)) if error.code() == Code::CursorExpired => {
                self.restart(lease, place.after).await
            }
            Some(Err(error)) => Err(error),
        }
    }

    async fn replay(
        &self,
        lease: &Lease,
        place: &ForwardPlace,
        shutdown: &CancellationToken,
    ) -> Result<NextStep, Error> {
        let ForwardPart::Replay { id, until } = place.part else { return Ok(NextStep::Now) };
        if place.after.position >= until {
            return self.write(lease, ForwardStep::EndReplay { id }).await;
        }
        if place.failing_since.is_some_and(|since| since <= clock::now().minus(PATIENCE)) {
            return self.write(lease, ForwardStep::GiveUpReplay { id }).await;
        }
        let start = FeedStart::After(place.after);
        let reading =
            self.forwarder.conversations().events(start, &self.filter, PAGE, Duration::ZERO);
        match reading.await {
            Ok(mut page) => {
                page.events.retain(|event| event.cursor.position <= until);
                self.deliver(lease, place, page, shutdown).await
            }
            Err(error) if error.code() == Code::CursorExpired => {
                let oldest = self.oldest().await?;
                if oldest.position < place.after.position || oldest.position >= until {
                    tracing::warn!(name = self.name, "what was to be replayed is no longer kept");
                    return self.write(lease, ForwardStep::EndReplay { id }).await;
                }
                let (part, delivered_at) = (place.part, None);
                self.write(lease, ForwardStep::Advance { part, to: oldest, delivered_at }).await
            }
            Err(error) => Err(error),
        }
    }

    /// Delivers a page, and stores how that went.
    async fn deliver(
        &self,
        lease: &Lease,
        place: &ForwardPlace,
        page: FeedPage,
        shutdown: &CancellationToken,
    ) -> Result<NextStep, Error> {
        let part = place.part;
        let posted = self.post_all(lease, part, &page.events, shutdown).await?;
        let to = match (&posted.ended, posted.reached) {
            (PageEnd::All, _) => Some(page.next),
            (_, reached) => reached.map(|(cursor, _)| cursor),
        };
        if let Some(to) = to.filter(|to| *to != place.after) {
            let delivered_at = posted.reached.map(|(_, at)| at);
            let step = ForwardStep::Advance { part, to, delivered_at };
            if self.write(lease, step).await? == NextStep::Stop {
                return Ok(NextStep::Stop);
            }
        }
        let attempts = if posted.reached.is_some() { 0 } else { place.attempts };
        match posted.ended {
            PageEnd::All => Ok(NextStep::Now),
            PageEnd::Stopped => Ok(NextStep::Stop),
            PageEnd::Failed(delivery) => self.failed(lease, part, attempts + 1, delivery).await,
        }
    }

    /// Posts events one after the other, as long as they are accepted.
    async fn post_all(
        &self,
        lease: &Lease,
        part: ForwardPart,
        events: &[FeedEvent],
        shutdown: &CancellationToken,
    ) -> Result<PostedPage, Error> {
        let mut reached = None;
        let mut saved = Instant::now();
        for event in events {
            let (id, body) = (webhook_id(event.cursor), to_json(event)?);
            let delivery = tokio::select! {
                delivery = self.courier.post(&id, body) => delivery,
                () = grace(shutdown) => return Ok(PostedPage { reached, ended: PageEnd::Stopped }),
            };
            if delivery.outcome != DeliveryOutcome::Delivered {
                return Ok(PostedPage { reached, ended: PageEnd::Failed(delivery) });
            }
            let (to, at) = (event.cursor, clock::now());
            reached = Some((to, at));
            if shutdown.is_cancelled() {
                return Ok(PostedPage { reached, ended: PageEnd::Stopped });
            }
            if saved.elapsed() >= SAVE_INTERVAL {
                let step = ForwardStep::Advance { part, to, delivered_at: Some(at) };
                if self.write(lease, step).await? == NextStep::Stop {
                    return Ok(PostedPage { reached, ended: PageEnd::Stopped });
                }
                saved = Instant::now();
            }
        }
        Ok(PostedPage { reached, ended: PageEnd::All })
    }

    async fn failed(
        &self,
        lease: &Lease,
        part: ForwardPart,
        attempts: u32,
        delivery: DeliveryEnd,
    ) -> Result<NextStep, Error> {
        let error = delivery.error.unwrap_or_default();
        if delivery.outcome == DeliveryOutcome::Gone {
            tracing::warn!(name = self.name, "forwarding pauses: the receiver answered 410");
            return self.write(lease, ForwardStep::Pause { error }).await;
        }
        let pause = pause_after(attempts, delivery.retry_after);
        tracing::warn!(name = self.name, attempts, ?pause, "forwarding failed: {error}");
        let next = clock::now().plus(pause);
        self.write(lease, ForwardStep::Fail { part, attempts, next, error }).await
    }

    async fn give_up(
        &self,
        lease: &Lease,
        after: FeedCursor,
        to: FeedCursor,
        until_at: Timestamp,
    ) -> Result<NextStep, Error> {
        tracing::error!(
            name = self.name,
            "forwarding gives up what is older than three days; convo forward replay sends it again"
        );
        self.write(lease, ForwardStep::GiveUp { after, to, until_at }).await
    }

    /// Goes on where the feed has lost the place: with the oldest entry if what came before it was
    /// removed; in another feed, such as that of a restored database, from now on.
    async fn restart(&self, lease: &Lease, lost: FeedCursor) -> Result<NextStep, Error> {
        let oldest = self.oldest().await?;
        let at = if lost.position < oldest.position {
            tracing::error!(name = self.name, "events were removed before they were forwarded");
            oldest
        } else {
            tracing::warn!(name = self.name, "this is another feed: forwarding begins anew");
            self.forwarder.store().feed_head().await?
        };
        self.write(lease, ForwardStep::Restart { at }).await
    }

    async fn oldest(&self) -> Result<FeedCursor, Error> {
        self.forwarder.store().feed_before(Timestamp::from_micros(i64::MIN)).await
    }

    async fn write(&self, lease: &Lease, step: ForwardStep) -> Result<NextStep, Error> {
        let writer = self.forwarder.store().writer()?;
        let is_held = writer.forward_step(lease, &self.name, clock::now(), step).await?;
        Ok(if is_held { NextStep::Now } else { NextStep::Stop })
    }
}

fn is_due(place: &ForwardPlace, now: Timestamp) -> bool {
    place.next_attempt_at.is_none_or(|at| at <= now)
}

/// From when patience counts while deliveries fail: the last success, or the first failure of a name that
/// never had one.
fn fails_since(stored: &StoredForward) -> Option<Timestamp> {
    let first_failure = stored.live.failing_since?;
    Some(stored.last_success_at.unwrap_or(first_failure))
}

fn to_json(event: &FeedEvent) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(event).map_err(|error| {
        tracing::error!(%error, "an event could not be serialized");
        Error::internal()
    })
}

/// Returns some time after a shutdown was asked for.
async fn grace(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    sleep(GRACE).await;
}
