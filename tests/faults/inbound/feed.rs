//! Readers follow the feed while servers that write to it are killed, again and again.

use std::collections::HashSet;
use std::net::SocketAddr;

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement, TryGetable};
use serde_json::Value;
use uuid::Uuid;

use super::load::{home, kill_under_load, signer};
use crate::on_both_databases;
use crate::support::{
    CONTACT, DEADLINE, Server, TestDatabase, connect, eventually, inbound, times_longer,
};

/// The Telnyx id of the last message: a reader who has seen it has seen all that came before.
const LAST: &str = "the last";

/// Reads from a position until the last message has come; the ids of all messages, in their order.
async fn follow(address: SocketAddr, mut after: String) -> Vec<Uuid> {
    let client = reqwest::Client::new();
    let mut seen = Vec::new();
    loop {
        let url = format!("http://{address}/events?after={after}&kind=message&limit=50&wait=5");
        let answer = client.get(url).timeout(DEADLINE).send().await.expect("an answer");
        if answer.status() == 503 {
            continue;
        }
        let page: Value = answer.json().await.expect("a page");
        after = page["next"].as_str().unwrap_or_else(|| panic!("{page}")).to_owned();
        for event in page["events"].as_array().expect("a list") {
            let id = event["message"]["id"].as_str().expect("an id");
            seen.push(id.parse().expect("a UUID"));
            if event["message"]["telnyx_message_id"] == LAST {
                return seen;
            }
        }
    }
}

async fn no_reader_misses_what_killed_servers_stored(db: TestDatabase) {
    let signer = signer(3);
    let home = home(&db.url, &signer);
    let steady = Server::start(&home);
    let start = steady.get("/events").await.json();
    let start = start["next"].as_str().expect("a position").to_owned();
    let readers: Vec<_> =
        (0..3).map(|_| tokio::spawn(follow(steady.address, start.clone()))).collect();
    for round in 0..3 * times_longer() {
        let first = round * 10_000_000;
        tokio::join!(
            kill_under_load(Server::start(&home), &signer, first),
            kill_under_load(Server::start(&home), &signer, first + 5_000_000),
        );
    }
    let body = inbound(LAST, LAST, CONTACT, "That was all");
    eventually("the last message", async || {
        signer.try_post(steady.address, &body).await.is_some_and(|(status, _)| status == 200)
    })
    .await;
    let mut seen = Vec::new();
    for reader in readers {
        seen.push(reader.await.expect("no panic"));
    }
    let db = connect(&db.url).await;
    let rows = "SELECT message_ids FROM feed WHERE kind = 1 ORDER BY position";
    let rows: Vec<Vec<u8>> = column(&db, rows).await;
    let entries = rows.iter().flat_map(|ids| ids.chunks(16)).map(Uuid::from_slice);
    let entries: Vec<Uuid> = entries.map(|id| id.expect("an id")).collect();
    let stored: Vec<Uuid> = column(&db, "SELECT id FROM messages").await;
    assert!(stored.len() > 600, "{}", stored.len());
    assert_eq!(entries.len(), stored.len(), "one entry for each message");
    let all: HashSet<_> = stored.into_iter().collect();
    assert_eq!(entries.iter().copied().collect::<HashSet<_>>(), all, "no message without one");
    for seen in seen {
        // A transaction of a killed server may have been committed after the last message.
        assert_eq!(seen, entries[..seen.len()], "in the order of the feed, each once");
    }
}

async fn column<T: TryGetable>(db: &DatabaseConnection, sql: &str) -> Vec<T> {
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await;
    rows.expect(sql).iter().map(|row| row.try_get_by_index(0).expect("a value")).collect()
}

on_both_databases!(no_reader_misses_what_killed_servers_stored);
