//! Messages that leave take their words with them.

use sea_orm::{ConnectionTrait, DbErr, EntityTrait, Statement};
use uuid::Uuid;

use super::activity::{event, message};
use super::new_postgres_database;
use crate::domain::search::Term;
use crate::domain::{Direction, MessageSearch};
use crate::store::entity::message as messages;
use crate::store::job::Settlement;
use crate::store::model::Change;
use crate::store::search::{self, Pending, SearchScope};
use crate::store::transaction::WriteTransaction;
use crate::store::{Location, Mode, Purpose, Store};

/// What removing messages does in its transaction.
#[derive(Debug)]
struct Removal(Uuid, i64);

impl Settlement for Removal {
    type Output = ();

    async fn write(&self, db: &WriteTransaction) -> Result<(), DbErr> {
        messages::Entity::delete_by_id(self.0).exec(db).await?;
        search::remove(db, &[(self.0, self.1)]).await
    }
}

async fn receive(store: &Store, body: &str) -> Uuid {
    let message =
        crate::store::model::NewMessage { body: body.to_owned(), ..message(1, Direction::Inbound) };
    let id = message.id;
    let change = Change::Message(Box::new(message), None);
    store.writer().expect("a writer").event(event(change)).await.expect("stored");
    id
}

async fn next(store: &Store) -> Pending {
    let place = store.index_place().await.expect("read").expect("begun");
    store.pending_of_feed(place).await.expect("read")
}

async fn index(store: &Store) {
    let writer = store.writer().expect("a writer");
    if store.index_place().await.expect("read").is_none() {
        writer.begin_index(None).await.expect("begun");
    }
    while let Pending::Next(documents) = next(store).await {
        writer.index(documents).await.expect("added");
    }
    loop {
        let place = store.index_place().await.expect("read").expect("begun");
        match store.pending_of_past(place).await.expect("read") {
            Pending::Next(documents) => writer.index(documents).await.expect("added"),
            _ => break,
        }
    }
}

async fn found(store: &Store, word: &str) -> Vec<Uuid> {
    let terms = vec![Term::parse(word).expect("a word")];
    let search = MessageSearch { terms, ..MessageSearch::default() };
    let scope = SearchScope { search: &search, conversation: None };
    let mut found = Vec::new();
    // However rare the word is: each step asks in another way.
    for step in 0..3 {
        found.push(store.search_candidates(scope, None, 10, step).await.expect("read").ids);
    }
    assert!(found.iter().all(|ids| *ids == found[0]), "{found:?}");
    found.swap_remove(0)
}

async fn rows(store: &Store) -> i64 {
    let sql = Statement::from_string(
        store.reader.get_database_backend(),
        "SELECT count(*) FROM search_rows",
    );
    let row = store.reader.query_one_raw(sql).await.expect("read").expect("a row");
    row.try_get_by_index(0).expect("a number")
}

async fn removed_messages_leave_the_index(location: &Location) {
    let store = Store::open(location, Mode::Real, Purpose::Serve).await.expect("a store");
    index(&store).await;
    let (first, second) = (receive(&store, "red wine").await, receive(&store, "red cheese").await);
    index(&store).await;
    // Both have one time, and the later id comes first.
    assert_eq!(found(&store, "red").await, [second, first]);
    assert_eq!(found(&store, "wine").await, [first]);
    let writer = store.writer().expect("a writer");
    writer.settle(Removal(first, 30_000)).await.expect("removed");
    assert_eq!(found(&store, "red").await, [second]);
    assert!(found(&store, "wine").await.is_empty());
    assert_eq!(rows(&store).await, 1);
    // One that is removed between being read and being added.
    let third = receive(&store, "red bread").await;
    let Pending::Next(documents) = next(&store).await else { panic!("a new message") };
    writer.settle(Removal(third, 30_000)).await.expect("removed");
    writer.index(documents.clone()).await.expect("added");
    assert_eq!((found(&store, "bread").await.len(), rows(&store).await), (0, 1));
    // What another process has added meanwhile is not added twice.
    writer.index(documents).await.expect("nothing is done");
    index(&store).await;
    assert_eq!(rows(&store).await, 1);
    store.close().await;
}

#[tokio::test]
async fn removed_messages_leave_the_index_on_sqlite() {
    let dir = tempfile::tempdir().expect("a directory");
    let location = Location::parse("sqlite:c.db", dir.path()).expect("a location");
    removed_messages_leave_the_index(&location).await;
}

#[tokio::test]
async fn removed_messages_leave_the_index_on_postgresql() {
    let url = new_postgres_database().await;
    let location = Location::parse(&url, ".".as_ref()).expect("a location");
    removed_messages_leave_the_index(&location).await;
}
