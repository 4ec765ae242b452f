//! The feed under many writers and readers.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbErr, Statement};
use tokio::time::timeout;
use uuid::Uuid;

use super::activity::{event, message, stop};
use super::new_postgres_database;
use crate::clock;
use crate::domain::{Direction, FeedCursor, FeedEvent, FeedKind, Timestamp};
use crate::error::Code;
use crate::store::job::Settlement;
use crate::store::model::Change;
use crate::store::transaction::WriteTransaction;
use crate::store::{Location, Mode, Purpose, Store};

const STORES: u32 = 3;
const TASKS: u32 = 8;
const EVENTS: u32 = 40;
const DEADLINE: Duration = Duration::from_secs(120);

async fn open(location: &Location) -> Store {
    Store::open(location, Mode::Real, Purpose::Serve).await.expect("a store")
}

/// Stores an inbound message and returns its id.
async fn receive(store: &Store, n: u32) -> Uuid {
    let message = message(n, Direction::Inbound);
    let id = message.id;
    let change = Change::Message(Box::new(message), None);
    store.writer().expect("a writer").event(event(change)).await.expect("stored");
    id
}

/// Reads from a position until `count` messages have come.
async fn follow(store: Store, from: FeedCursor, count: usize) -> Vec<FeedEvent> {
    let mut growth = store.feed_growth();
    let (mut position, mut seen) = (from, Vec::new());
    loop {
        let slice = match store.feed_after(position, 7).await {
            Err(error) if error.code() == Code::DatabaseUnavailable => continue,
            slice => slice.expect("a slice"),
        };
        position = slice.page.next;
        seen.extend(slice.page.events);
        if seen.len() >= count {
            return seen;
        }
        if !slice.has_more {
            timeout(DEADLINE, growth.grown()).await.expect("woken in time");
        }
    }
}

fn messages(seen: &[FeedEvent]) -> Vec<Uuid> {
    seen.iter().filter_map(|event| Some(event.message.as_ref()?.id)).collect()
}

/// Several stores, as several servers have them, write at the same time, while others read.
async fn no_reader_misses_an_entry_or_gets_one_twice(location: Location) {
    let stores: Vec<_> = join_all((0..STORES).map(|_| open(&location))).await;
    let start = stores[0].feed_head().await.expect("a position");
    let all = (STORES * TASKS * EVENTS) as usize;
    let readers = stores.iter().cloned().chain(stores.iter().cloned());
    let readers: Vec<_> = readers.map(|store| tokio::spawn(follow(store, start, all))).collect();
    let tasks = stores.iter().flat_map(|store| (0..TASKS).map(move |task| (store.clone(), task)));
    let writers = tasks.map(|(store, task)| {
        tokio::spawn(async move {
            let mut stored = Vec::new();
            for n in 0..EVENTS {
                stored.push(receive(&store, (task * 31 + n) % 17).await);
            }
            stored
        })
    });
    let mut stored = HashSet::new();
    for writer in writers.collect::<Vec<_>>() {
        stored.extend(writer.await.expect("no panic"));
    }
    let mut orders = Vec::new();
    for reader in readers {
        let seen = timeout(DEADLINE, reader).await.expect("in time").expect("no panic");
        assert!(seen.is_sorted_by(|a, b| a.cursor.position < b.cursor.position && a.at <= b.at));
        orders.push(messages(&seen));
    }
    assert_eq!(orders[0].len(), all, "none twice");
    assert_eq!(orders[0].iter().copied().collect::<HashSet<_>>(), stored, "none is missing");
    assert!(orders.iter().all(|order| *order == orders[0]), "all in one order");
    join_all(stores.iter().map(Store::close)).await;
}

