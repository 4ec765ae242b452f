//! Fetching media, on one server at a time: finding them in the feed and in earlier messages, downloading
//! several at once, and trying again until their links have expired.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Notify, RwLock};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::content::ContentStore;
use super::download::{DownloadFailure, Downloader, is_as_announced};
use super::sweep::sweep;
use crate::clock;
use crate::domain::media::{LINK_LIFE, has_expired, sniffed_type};
use crate::domain::{
    Direction, FeedCursor, FeedFilter, FeedKind, FeedStart, MediaState, Timestamp,
};
use crate::error::{Code, Error};
use crate::metrics;
use crate::store::Store;
use crate::store::lease::Lease;
use crate::store::media::{FoundMedium, MediaProgress, MediaStep, MediumEnd, WaitingMedium};
use crate::threading::{Conversations, tenure};

/// How often to ask for a lease that another server holds.
const TAKE_PAUSE: Duration = Duration::from_secs(2);
/// How many media are downloaded at once. Each is in memory until it is stored.
const PARALLEL: usize = 4;
/// How many events are read at once, and how long to wait for one.
const PAGE: u64 = 100;
const WATCH_TIME: Duration = Duration::from_secs(10);
/// The pause after events, so that those of a busy time are read together.
const GATHER_PAUSE: Duration = Duration::from_millis(250);
/// How often the place is stored while there are no media: a commit a text would be one too many.
const SAVE_INTERVAL: Duration = Duration::from_secs(10);
/// How many earlier messages are looked at in one step, and the pause between two steps.
const WALK_STEP: u64 = 1_000;
const WALK_PAUSE: Duration = Duration::from_millis(50);
/// How long to wait for a medium to be due before looking again.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// The pause between two steps of removing old media: webhooks come first.
const EXPIRE_PAUSE: Duration = Duration::from_millis(50);
/// How often content is deleted to which nothing refers any more.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// The pause after the database failed.
const DATABASE_PAUSE: Duration = Duration::from_secs(2);
/// The first pause after a failed attempt, which doubles with each, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3_600);
/// How often content is refused that is not what its event announced; then it is kept as it comes, since
/// it is not certain that Telnyx's announcements are right.
const UNLIKE_ATTEMPTS: u32 = 3;

/// Fetches the media of the inbound messages of a database.
#[derive(Debug)]
pub struct Fetcher {
    conversations: Conversations,
    content: ContentStore,
    downloader: Downloader,
    /// How long media are kept; `None` for ever.
    keep: Option<Duration>,
    /// There are media to be fetched.
    found: Notify,
    /// Content is stored and noted under a read lock, and deleted under the write lock: nothing is deleted
    /// that is about to be noted.
    sweeping: RwLock<()>,
}

impl Fetcher {
    /// Does nothing yet.
    #[must_use]
    pub fn new(
        conversations: Conversations,
        content: ContentStore,
        downloader: Downloader,
        keep: Option<Duration>,
    ) -> Self {
        let (found, sweeping) = (Notify::new(), RwLock::new(()));
        Self { conversations, content, downloader, keep, found, sweeping }
    }

