//! Measures the ingest: how many signed webhooks per second a server stores, as a ratio to a server
//! that only verifies them, in alternating rounds of one run, since machines differ and are noisy.
//!
//! `cargo bench --bench ingest` takes less than three minutes. It measures SQLite and PostgreSQL, which
//! `scripts/with-servers` starts unless `CONVO_TEST_POSTGRES_URL` names a server, with 1, 64 and 256
//! connections and 1,000 contacts, the log at `info` and full durability. Client, servers and database
//! share the machine. At the end, every webhook that was answered 200 must be stored exactly once.
//!
//! `cargo bench --bench ingest -- --big` compares databases with ten million messages of 100,000 contacts
//! with empty ones and times `convo copy` of them; `--big=1000000` does so with fewer.

#![allow(clippy::disallowed_methods, reason = "the environment names the PostgreSQL server")]

mod bare;
mod big;
mod database;
mod load;
mod report;
mod server;
mod storeless;
mod webhook;

use std::env;
use std::process::{Command, exit};
use std::sync::Arc;
use std::time::Duration;

use convo::sandbox::SigningKey;

use database::BenchDatabase;
use load::Round;
use report::Figures;
use server::Process;
use webhook::Webhooks;

/// Names the PostgreSQL server.
const POSTGRES: &str = "CONVO_TEST_POSTGRES_URL";
/// Contacts that write.
const CONTACTS: u32 = 1_000;
/// Numbers of connections that are measured.
const CONNECTIONS: [usize; 3] = [1, 64, 256];
/// Rounds of each measurement; their median counts.
const ROUNDS: usize = 5;
/// How long a round lasts.
const ROUND: Duration = Duration::from_millis(1_200);

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["storeless", key] => runtime.block_on(storeless::serve(key)),
        _ => match (env::var(POSTGRES), big_messages(&arguments)) {
            (Ok(server), Some(messages)) => runtime.block_on(measure_big(&server, messages)),
            (Ok(server), None) => runtime.block_on(measure(&server)),
            (Err(_), _) => run_with_servers(&arguments),
        },
    }
}

/// The messages that big databases are to have, if they are asked for.
fn big_messages(arguments: &[String]) -> Option<u32> {
    let given = arguments.iter().find_map(|argument| argument.strip_prefix("--big"))?;
    match given.strip_prefix('=') {
        Some(number) => Some(number.parse().expect("a number of messages")),
        None => Some(big::MESSAGES),
    }
}

/// Runs this program again with a PostgreSQL server.
fn run_with_servers(arguments: &[String]) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/with-servers");
    let program = env::current_exe().expect("this program");
    let status = Command::new(script).arg(program).args(arguments).status().expect(script);
    exit(status.code().unwrap_or(1));
}

async fn measure(postgres: &str) {
    let key = SigningKey::generate().expect("randomness");
    let storeless = Process::storeless(&key.public_key());
    // What they say does not matter, so the same ones do for all rounds.
    let repeated = Webhooks::sign(&key, 20_000, CONTACTS);
    let databases = [BenchDatabase::sqlite(), BenchDatabase::postgres(postgres).await];
    let mut servers: Vec<_> = databases
        .into_iter()
        .map(|database| (Process::convo(&database.url, &key.public_key()), database, Vec::new()))
        .collect();
    let mut figures: Vec<Figures> =
        servers.iter().map(|(_, database, _)| Figures::new(database.label)).collect();
    for connections in CONNECTIONS {
        for _ in 0..ROUNDS {
            let limit = round(&storeless, &repeated, connections, true).await;
            for ((server, _, stored), figures) in servers.iter_mut().zip(&mut figures) {
                let expected = expected_requests(&limit);
                let webhooks = Webhooks::sign(&key, expected, CONTACTS);
                let stores = round(server, &webhooks, connections, false).await;
                stored.extend(stores.answered.iter().map(|place| webhooks.id(*place)));
                figures.add(connections, &limit, &stores);
            }
        }
    }
    for ((server, database, stored), mut figures) in servers.into_iter().zip(figures) {
        server.stop();
        database.check(&stored, 0).await;
        figures.sizes = database.sizes(stored.len()).await;
        figures.bare = bare::commit(&database, 1).await;
        figures.bare_batch = bare::commit(&database, bare::BATCH).await;
        figures.print();
    }
}

async fn measure_big(postgres: &str, messages: u32) {
    let key = SigningKey::generate().expect("randomness");
    let new = || BenchDatabase::postgres(postgres);
    let pairs =
        vec![[BenchDatabase::sqlite(), BenchDatabase::sqlite()], [new().await, new().await]];
    let measured = big::measure(&key, pairs, messages).await;
    for (from, to) in measured.iter().zip([new().await, BenchDatabase::sqlite()]) {
        tokio::task::block_in_place(|| big::copy(from, &to));
    }
}

/// One round, whose client has a runtime of its own.
async fn round(server: &Process, webhooks: &Shared, connections: usize, repeat: bool) -> Round {
    tokio::task::block_in_place(|| load::run(server, webhooks, connections, repeat))
}

/// Enough webhooks for a round: a server that stores them is not faster than one that does not.
fn expected_requests(limit: &Round) -> usize {
    limit.answered.len() + 1_000
}

/// The median of some figures.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Webhooks are shared by the connections.
type Shared = Arc<Webhooks>;