async fn positions_are_found_and_expire(location: Location) {
    let store = open(&location).await;
    let start = store.feed_head().await.expect("a position");
    let mut cursors = vec![start];
    for n in 0..20 {
        receive(&store, n % 3).await;
        cursors.push(store.feed_head().await.expect("a position"));
    }
    let after = async |cursor| store.feed_after(cursor, 100).await.map(|slice| slice.page);
    let page = after(start).await.expect("all of it");
    assert_eq!(page.events.len(), 20);
    assert_eq!(page.next, cursors[20]);
    for (n, event) in page.events.iter().enumerate() {
        assert_eq!((event.cursor, event.kind), (cursors[n + 1], FeedKind::Message));
        let before = store.feed_before(event.at).await.expect("a position");
        let next = after(before).await.expect("a page").events.remove(0);
        assert_eq!(next.at, event.at, "the first of that time");
    }
    let late = store.feed_before(clock::now().plus_seconds(60)).await.expect("a position");
    assert_eq!(late, cursors[20]);
    let other = FeedCursor { nonce: start.nonce ^ 1, ..cursors[3] };
    let beyond = FeedCursor { position: cursors[20].position + 100, nonce: 0 };
    for wrong in [other, beyond] {
        let error = after(wrong).await.expect_err("not of this feed");
        assert_eq!(error.code(), Code::CursorExpired);
        assert_eq!(error.extra().oldest, Some(start.to_string()));
    }
    let writer = store.writer().expect("a writer");
    let split = page.events[9].at;
    assert!(!writer.trim_feed(split).await.expect("trimmed").has_more, "nothing is left to remove");
    assert_eq!(after(start).await.expect_err("removed").code(), Code::CursorExpired);
    assert_eq!(after(cursors[8]).await.expect_err("removed").code(), Code::CursorExpired);
    let kept = after(cursors[9]).await.expect("a reader who misses nothing").events;
    assert_eq!(kept.len(), 11);
    let all = writer.trim_feed(clock::now().plus_seconds(60)).await.expect("trimmed");
    assert!(!all.has_more);
    assert_eq!(store.feed_head().await.expect("a position"), cursors[20], "the newest stays");
    let n = receive(&store, 1).await;
    assert_eq!(messages(&after(cursors[20]).await.expect("a page").events), [n]);
    store.close().await;
}

async fn only_a_change_of_an_opt_out_is_an_event(location: Location) {
    let store = open(&location).await;
    let start = store.feed_head().await.expect("a position");
    for opted_out in [true, true, false, false, true] {
        let change = stop(opted_out, clock::now());
        let message = Box::new(message(1, Direction::Inbound));
        let change = Change::Message(message, Some(change));
        store.writer().expect("a writer").event(event(change)).await.expect("stored");
    }
    let page = store.feed_after(start, 100).await.expect("a page").page;
    let changes: Vec<_> = page.events.iter().filter_map(|event| event.opted_out).collect();
    assert_eq!(changes, [true, false, true]);
    let ids: HashSet<_> = page.events.iter().map(|event| event.conversation_id).collect();
    assert_eq!(ids.len(), 1, "all in one conversation");
    assert!(page.events.iter().all(|event| event.at > Timestamp::from_micros(0)));
    store.close().await;
}

