//! The feed under many writers and readers.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use uuid::Uuid;

use super::activity::{event, message, stop};
use super::new_postgres_database;
use crate::clock;
use crate::domain::{Direction, FeedCursor, FeedEvent, FeedKind, Timestamp};
use crate::error::Code;
use crate::store::model::Change;
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

on_both!(
    no_reader_misses_an_entry_or_gets_one_twice,
    positions_are_found_and_expire,
    only_a_change_of_an_opt_out_is_an_event
);
