//! A database with many messages, compared with an empty one.

use std::process::{Command, Stdio};
use std::time::Instant;

use convo::sandbox::SigningKey;
use sea_orm::ConnectionTrait;

use crate::database::BenchDatabase;
use crate::server::Process;
use crate::webhook::Webhooks;
use crate::{ROUNDS, median, round};

/// The messages that are there already, unless another number is given.
pub const MESSAGES: u32 = 10_000_000;
/// Contacts that write, all of them before and during the rounds.
pub const CONTACTS: u32 = 100_000;
/// Rows that are filled in by one transaction.
const STEP: u32 = 500_000;
const CONNECTIONS: usize = 64;

/// What [`measure`] leaves.
pub struct Measured {
    pub full: BenchDatabase,
    pub rows: u64,
}

/// Prints the rate of each kind of database with so many messages as a ratio to that of an empty one, in
/// alternating rounds.
pub async fn measure(
    key: &SigningKey,
    pairs: Vec<[BenchDatabase; 2]>,
    messages: u32,
) -> Vec<Measured> {
    let mut measured = Vec::new();
    for [empty, full] in pairs {
        let start = |database: &BenchDatabase| Process::convo(&database.url, &key.public_key());
        let servers = [start(&empty), start(&full)];
        fill(&full, messages).await;
        let mut rounds: [Vec<(f64, f64)>; 2] = Default::default();
        let mut stored = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (place, server) in servers.iter().enumerate() {
                let webhooks = Webhooks::sign(key, 40_000, CONTACTS);
                let done = round(server, &webhooks, CONNECTIONS, false).await;
                rounds[place].push((done.rate(), done.latency(0.99)));
                stored[place].extend(done.answered.iter().map(|n| webhooks.id(*n)));
            }
        }
        for server in servers {
            server.stop();
        }
        empty.check(&stored[0], 0).await;
        full.check(&stored[1], u64::from(messages)).await;
        let of = |place: usize, figure: fn(&(f64, f64)) -> f64| {
            median(&mut rounds[place].iter().map(figure).collect::<Vec<_>>())
        };
        let (rates, p99) = ([of(0, |r| r.0), of(1, |r| r.0)], [of(0, |r| r.1), of(1, |r| r.1)]);
        println!(
            "{}: {:.0}/s with {messages} messages, {:.0}/s without: {:.2}; p99 {:.1} ms and {:.1} ms",
            full.label,
            rates[1],
            rates[0],
            rates[1] / rates[0],
            p99[1],
            p99[0]
        );
        // A message and an event each, and for those of the rounds an entry of the feed.
        let rows = u64::from(CONTACTS) + 2 * u64::from(messages) + 3 * stored[1].len() as u64;
        measured.push(Measured { full, rows });
    }
    measured
}

/// Prints how fast `convo copy` copies a database, verification included.
pub fn copy(from: &Measured, to: &BenchDatabase) {
    // A password is refused in arguments.
    let mut from_url = url::Url::parse(&from.full.url).expect("a URL");
    let password = from_url.password().unwrap_or_default().to_owned();
    let _ = from_url.set_password(None);
    let begun = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_convo"))
        .args(["copy", from_url.as_str()])
        .env_clear()
        .env("PGPASSWORD", password)
        .env("DATABASE_URL", &to.url)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("a process");
    assert!(status.success(), "convo copy: {status}");
    let (rows, seconds) = (from.rows, begun.elapsed().as_secs_f64());
    println!(
        "convo copy of {rows} rows from {} to {}: {:.0} rows/s",
        from.full.label,
        to.label,
        rows as f64 / seconds
    );
}

/// Fills in conversations, messages and events as a server would have stored them.
async fn fill(database: &BenchDatabase, messages: u32) {
    let db = database.connect().await;
    let (id, body) = match database.is_sqlite() {
        true => {
            db.execute_unprepared("PRAGMA synchronous = off").await.expect("a setting");
            ("unhex(printf('%032x', i))", "randomblob(220)")
        }
        false => (
            "decode(lpad(to_hex(i), 32, '0'), 'hex')",
            "decode(repeat(md5(i::text), 13) || repeat('0', 24), 'hex')",
        ),
    };
    let uuid = if database.is_sqlite() { id } else { "lpad(to_hex(i), 32, '0')::uuid" };
    let per_contact = messages / CONTACTS;
    let numbers = |from: u32, to: u32| {
        format!(
            "WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {to})"
        )
    };
    let conversations = format!(
        "INSERT INTO conversations (key, id, contact_number, message_count, last_message_at, \
         created_at, last_route) {} SELECT i + 1, {uuid}, '+1' || (2000000000 + i), {per_contact}, \
         1700000000000000 + i, 1700000000000000, 'in:+15551234567' FROM n",
        numbers(0, CONTACTS)
    );
    db.execute_unprepared(&conversations).await.expect("conversations");
    for from in (0..messages).step_by(STEP as usize) {
        let n = numbers(from, messages.min(from + STEP));
        for sql in [
            format!(
                "INSERT INTO messages (id, conversation_key, telnyx_message_id, direction, \
                 from_number, to_number, body, encoding, segments, status_rank, created_at) {n} \
                 SELECT {uuid}, i % {CONTACTS} + 1, {id}, 0, '+1' || (2000000000 + i % {CONTACTS}), \
                 '+15551234567', 'A text of the usual length, which somebody wrote some time ago, {from}.', \
                 'GSM-7', 1, 130, 1700000000000000 + i FROM n"
            ),
            format!(
                "INSERT INTO events (occurred_at, id, event_type, received_at, dictionary, body) {n} \
                 SELECT 1700000000000000 + i, {id}, NULL, 1700000000000000 + i, 1, {body} \
                 FROM n"
            ),
        ] {
            db.execute_unprepared(&sql).await.expect("rows");
        }
    }
    let numbering = "SELECT setval(pg_get_serial_sequence('conversations', 'key'), 1000000)";
    let finish = if database.is_sqlite() { "PRAGMA wal_checkpoint(truncate)" } else { numbering };
    db.execute_unprepared(finish).await.expect("finished");
    if !database.is_sqlite() {
        db.execute_unprepared("VACUUM ANALYZE").await.expect("vacuumed");
        db.execute_unprepared("CHECKPOINT").await.expect("flushed");
    }
}