    /// Fetches whenever this server can have the lease, until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let lease = lease();
            match tenure::take(self.store(), &lease).await {
                Ok(true) => {
                    tracing::debug!("fetching media");
                    let work = shutdown.run_until_cancelled(self.work(&lease));
                    if tenure::hold(self.store(), &lease, work).await.is_none() {
                        tracing::warn!("fetching media stops here: the lease was lost");
                    }
                }
                Ok(false) => {}
                Err(error) => tracing::debug!(%error, "fetching media cannot begin"),
            }
            shutdown.run_until_cancelled(sleep(TAKE_PAUSE)).await;
        }
    }

    fn store(&self) -> &Store {
        self.conversations.store()
    }

    /// Works until the lease is lost.
    async fn work(&self, lease: &Lease) {
        tokio::select! {
            () = self.follow(lease) => {}
            () = self.fetch(lease) => {}
            () = self.keep_sweeping(lease) => {}
        }
    }

    /// Finds media in the feed, and in earlier messages. Returns when the lease is lost.
    async fn follow(&self, lease: &Lease) {
        let mut place = FeedPlace { next: None, saved: Instant::now() };
        loop {
            match self.find(lease, &mut place).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%error, "finding media waits for the database");
                    sleep(DATABASE_PAUSE).await;
                }
            }
        }
    }

    /// One step of finding. Returns whether the lease is still held.
    async fn find(&self, lease: &Lease, place: &mut FeedPlace) -> Result<bool, Error> {
        let Some(progress) = self.store().media_progress().await? else {
            let at = self.store().feed_head().await?;
            return self.write(lease, MediaStep::Begin { at }).await;
        };
        if !progress.is_walked && !self.walk(lease, &progress).await? {
            return Ok(false);
        }
        let patience = if progress.is_walked { WATCH_TIME } else { Duration::ZERO };
        let after = place.next.unwrap_or(progress.place);
        let filter = FeedFilter {
            direction: Some(Direction::Inbound),
            kinds: vec![FeedKind::Message],
            ..FeedFilter::default()
        };
        let reading = self.conversations.events(FeedStart::After(after), &filter, PAGE, patience);
        let page = match reading.await {
            Ok(page) => page,
            Err(error) if error.code() == Code::CursorExpired => {
                tracing::info!("the feed has lost the place of fetching media: it begins anew");
                place.next = None;
                let at = self.store().feed_head().await?;
                return self.write(lease, MediaStep::Begin { at }).await;
            }
            Err(error) => return Err(error),
        };
        let messages = page.events.iter().filter_map(|event| event.message.as_ref());
        let found: Vec<_> = messages.flat_map(FoundMedium::all_of).collect();
        place.next = Some(page.next);
        let is_new = page.next != progress.place;
        if found.is_empty() && (!is_new || place.saved.elapsed() < SAVE_INTERVAL) {
            if !page.events.is_empty() {
                sleep(GATHER_PAUSE).await;
            }
            return Ok(true);
        }
        let is_held = self.write(lease, MediaStep::Follow { found, to: page.next }).await?;
        place.saved = Instant::now();
        self.found.notify_one();
        Ok(is_held)
    }

    /// Looks at some of the earlier messages, newest first, as far as their links may still work. Returns
    /// whether the lease is still held.
    async fn walk(&self, lease: &Lease, progress: &MediaProgress) -> Result<bool, Error> {
        let oldest = first_id_at(clock::now().plus_seconds(-LINK_LIFE));
        let (found, to) = self.store().media_before(progress.walked_to, oldest, WALK_STEP).await?;
        let is_held = self.write(lease, MediaStep::Walk { found, to }).await?;
        self.found.notify_one();
        sleep(WALK_PAUSE).await;
        Ok(is_held)
    }

    /// Downloads what is due, several at once. Returns when the lease is lost.
    async fn fetch(&self, lease: &Lease) {
        let mut running = FuturesUnordered::new();
        let mut names = HashSet::new();
        loop {
            let pause = match self.begin(&mut names, running.len()).await {
                Ok((begun, pause)) => {
                    running.extend(begun.into_iter().map(|medium| self.fetch_one(lease, medium)));
                    pause
                }
                Err(error) => {
                    tracing::warn!(%error, "fetching media waits for the database");
                    DATABASE_PAUSE
                }
            };
            tokio::select! {
                Some((name, is_held)) = running.next() => {
                    names.remove(&name);
                    if !is_held {
                        return;
                    }
                }
                () = self.found.notified() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// The media to begin with now, and how long until others are due.
    async fn begin(
        &self,
        names: &mut HashSet<MediumName>,
        running: usize,
    ) -> Result<(Vec<WaitingMedium>, Duration), Error> {
        if running >= PARALLEL {
            return Ok((Vec::new(), IDLE_TIME));
        }
        // Those that are being fetched are still waiting.
        let waiting = self.store().waiting_media(2 * PARALLEL as u64).await?;
        let now = clock::now();
        let mut begun = Vec::new();
        for medium in waiting {
            if medium.due > now {
                let pause = medium.due.as_micros() - now.as_micros();
                let pause = Duration::from_micros(u64::try_from(pause).unwrap_or_default());
                return Ok((begun, pause.min(IDLE_TIME)));
            }
            if running + begun.len() < PARALLEL && names.insert(name(&medium)) {
                begun.push(medium);
            }
        }
        Ok((begun, IDLE_TIME))
    }

    /// Fetches a medium. Returns its name, and whether the lease is still held.
    async fn fetch_one(&self, lease: &Lease, medium: WaitingMedium) -> (MediumName, bool) {
        let name = name(&medium);
        let written = self.fetch_and_note(lease, medium).await;
        let is_held = written.unwrap_or_else(|error| {
            // It is still waiting, and will be fetched again.
            tracing::warn!(%error, "what became of a media file was not stored");
            true
        });
        (name, is_held)
    }

    async fn fetch_and_note(&self, lease: &Lease, medium: WaitingMedium) -> Result<bool, Error> {
        let (message_id, number) = name(&medium);
        let downloaded = self.download(&medium).await;
        // Until what was stored is noted.
        let _shared = self.sweeping.read().await;
        let end = match downloaded {
            Err(end) => end,
            Ok(content) => {
                let (size, content_type) = (content.len() as u64, sniffed_type(&content));
                match self.content.put(content).await {
                    Ok(hash) => MediumEnd::Kept { hash, size, content_type },
                    Err(error) => failed(&medium, error.to_string(), None),
                }
            }
        };
        note(&medium, &end);
        self.write(lease, MediaStep::End { message_id, number, end }).await
    }

    /// Downloads the content of a medium.
    async fn download(&self, medium: &WaitingMedium) -> Result<bytes::Bytes, MediumEnd> {
        let closed = |state, error: &str| MediumEnd::Closed { state, error: error.to_owned() };
        let Some(announced) = &medium.medium else {
            return Err(closed(MediaState::Gone, "the message is gone"));
        };
        if has_expired(medium.found.created_at, clock::now()) {
            return Err(closed(MediaState::Gone, "the link has expired"));
        }
        match self.downloader.download(&announced.url).await {
            Ok(content)
                if medium.attempts + 1 < UNLIKE_ATTEMPTS
                    && !is_as_announced(&content, announced) =>
            {
                Err(failed(medium, "the content is not what Telnyx announced".to_owned(), None))
            }
            Ok(content) => Ok(content),
            Err(DownloadFailure::TooLarge) => {
                Err(closed(MediaState::TooLarge, "larger than CONVO_MEDIA_MAX"))
            }
            Err(DownloadFailure::NotAllowed) => {
                Err(closed(MediaState::Refused, "the address is not allowed"))
            }
            Err(DownloadFailure::Gone) => Err(closed(MediaState::Gone, "the server answered 410")),
            Err(DownloadFailure::Again { error, asked }) => Err(failed(medium, error, asked)),
        }
    }

    /// Lets go of media that are too old, in small steps.
    async fn expire(&self) -> Result<(), Error> {
        let Some(keep) = self.keep else { return Ok(()) };
        let before = clock::now().minus(keep);
        while self.store().writer()?.expire_media(before).await? > 0 {
            sleep(EXPIRE_PAUSE).await;
        }
        Ok(())
    }

    /// Deletes content to which nothing refers any more, again and again. Returns when the lease is lost.
    async fn keep_sweeping(&self, lease: &Lease) {
        loop {
            if let Err(error) = self.expire().await {
                tracing::warn!(%error, "old media could not be removed");
            }
            let swept = {
                let _alone = self.sweeping.write().await;
                sweep(self.store(), &self.content, lease).await
            };
            match swept {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::warn!(%error, "media that were removed are not deleted yet"),
            }
            sleep(SWEEP_INTERVAL).await;
        }
    }

    async fn write(&self, lease: &Lease, step: MediaStep) -> Result<bool, Error> {
        self.store().writer()?.media_step(lease, clock::now(), step).await
    }
}

/// The place in the feed that was read up to.
struct FeedPlace {
    /// `None` for the stored one.
    next: Option<FeedCursor>,
    saved: Instant,
}

/// The message of a medium and its number.
type MediumName = (Uuid, i32);

fn name(medium: &WaitingMedium) -> MediumName {
    (medium.found.message_id, medium.found.number)
}

/// The lease under which media are fetched and deleted.
pub(super) fn lease() -> Lease {
    Lease::new("media".to_owned())
}

/// A failed attempt, which is repeated after a pause that grows, unless the link has expired by then.
fn failed(medium: &WaitingMedium, error: String, asked: Option<Duration>) -> MediumEnd {
    let pause = pause_after(medium.attempts).max(asked.unwrap_or_default());
    let next = clock::now().plus(pause);
    if has_expired(medium.found.created_at, next) {
        return MediumEnd::Closed { state: MediaState::Gone, error };
    }
    MediumEnd::Failed { next, error }
}

/// The pause after an attempt, before which there were so many.
fn pause_after(attempts: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << attempts.min(16)).min(LONGEST_PAUSE)
}

fn note(medium: &WaitingMedium, end: &MediumEnd) {
    let (id, number) = name(medium);
    let (state, error) = match end {
        MediumEnd::Kept { .. } => (MediaState::Kept, None),
        MediumEnd::Closed { state, error } => (*state, Some(error)),
        MediumEnd::Failed { error, .. } => (MediaState::Waiting, Some(error)),
    };
    metrics::medium_fetched(state);
    if let Some(error) = error {
        let state = state.as_str();
        tracing::info!(%id, number, state, "a media file was not fetched: {error}");
    }
}

/// The lowest id of a message that was stored at a time.
fn first_id_at(time: Timestamp) -> Uuid {
    let millis = u128::try_from(time.as_micros().div_euclid(1_000)).unwrap_or_default();
    Uuid::from_u128(millis << 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_hours() {
        let pauses: Vec<_> = (0..20).map(|attempts| pause_after(attempts).as_secs()).collect();
        assert_eq!(pauses[..4], [10, 20, 40, 80]);
        assert!(pauses.is_sorted() && pauses[19] == 6 * 3_600, "{pauses:?}");
    }

    #[test]
    fn ids_from_a_time_are_not_below_its_first() {
        let before = clock::now();
        let id = Uuid::now_v7();
        assert!(id >= first_id_at(before) && id < first_id_at(clock::now().plus_seconds(1)));
    }
}
