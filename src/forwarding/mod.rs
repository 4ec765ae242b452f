//! Forwarding: every event of the feed is posted to other programs, signed, in order, at least once.
//!
//! The place of each name is in the database, and so is the lease by which one server at a time forwards
//! to it. A replay has a place of its own beside the live one: its events are delivered between new ones,
//! under the ids that they had.

mod delivery;
mod filter;
mod signature;
mod target;
mod tenure;
mod worker;

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock;
use crate::domain::{
    FeedCursor, Forward, ForwardReplay, ForwardState, ForwardTest, GivenUp, Timestamp,
};
use crate::error::{Code, Error};
use crate::metrics::DeliveryOutcome;
use crate::store::Store;
use crate::store::forwards::{ForwardRange, StoredForward};
use crate::threading::Conversations;
use delivery::Courier;
pub use target::ForwardTarget;
pub(crate) use target::parse_targets;
use worker::Worker;

/// Forwards the events of some conversations. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Forwarder {
    conversations: Conversations,
    targets: Arc<[ForwardTarget]>,
}

impl From<Conversations> for Forwarder {
    /// Forwards to nobody.
    fn from(conversations: Conversations) -> Self {
        Self::new(conversations, Arc::default())
    }
}

impl Forwarder {
    /// Does nothing yet. `targets` are those that are configured here.
    #[must_use]
    pub fn new(conversations: Conversations, targets: Arc<[ForwardTarget]>) -> Self {
        Self { conversations, targets }
    }

    /// The conversations whose events it forwards.
    #[must_use]
    pub fn conversations(&self) -> &Conversations {
        &self.conversations
    }

    fn store(&self) -> &Store {
        self.conversations.store()
    }

    /// Forwards to every name, until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut workers = Vec::new();
        for target in self.targets.iter() {
            match Courier::new(target.clone()) {
                Ok(courier) => workers.push(Worker {
                    forwarder: self.clone(),
                    name: target.name.clone(),
                    filter: target.filter.clone(),
                    courier,
                }),
                Err(error) => tracing::error!(name = target.name, %error, "cannot forward"),
            }
        }
        join_all(workers.into_iter().map(|worker| worker.run(shutdown.clone()))).await;
    }

    /// Where every name stands that is configured here or has ever been forwarded to, by name.
    ///
    /// # Errors
    /// `database_unavailable`.
    pub async fn list(&self) -> Result<Vec<Forward>, Error> {
        let stored = self.store().forwards().await?;
        let ranges = self.store().forward_ranges().await?;
        let now = clock::now();
        let mut all = Vec::new();
        for forward in stored {
            all.push(self.describe(forward, &ranges, now).await?);
        }
        let is_new = |target: &&ForwardTarget| all.iter().all(|known| known.name != target.name);
        let waiting: Vec<_> = self.targets.iter().filter(is_new).map(waiting).collect();
        all.extend(waiting);
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    async fn describe(
        &self,
        stored: StoredForward,
        ranges: &[ForwardRange],
        now: Timestamp,
    ) -> Result<Forward, Error> {
        let live = stored.live;
        let lag = self.store().forward_lag(live.after.position, i64::MAX).await?;
        let age = lag.oldest.map_or(0, |oldest| now.seconds_since(oldest));
        let (mut given_up, mut replaying) = (Vec::new(), 0);
        for range in ranges.iter().filter(|range| range.name == stored.name) {
            let after = range.place.after.position;
            let events = self.store().forward_lag(after, range.until).await?.entries;
            if range.is_given_up {
                given_up.push(GivenUp { from: range.from_at, until: range.until_at, events });
            } else {
                replaying += events;
            }
        }
        let target = self.target(&stored.name);
        Ok(Forward {
            url: target.map(|target| target.url.shown().to_owned()),
            name: stored.name,
            state: match (stored.is_paused, live.failing_since) {
                (true, _) => ForwardState::Paused,
                (_, Some(_)) => ForwardState::Failing,
                _ => ForwardState::Active,
            },
            events_behind: lag.entries,
            seconds_behind: u64::try_from(age).unwrap_or_default(),
            last_success_at: stored.last_success_at,
            failing_since: live.failing_since,
            attempts: live.attempts,
            next_attempt_at: live.next_attempt_at,
            last_error: stored.last_error,
            last_error_at: stored.last_error_at,
            restarted_at: stored.restarted_at,
            given_up,
            replaying,
        })
    }

    fn target(&self, name: &str) -> Option<&ForwardTarget> {
        self.targets.iter().find(|target| target.name == name)
    }

    /// Delivers an event of the kind `test`, once, whatever state the name is in.
    ///
    /// # Errors
    /// `forward_not_found` if the name is not configured here. A failed delivery is not an error.
    pub async fn test(&self, name: &str) -> Result<ForwardTest, Error> {
        let target = self.target(name).ok_or_else(|| {
            not_found(name).hint("CONVO_FORWARD_URL names the receivers, where the server runs")
        })?;
        let courier = Courier::new(target.clone())?;
        let webhook_id = format!("test_{}", Uuid::new_v4().simple());
        let event = json!({
            "cursor": null,
            "kind": "test",
            "at": clock::now(),
            "conversation_id": null,
            "contact_number": null,
        });
        let delivery = courier.post(&webhook_id, event.to_string().into_bytes()).await;
        Ok(ForwardTest {
            webhook_id,
            delivered: delivery.outcome == DeliveryOutcome::Delivered,
            status: delivery.status.map(|status| status.as_u16()),
            error: delivery.error,
        })
    }

    /// Ends a pause, and makes the next attempt due at once. Returns where the name stands then.
    ///
    /// # Errors
    /// `forward_not_found`.
    pub async fn enable(&self, name: &str) -> Result<Forward, Error> {
        if !self.store().writer()?.enable_forward(name).await? {
            return Err(not_begun(name));
        }
        let all = self.list().await?;
        all.into_iter().find(|forward| forward.name == name).ok_or_else(|| not_begun(name))
    }

    /// Delivers again what was given up, or everything from a time up to the live place.
    ///
    /// # Errors
    /// `forward_not_found`.
    pub async fn replay(
        &self,
        name: &str,
        since: Option<Timestamp>,
    ) -> Result<ForwardReplay, Error> {
        let since = match since {
            Some(time) => Some(self.store().feed_before(time).await?),
            None => None,
        };
        let events = self.store().writer()?.replay_forward(name, since).await?;
        let events = events.ok_or_else(|| not_begun(name))?;
        Ok(ForwardReplay { name: name.to_owned(), events })
    }
}

/// The id under which an event is delivered, however often.
fn webhook_id(cursor: FeedCursor) -> String {
    format!("evt_{cursor}")
}

fn not_found(name: &str) -> Error {
    Error::new(Code::ForwardNotFound, format!("nothing is forwarded to '{name}'"))
}

fn not_begun(name: &str) -> Error {
    not_found(name).hint("convo forward list shows the names; a server begins with a new one")
}

/// A name that no server has begun with.
fn waiting(target: &ForwardTarget) -> Forward {
    Forward {
        name: target.name.clone(),
        url: Some(target.url.shown().to_owned()),
        state: ForwardState::Waiting,
        events_behind: 0,
        seconds_behind: 0,
        last_success_at: None,
        failing_since: None,
        attempts: 0,
        next_attempt_at: None,
        last_error: None,
        last_error_at: None,
        restarted_at: None,
        given_up: Vec::new(),
        replaying: 0,
    }
}
