//! What is left of media when they are removed.

use uuid::Uuid;

use super::new_postgres_database;
use crate::clock;
use crate::domain::{ContentHash, MediaState, Message};
use crate::output::samples::inbound;
use crate::store::entity::message::direction;
use crate::store::job::Settlement;
use crate::store::lease::Lease;
use crate::store::media::{FoundMedium, MediaStep, MediumEnd, remove_media};
use crate::store::transaction::WriteTransaction;
use crate::store::{Location, Mode, Purpose, Store};

#[derive(Debug)]
struct Remove(Vec<Uuid>);

impl Settlement for Remove {
    type Output = ();

    async fn write(&self, db: &WriteTransaction) -> Result<(), sea_orm::DbErr> {
        remove_media(db, &self.0).await
    }
}

/// A store whose media are fetched by a test.
struct Fetching {
    store: Store,
    lease: Lease,
}

impl Fetching {
    async fn begin(location: &Location) -> Self {
        let store = Store::open(location, Mode::Real, Purpose::Serve).await.expect("a store");
        let lease = Lease::new("media".to_owned());
        assert!(store.writer().expect("a writer").take_lease(&lease).await.expect("taken"));
        let fetching = Self { store, lease };
        let at = fetching.store.feed_head().await.expect("a place");
        fetching.step(MediaStep::Begin { at }).await;
        fetching
    }

    async fn step(&self, step: MediaStep) {
        let writer = self.store.writer().expect("a writer");
        assert!(writer.media_step(&self.lease, clock::now(), step).await.expect("written"));
    }

    async fn find(&self, message: Uuid, numbers: i32) {
        let created_at = clock::now();
        let found =
            (1..=numbers).map(|number| FoundMedium { message_id: message, number, created_at });
        let to = self.store.feed_head().await.expect("a place");
        self.step(MediaStep::Follow { found: found.collect(), to }).await;
    }

    async fn keep(&self, message_id: Uuid, number: i32, hash: ContentHash) {
        let end = MediumEnd::Kept { hash, size: 3, content_type: "image/png" };
        self.step(MediaStep::End { message_id, number, end }).await;
    }

    async fn states(&self, id: Uuid, count: usize) -> Vec<MediaState> {
        let mut message: Message = inbound("Look");
        message.id = id;
        message.created_at = clock::now();
        message.media = vec![crate::domain::Media::at("https://example.com/"); count];
        assert_eq!(direction(message.direction), 0);
        self.store.add_media_states([&mut message]).await.expect("read");
        message.media.iter().filter_map(|medium| medium.state).collect()
    }

    async fn garbage(&self) -> Vec<(ContentHash, bool)> {
        let mut garbage = self.store.media_garbage(10).await.expect("read");
        garbage.sort_by_key(|(hash, _)| hash.to_string());
        garbage
    }
}

async fn content_is_garbage_once_nothing_refers_to_it(location: Location) {
    let fetching = Fetching::begin(&location).await;
    let [shared, own] =
        ["11", "22"].map(|digits| ContentHash::parse(&digits.repeat(32)).expect("a hash"));
    let [first, second] = [Uuid::now_v7(), Uuid::now_v7()];
    fetching.find(first, 1).await;
    fetching.find(second, 3).await;
    fetching.keep(first, 1, shared).await;
    fetching.keep(second, 1, shared).await;
    fetching.keep(second, 2, own).await;
    use MediaState::{Gone, Kept, Waiting};
    assert_eq!(fetching.states(second, 3).await, [Kept, Kept, Waiting]);
    assert_eq!(fetching.garbage().await, []);

    let writer = fetching.store.writer().expect("a writer");
    writer.settle(Remove(vec![second, Uuid::now_v7()])).await.expect("removed");
    assert_eq!(fetching.states(second, 1).await, [Waiting], "nothing is known of it");
    assert_eq!(fetching.garbage().await, [(shared, true), (own, false)]);
    // It was being fetched while its message was removed.
    fetching.keep(second, 3, own).await;
    assert_eq!(fetching.garbage().await, [(shared, true), (own, false)]);
    fetching.step(MediaStep::Swept { hash: shared }).await;
    fetching.step(MediaStep::Swept { hash: own }).await;

    let expire = async |seconds| {
        writer.expire_media(clock::now().plus_seconds(seconds)).await.expect("removed")
    };
    assert_eq!(expire(-60).await, 0, "none is so old");
    assert_eq!(fetching.states(first, 1).await, [Kept]);
    assert_eq!(expire(60).await, 1);
    assert_eq!(expire(60).await, 0);
    assert_eq!(fetching.states(first, 1).await, [Gone]);
    assert_eq!(fetching.garbage().await, [(shared, false)]);

    let other = Lease::new("media".to_owned());
    let step = MediaStep::Swept { hash: shared };
    assert!(!writer.media_step(&other, clock::now(), step).await.expect("refused"));
    assert_eq!(fetching.garbage().await, [(shared, false)], "only the holder of the lease");
    fetching.store.close().await;
}

#[tokio::test]
async fn content_is_garbage_once_nothing_refers_to_it_on_sqlite() {
    let directory = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite:///{}/media.db", directory.path().display());
    let location = Location::parse(&url, std::path::Path::new("/")).expect("a location");
    content_is_garbage_once_nothing_refers_to_it(location).await;
}

#[tokio::test]
async fn content_is_garbage_once_nothing_refers_to_it_on_postgres() {
    let url = new_postgres_database().await;
    let location = Location::parse(&url, std::path::Path::new("/")).expect("a location");
    content_is_garbage_once_nothing_refers_to_it(location).await;
}
