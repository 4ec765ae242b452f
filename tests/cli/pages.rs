//! Paging through a conversation misses no message and repeats none, however many share one time.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};

use crate::on_both_databases;
use crate::support::{
    CONTACT, Home, Server, TestDatabase, World, connect, execute, inbound, insert_numbered,
};

const MESSAGES: u32 = 10_000;
const CONVERSATION: &str = "01a00000-0000-7000-8000-000000000001";
/// The time that all but three messages share.
const SHARED: &str = "2026-06-18T14:30:00Z";
const LATER: &str = "2026-06-18T14:30:00.000001Z";

/// One conversation of ten thousand messages with one time, and one message before and two after it.
async fn filled(db: &TestDatabase) -> Home {
    let home = Home::new().with_database(db);
    home.run(&["migrate"]).exits(0);
    let direct = connect(&db.url).await;
    let count = MESSAGES.to_string();
    let at = "1781793000000000";
    let conversation = [
        ("id", "{id:01a00000}"),
        ("contact_number", "'+12125551234'"),
        ("message_count", count.as_str()),
        ("last_message_at", at),
        ("created_at", at),
    ];
    insert_numbered(&direct, "conversations", 1, &conversation).await;
    let created_at = format!(
        "{at} + CASE WHEN i = 5000 THEN -1000000 WHEN i IN (17, 7000) THEN 1000000 ELSE 0 END"
    );
    let message = [
        ("id", "{id:01b00000}"),
        ("conversation_key", "1"),
        ("direction", "0"),
        ("from_number", "'+12125551234'"),
        ("to_number", "'+15551234567'"),
        ("body", "'Hi'"),
        ("status_rank", "130"),
        ("created_at", created_at.as_str()),
    ];
    insert_numbered(&direct, "messages", MESSAGES, &message).await;
    direct.close().await.expect("closed");
    home
}

/// The ids of all messages in chronological order.
fn expected() -> Vec<String> {
    let between = (1..=MESSAGES).filter(|n| ![17, 5_000, 7_000].contains(n));
    let order = std::iter::once(5_000).chain(between).chain([17, 7_000]);
    order.map(|n| format!("01b00000-0000-7000-8000-{n:012x}")).collect()
}

fn ids(page: &Value) -> Vec<String> {
    let messages = page["messages"].as_array().expect("messages").iter();
    messages.map(|message| message["id"].as_str().expect("an id").to_owned()).collect()
}

/// Follows `Link` to the end; the ids on each page.
async fn walk(server: &Server, path: &str) -> Vec<Vec<String>> {
    let (mut pages, mut next) = (Vec::new(), Some(path.to_owned()));
    while let Some(path) = next {
        let page = server.get(&path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        pages.push(ids(&page.json()));
        next = page.next(&path);
    }
    pages
}

async fn messages_that_share_a_time_are_each_read_once(db: TestDatabase) {
    let home = filled(&db).await;
    let server = Server::start(&home);
    let all = expected();
    let path = format!("/conversations/{CONVERSATION}");
    assert_eq!(ids(&server.get(&path).await.json()), all, "streamed");
    for (query, expected) in [
        ("limit=997", &all[..]),
        (&format!("limit=1000&before={LATER}"), &all[..all.len() - 2]),
        (&format!("limit=1000&before={SHARED}"), &all[..1]),
        (&format!("limit=999&before={}", all[5_000]), &all[..5_000]),
    ] {
        let mut pages = walk(&server, &format!("{path}?{query}")).await;
        pages.reverse();
        assert_eq!(pages.concat(), expected, "{query}");
    }
    let nil = "00000000-0000-0000-0000-000000000000";
    for (after, expected) in [(nil, &all[..]), (all[4_000].as_str(), &all[4_001..])] {
        let pages = walk(&server, &format!("{path}?limit=997&after={after}&history=true")).await;
        assert_eq!(pages.concat(), expected, "after {after}");
    }
    // The last page is full, and yet there is no other.
    assert_eq!(walk(&server, &format!("{path}?limit=1000&after={}", all[7_999])).await.len(), 2);
    for remote in [&[][..], &["--server", &server.url()]] {
        let show = |args: &[&str]| {
            let shown = home.run(&[&["show", CONTACT, "--format", "ids"], args, remote].concat());
            shown.silent().out.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(show(&[]), all);
        assert_eq!(show(&["--before", LATER]), all[..all.len() - 2]);
        assert_eq!(show(&["--before", SHARED]), all[..1]);
        assert_eq!(show(&["--before", &all[5_000]]), all[..5_000]);
        assert_eq!(show(&["--before", LATER, "--limit", "1234"]), all[8_764..9_998]);
        assert_eq!(show(&["--before", &all[5_000], "--limit", "777"]), all[4_223..5_000]);
    }
}

on_both_databases!(messages_that_share_a_time_are_each_read_once);

/// A proxy that serves a server below the path `/convo`, and one request per connection.
async fn below_a_path(server: &Server) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/convo", listener.local_addr().expect("an address"));
    let to = server.address;
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = vec![0; 64 * 1024];
                let read = client.read(&mut head).await.expect("a request");
                let head = String::from_utf8_lossy(&head[..read]);
                let (line, headers) = head.split_once("\r\n").expect("a request line");
                let line = line.replacen(" /convo/", " /", 1);
                let mut server = TcpStream::connect(to).await.expect("a connection");
                let request = format!("{line}\r\nconnection: close\r\n{headers}");
                server.write_all(request.as_bytes()).await.expect("written");
                copy(&mut server, &mut client).await.expect("an answer");
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_relative_and_followed_below_a_path() {
    let world = World::start(TestDatabase::sqlite()).await;
    for n in 0..3 {
        let contact = format!("+1212555000{n}");
        let body = inbound(&format!("e{n}"), &format!("m{n}"), &contact, "Hi");
        world.signer.post(&world.server, body).await;
        let body = inbound(&format!("f{n}"), &format!("n{n}"), CONTACT, "Hi");
        world.signer.post(&world.server, body).await;
    }
    for path in ["/conversations?limit=2", "/conversations/+12125551234?limit=2"] {
        let next = world.server.get(path).await.next(&format!("/convo{path}")).expect("more");
        assert!(next.starts_with(&format!("/convo{path}&")), "{next}");
    }
    // More conversations and messages than fit on one page.
    let count = 1_200;
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)";
    let sql = format!(
        "INSERT INTO conversations (id, contact_number, message_count, last_message_at, created_at) \
         {rows} SELECT unhex(printf('01a00000000070008000%012x', i)), '+1' || (3000000000 + i), 0, i, i \
         FROM n;
         INSERT INTO messages (id, conversation_key, direction, from_number, to_number, body, \
         status_rank, created_at) {rows} SELECT unhex(printf('01b00000000070008000%012x', i)), \
         (SELECT key FROM conversations WHERE contact_number = '{CONTACT}'), 0, \
         '{CONTACT}', '+15551234567', 'Hi', 130, i FROM n"
    );
    execute(&world.db.url, &sql).await;
    let url = below_a_path(&world.server).await;
    for (command, expected) in [(&["list"][..], count + 4), (&["show", CONTACT], count + 3)] {
        let ids = |at: &[&str]| {
            world.home.run(&[command, &["--format", "ids"], at].concat()).silent().out
        };
        assert_eq!(ids(&["--server", &url]), ids(&[]));
        assert_eq!(ids(&[]).lines().count(), expected);
    }
}
