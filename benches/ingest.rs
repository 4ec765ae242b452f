//! How many signed webhooks a server stores per second, beside how often it answers `GET /health`
//! in the same run: a ratio, because machines differ and are noisy.
//!
//! `cargo bench --bench ingest` measures SQLite, and PostgreSQL when `CONVO_TEST_POSTGRES_URL`
//! names a server. 64 connections, 1,000 contacts, full durability; client and server share this
//! machine. Afterwards every webhook that was answered 200 must be in the database, once.

#![allow(clippy::disallowed_methods, reason = "a variable says where PostgreSQL is")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use convo::sandbox::SigningKey;
use convo::server::access::Access;
use convo::server::{App, Limits, Server, Shutdown, Stop};
use convo::store::{Location, Mode, Purpose, Store};
use convo::telnyx::signature::Verifier;
use convo::threading::{Policy, Threads};
use sea_orm::{ConnectionTrait, Database};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

const CONNECTIONS: usize = 64;
const CONTACTS: usize = 1_000;
/// More requests than any machine takes in the time of one round.
const WEBHOOKS: usize = 150_000;
const ROUND: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    measure("SQLite", &format!("sqlite:///{}", dir.path().join("bench.db").display())).await;
    match std::env::var("CONVO_TEST_POSTGRES_URL") {
        Ok(server) => measure("PostgreSQL", &new_database(&server).await).await,
        Err(_) => println!("PostgreSQL: not measured, CONVO_TEST_POSTGRES_URL is not set"),
    }
}

async fn new_database(server: &str) -> String {
    let name = format!("bench_{}", Uuid::new_v4().simple());
    let admin = Database::connect(server).await.expect("PostgreSQL answers");
    admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a new database");
    let mut url = url::Url::parse(server).expect("a URL");
    url.set_path(&name);
    url.into()
}

async fn measure(label: &str, url: &str) {
    let key = SigningKey::generate().expect("randomness");
    let location = Location::parse(url, Path::new("/")).expect("a location");
    let store = Store::open(&location, Mode::Real, Purpose::Serve).await.expect("a store");
    let threads = Threads::new(store, None, Vec::new(), Policy::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let verifier = Arc::new(Verifier::new(&[key.public_key()]).expect("a key"));
    let (limits, stop) = (Limits::default(), Stop::default());
    let server = Server::new(App { access: Access::new(&[]), verifier, limits, stop });
    server.open(threads.clone());
    let shutdown = Shutdown::default();
    let running = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { server.run(listener, shutdown).await }
    });

    let health: Vec<Vec<u8>> = vec![b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec()];
    let answered = load(address, Arc::new(health), true).await;
    let webhooks = Arc::new((0..WEBHOOKS).map(|n| webhook(&key, n)).collect::<Vec<_>>());
    let stored = load(address, webhooks, false).await;

    let mut kept = 0;
    let mut after = None;
    loop {
        let page = threads.conversations(after, 1_000).await.expect("a page");
        let Some(last) = page.last() else { break };
        after = Some(last.cursor());
        kept += page.iter().map(|thread| thread.message_count).sum::<u64>();
    }
    assert_eq!(kept, stored as u64, "every acknowledged webhook is stored, once");
    let rate = |count: usize| count as f64 / ROUND.as_secs_f64();
    println!(
        "{label}: health {:.0}/s, webhooks stored {:.0}/s, ratio {:.3}",
        rate(answered),
        rate(stored),
        stored as f64 / answered as f64
    );
    shutdown.asked.cancel();
    shutdown.hurry.cancel();
    running.await.expect("no panic");
}

/// Sends requests on every connection for one round; returns how many were answered 200.
async fn load(address: SocketAddr, requests: Arc<Vec<Vec<u8>>>, repeat: bool) -> usize {
    let next = Arc::new(AtomicUsize::new(0));
    let end = Instant::now() + ROUND;
    let connection = |next: Arc<AtomicUsize>, requests: Arc<Vec<Vec<u8>>>| async move {
        let mut socket = TcpStream::connect(address).await.expect("a connection");
        socket.set_nodelay(true).expect("no delay");
        let mut buffer = vec![0; 4_096];
        let mut answered = 0;
        while Instant::now() < end {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let place = if repeat { place % requests.len() } else { place };
            let Some(request) = requests.get(place) else { break };
            socket.write_all(request).await.expect("written");
            // The answers are small: one read takes a whole one.
            let read = socket.read(&mut buffer).await.expect("an answer");
            assert!(buffer[..read].starts_with(b"HTTP/1.1 200"), "only 200 is expected here");
            answered += 1;
        }
        answered
    };
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|_| tokio::spawn(connection(Arc::clone(&next), Arc::clone(&requests))))
        .collect();
    let mut total = 0;
    for task in tasks {
        total += task.await.expect("no panic");
    }
    total
}

fn webhook(key: &SigningKey, n: usize) -> Vec<u8> {
    let contact = format!("+1212555{:04}", n % CONTACTS);
    let now = chrono::Utc::now();
    let body = serde_json::json!({"data": {
    "event_type": "message.received", "id": Uuid::new_v4(), "occurred_at": now.to_rfc3339(),
    "record_type": "event",
    "payload": {
        "id": Uuid::new_v4(), "direction": "inbound", "type": "SMS", "encoding": "GSM-7",
        "from": {"phone_number": contact, "carrier": "Carrier", "line_type": "Wireless"},
        "to": [{"phone_number": "+15551234567", "status": "webhook_delivered"}],
        "text": "Is anyone there? I have been waiting for an answer since this morning.",
        "parts": 1, "media": [], "cc": [], "tags": [], "errors": [], "cost": null,
        "received_at": now.to_rfc3339(),
    }}})
    .to_string();
    let time = now.timestamp();
    let signature = key.sign(time, body.as_bytes());
    format!(
        "POST /webhooks/sms HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         telnyx-timestamp: {time}\r\ntelnyx-signature-ed25519: {signature}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