/// Rows with several entries: a reader goes on inside of one, they are counted one by one, and what is
/// blanked leaves the others.
async fn a_row_has_several_entries(location: Location) {
    let store = open(&location).await;
    let start = store.feed_head().await.expect("a position");
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(receive(&store, n).await);
    }
    // The same four again, in one row.
    let head = store.feed_head().await.expect("a position");
    let list: Vec<u8> = ids.iter().flat_map(|id| id.into_bytes()).collect();
    let values: [Value; 3] =
        [(head.position + 4).into(), clock::now().as_micros().into(), list.into()];
    let backend = store.reader.get_database_backend();
    let insert =
        "INSERT INTO feed (position, at, nonce, kind, message_ids) VALUES ($1, $2, 4, 1, $3)";
    let insert = Statement::from_sql_and_values(backend, insert, values);
    store.writer().expect("a writer").settle(Run(insert)).await.expect("inserted");
    let all = store.feed_after(start, 100).await.expect("a slice");
    assert_eq!(messages(&all.page.events), [&*ids, &*ids].concat());
    assert!(!all.has_more);
    for (n, event) in all.page.events.iter().enumerate() {
        let rest = store.feed_after(event.cursor, 2).await.expect("a slice");
        let expected: Vec<_> = all.page.events.iter().skip(n + 1).take(2).cloned().collect();
        assert_eq!(messages(&rest.page.events), messages(&expected));
        assert_eq!(rest.has_more, n + 3 < 8);
        let lag = store.forward_lag(event.cursor.position, i64::MAX).await.expect("a lag");
        assert_eq!(lag.entries, 7 - n as u64);
    }
    let lag = store.forward_lag(start.position, head.position + 2).await.expect("a lag");
    assert_eq!(lag.entries, 6, "up to the middle of the row");
    let (contact, mine) = ("+19995550000", HashSet::from([ids[1]]));
    let page =
        store.feed_about(contact, &mine, start.position).await.expect("a page").expect("rows");
    assert_eq!((page.last, page.count), (head.position + 4, 2));
    store.blank_feed(page).await.expect("blanked");
    let left = store.feed_after(start, 100).await.expect("a slice").page;
    let others = [ids[0], ids[2], ids[3]];
    assert_eq!(messages(&left.events), [others, others].concat());
    assert_eq!(left.next, all.page.next);
    let late = clock::now().plus_seconds(60);
    assert_eq!(store.count_old_feed(late).await.expect("a count"), 5, "all but the last row");
    let trimmed = store.writer().expect("a writer").trim_feed(late).await.expect("trimmed");
    assert_eq!(trimmed.removed, 5);
    // The oldest there is is the first of the last row.
    let oldest = store.feed_before(Timestamp::from_micros(0)).await.expect("a position");
    assert_eq!(oldest, all.page.events[4].cursor);
    let error = store.feed_after(start, 100).await.expect_err("removed");
    assert_eq!(error.extra().oldest, Some(oldest.to_string()));
    let kept = store.feed_after(oldest, 100).await.expect("a slice").page;
    assert_eq!(messages(&kept.events), [ids[2], ids[3]]);
    store.close().await;
}

/// A statement of a test.
#[derive(Debug)]
struct Run(Statement);

impl Settlement for Run {
    type Output = ();

    async fn write(&self, db: &WriteTransaction) -> Result<(), DbErr> {
        db.execute_raw(self.0.clone()).await.map(drop)
    }
}

macro_rules! on_both {
    ($($test:ident),+) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                let dir = tempfile::tempdir().expect("a directory");
                let location = super::Location::parse("sqlite:c.db", dir.path());
                super::$test(location.expect("a location")).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                let url = super::new_postgres_database().await;
                let location = super::Location::parse(&url, ".".as_ref());
                super::$test(location.expect("a location")).await;
            })+
        }
    };
}

/// Its snapshots would show the writer a feed from before it had the lock.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_with_another_isolation_level_numbers_the_feed_all_the_same() {
    let url = new_postgres_database().await;
    let db = sea_orm::Database::connect(url.as_str()).await.expect("a connection");
    let name = url.rsplit('/').next().expect("a name");
    let level = "SET default_transaction_isolation = 'repeatable read'";
    db.execute_unprepared(&format!("ALTER DATABASE {name} {level}")).await.expect("set");
    db.close().await.expect("closed");
    let location = Location::parse(&url, ".".as_ref()).expect("a location");
    no_reader_misses_an_entry_or_gets_one_twice(location).await;
}

on_both!(
    no_reader_misses_an_entry_or_gets_one_twice,
    positions_are_found_and_expire,
    only_a_change_of_an_opt_out_is_an_event,
    a_row_has_several_entries
);
