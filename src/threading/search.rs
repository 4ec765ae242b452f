//! Searching messages, and keeping the search index up to date.

mod page;

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Conversations;
use crate::clock;
use crate::domain::search::{SearchHit, SearchPage, searched_text, stored_at};
use crate::domain::{Cursor, Message, MessageSearch, PhoneNumber, Timestamp};
use crate::error::Error;
use crate::store::search::{NextDocuments, Pending, SearchCandidates, SearchScope};
use page::ResultPage;

/// The pause between two rounds of a server: what it has not added by then, a search adds.
const INTERVAL: Duration = Duration::from_secs(2);
/// How many rows of an index are looked at first if not all of them match.
const FIRST_WINDOW: u64 = 256;
/// The most rows of an index that are looked at together.
const LARGEST_WINDOW: u64 = 4_096;
/// After this many rows of an index, a page ends, however few messages it has.
const MAX_EXAMINED: u64 = 12_000;
/// How many messages are read at once.
const CHUNK: usize = 100;
/// How many texts are read at once.
const TEXTS: usize = 512;

/// Up to where the index has everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coverage {
    /// It is complete.
    Complete,
    /// Messages that were stored before this time may be missing.
    MissingBefore(Timestamp),
}

/// What one step of the index has done.
enum Step {
    Added,
    UpToDate,
}

impl Conversations {
    /// A page of the messages that match a search, newest first, after a position. A page may have fewer
    /// rows than `limit`, even none, without being the last. Before the first page, the index catches up,
    /// for as long as `patience`.
    ///
    /// # Errors
    /// `invalid_request` if the search cannot be answered; `ambiguous_name`; `database_unavailable`.
    pub async fn search(
        &self,
        search: &MessageSearch,
        after: Option<Cursor>,
        limit: u64,
        patience: Duration,
    ) -> Result<SearchPage, Error> {
        search.check()?;
        let incomplete_before = match after {
            // The first page has told.
            Some(_) => None,
            None => match self.catch_up(patience).await? {
                Coverage::Complete => None,
                Coverage::MissingBefore(time) => Some(time),
            },
        };
        let conversation = match self.without_name(search.contact.as_ref()).await? {
            None => None,
            Some(contact) => match self.store.conversation_key(&contact).await? {
                Some(key) => Some(key),
                None => return Ok(SearchPage { hits: Vec::new(), next: None, incomplete_before }),
            },
        };
        let scope = SearchScope { search, conversation };
        let mut page = ResultPage::new(limit);
        let next = self.fill_page(scope, after, &mut page).await?;
        self.add_names(&mut page.hits).await?;
        Ok(SearchPage { hits: page.hits, next, incomplete_before })
    }

    async fn add_names(&self, hits: &mut [SearchHit]) -> Result<(), Error> {
        let names = self.store.names(hits.iter().map(|hit| &hit.contact_number)).await?;
        for hit in hits {
            hit.contact_name = names.get(hit.contact_number.as_str()).cloned();
        }
        Ok(())
    }

    /// Looks at windows of candidates until the page is full. Returns where the next page begins.
    async fn fill_page(
        &self,
        scope: SearchScope<'_>,
        mut after: Option<Cursor>,
        page: &mut ResultPage,
    ) -> Result<Option<Cursor>, Error> {
        let most = u64::try_from(page.limit).unwrap_or(u64::MAX).saturating_add(1);
        let mut window = most.next_power_of_two().clamp(32, LARGEST_WINDOW);
        if !scope.search.is_simple() {
            window = window.max(FIRST_WINDOW);
        }
        let (mut examined, mut step) = (0_u64, 0);
        loop {
            let found = self.store.search_candidates(scope, after, window, step).await?;
            let SearchCandidates { ids, end, step: next } = found;
            if self.look_at(scope.search, &ids, page).await? {
                return Ok(page.last());
            }
            examined += window;
            after = end;
            if end.is_none() || examined >= MAX_EXAMINED {
                return Ok(end);
            }
            step = next;
            window = (window * 4).min(LARGEST_WINDOW);
        }
    }

    /// Adds those of some candidates to the page that match. Returns whether there are more than it takes.
    async fn look_at(
        &self,
        search: &MessageSearch,
        ids: &[Uuid],
        page: &mut ResultPage,
    ) -> Result<bool, Error> {
        for some in ids.chunks(TEXTS) {
            let likely = self.with_matching_texts(search, some).await?;
            let mut rest = &likely[..];
            while !rest.is_empty() {
                let (messages, taken) =
                    self.store.found_messages(&rest[..rest.len().min(CHUNK)]).await?;
                rest = &rest[taken..];
                for (message, contact, marks) in matching(search, messages).await? {
                    if page.is_full(&message) {
                        return Ok(true);
                    }
                    page.add(SearchHit::new(message, contact, &marks));
                }
            }
        }
        Ok(false)
    }

    /// Leaves out messages whose text does not match: texts are read sooner than whole messages.
    async fn with_matching_texts(
        &self,
        search: &MessageSearch,
        ids: &[Uuid],
    ) -> Result<Vec<Uuid>, Error> {
        if ids.len() <= CHUNK || search.terms.is_empty() {
            return Ok(ids.to_vec());
        }
        let texts = self.store.short_texts(ids).await?;
        let search = search.clone();
        let fails = move |(id, text): (Uuid, String)| search.find(&text).is_none().then_some(id);
        let work = move || texts.into_iter().filter_map(fails).collect();
        let others: HashSet<Uuid> =
            tokio::task::spawn_blocking(work).await.map_err(|_| Error::internal())?;
        Ok(ids.iter().copied().filter(|id| !others.contains(id)).collect())
    }

    /// Adds new messages to the search index, in rounds until `shutdown`.
    pub async fn keep_indexing(&self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            if let Some(Err(error)) = shutdown.run_until_cancelled(self.index_slowly()).await {
                tracing::warn!(%error, "messages could not be added to the search index");
            }
            shutdown.run_until_cancelled(tokio::time::sleep(INTERVAL)).await;
        }
    }

    /// Adds what is missing, with pauses.
    async fn index_slowly(&self) -> Result<(), Error> {
        loop {
            let since = Instant::now();
            let step = {
                let _turn = self.indexing.lock().await;
                self.index_step().await?
            };
            if let Step::UpToDate = step {
                return Ok(());
            }
            self.pause_after_step(since).await;
        }
    }

    /// Adds what is missing now, for as long as `patience`, and returns what is missing after that. A
    /// database that cannot be changed stays as it is.
    async fn catch_up(&self, patience: Duration) -> Result<Coverage, Error> {
        let deadline = Instant::now() + patience;
        if self.store.writer().is_ok() {
            match self.add_until(deadline).await {
                Ok(true) => return Ok(Coverage::Complete),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the search index cannot be changed"),
            }
        }
        self.coverage().await
    }

    /// Returns whether the index has what the feed has now, and all that is older.
    async fn add_until(&self, deadline: Instant) -> Result<bool, Error> {
        let head = self.store.feed_head().await?;
        while Instant::now() < deadline {
            let Ok(_turn) = tokio::time::timeout_at(deadline, self.indexing.lock()).await else {
                break;
            };
            if let Step::UpToDate = self.index_step().await? {
                return Ok(true);
            }
            // More may come in all the time.
            if self.store.index_place().await?.is_some_and(|place| place.has_all_until(head)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn coverage(&self) -> Result<Coverage, Error> {
        let now = || Coverage::MissingBefore(clock::now());
        let Some(place) = self.store.index_place().await? else { return Ok(now()) };
        match (self.store.pending_of_feed(place).await?, place.fill_before) {
            (Pending::Next(next), _) if !next.is_nothing() => Ok(now()),
            (Pending::PlaceLost, _) => Ok(now()),
            (_, None) => Ok(Coverage::Complete),
            (_, Some(before)) => {
                let time = stored_at(before).min(clock::now());
                Ok(Coverage::MissingBefore(time))
            }
        }
    }

    /// Adds the next messages: first those that the feed brings, and then older ones.
    async fn index_step(&self) -> Result<Step, Error> {
        let writer = self.store.writer()?;
        let Some(place) = self.store.index_place().await? else {
            writer.begin_index(None).await?;
            return Ok(Step::Added);
        };
        let next: NextDocuments = match self.store.pending_of_feed(place).await? {
            Pending::Next(next) => next,
            Pending::Nothing => match self.store.pending_of_past(place).await? {
                Pending::Next(next) => next,
                _ => return Ok(Step::UpToDate),
            },
            Pending::PlaceLost => {
                writer.begin_index(Some(place)).await?;
                return Ok(Step::Added);
            }
        };
        writer.index(next).await?;
        Ok(Step::Added)
    }
}

type Match = (Message, PhoneNumber, Vec<Range<usize>>);

/// The messages that match, and where. On another thread: a long text takes a while.
async fn matching(
    search: &MessageSearch,
    messages: Vec<(Message, PhoneNumber)>,
) -> Result<Vec<Match>, Error> {
    let search = search.clone();
    let matches = move |(message, contact): (Message, PhoneNumber)| -> Option<Match> {
        // The status may have changed since the candidates were found.
        if !search.admits(&message) {
            return None;
        }
        let text = searched_text(message.subject.as_deref(), &message.body);
        let marks = search.find(&text)?;
        Some((message, contact, marks))
    };
    let work = move || messages.into_iter().filter_map(matches).collect();
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::internal())
}
