//! A server as a process of its own, and signed webhooks posted to it without pause.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use convo::domain::Window;
use convo::sandbox::SigningKey;
use convo::store::{Location, Mode, Purpose, Store};
use convo::threading::{Policy, Threads};
use serde_json::json;

use crate::support::listening;

/// No wait in these tests may take longer.
pub const PATIENCE: Duration = Duration::from_secs(60);
const CONNECTIONS: usize = 16;
const CONTACTS: usize = 50;

/// A running server.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    pub log: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts `convo serve` by a command that already names its database.
    pub fn start(mut command: Command, key: &SigningKey) -> Self {
        let mut child = command
            .env("TELNYX_PUBLIC_KEY", key.public_key())
            .env("CONVO_LISTEN", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let talk = BufReader::new(child.stderr.take().expect("piped"));
        let (found, address) = mpsc::channel();
        let log = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&log);
        let reading = std::thread::spawn(move || {
            for line in talk.lines().map_while(Result::ok) {
                if let Some(address) = listening(&line) {
                    let _ = found.send(address);
                }
                let mut log = kept.lock().expect("no panic");
                log.push_str(&line);
                log.push('\n');
            }
        });
        let address = address.recv_timeout(PATIENCE).expect("the server listens");
        Self { child, address, log, reading: Some(reading) }
    }

    /// SIGKILL. What it had logged, all of it.
    pub fn kill(mut self) -> String {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
        let reading = self.reading.take().expect("it was not killed before");
        reading.join().expect("no panic");
        let log = self.log.lock().expect("no panic");
        log.clone()
    }

    /// What it keeps in memory, in KiB.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Whether something is in its log, which may come a little after its answers.
    pub fn says(&self, what: &str) -> bool {
        let since = Instant::now();
        loop {
            let said = self.log.lock().expect("no panic").contains(what);
            if said || since.elapsed() > PATIENCE {
                return said;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `convo serve` on a database, with nothing of this test's environment.
pub fn serve(url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_convo"));
    command.arg("serve").env_clear().env("DATABASE_URL", url);
    command
}

/// What became of the webhooks of one load.
#[derive(Default)]
pub struct Tally {
    pub acknowledged: Vec<usize>,
    pub refused: Vec<usize>,
    pub lost: Vec<usize>,
}

/// Posts signed webhooks, each once, numbered from `first`, until `stop` says so.
pub async fn post_until(
    address: SocketAddr,
    key: &SigningKey,
    first: usize,
    stop: impl Fn(&Tally) -> bool,
) -> Tally {
    let client = client();
    let (mut tally, mut next) = (Tally::default(), first);
    let since = Instant::now();
    while !stop(&tally) {
        assert!(
            since.elapsed() < PATIENCE,
            "the load did not come to its end: {} {} {}",
            tally.acknowledged.len(),
            tally.refused.len(),
            tally.lost.len()
        );
        let round: Vec<usize> = (next..next + CONNECTIONS).collect();
        next += CONNECTIONS;
        let posts = round.iter().map(|n| post(&client, address, key, *n));
        for (n, status) in round.iter().zip(futures_util::future::join_all(posts).await) {
            match status {
                Some(200) => tally.acknowledged.push(*n),
                Some(503) => tally.refused.push(*n),
                None => tally.lost.push(*n),
                Some(other) => panic!("a signed webhook was answered {other}"),
            }
        }
    }
    tally
}

/// Posts the same webhooks again until every one is acknowledged.
pub async fn repost(address: SocketAddr, key: &SigningKey, which: &[usize]) {
    let client = client();
    let since = Instant::now();
    for n in which {
        while post(&client, address, key, *n).await != Some(200) {
            assert!(since.elapsed() < PATIENCE, "webhook {n} is not taken");
        }
    }
}

/// A client for this machine alone.
pub fn client() -> reqwest::Client {
    convo::tls::install();
    reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client")
}

/// Posts one webhook, freshly signed; its status, if there was an answer.
pub async fn post(
    client: &reqwest::Client,
    address: SocketAddr,
    key: &SigningKey,
    n: usize,
) -> Option<u16> {
    let body = json!({"data": {"event_type": "message.received", "id": format!("event-{n}"),
        "occurred_at": "2026-11-22T13:00:00Z", "record_type": "event", "payload": {
        "id": message_id(n), "direction": "inbound", "text": format!("Text number {n}"),
        "from": {"phone_number": format!("+1212555{:04}", n % CONTACTS)},
        "to": [{"phone_number": "+15551234567"}], "received_at": "2026-11-22T13:00:00Z"}}})
    .to_string();
    let seconds = convo::clock::now().as_micros() / 1_000_000;
    let answer = client
        .post(format!("http://{address}/webhooks/sms"))
        .header("telnyx-timestamp", seconds.to_string())
        .header("telnyx-signature-ed25519", key.sign(seconds, body.as_bytes()))
        .timeout(Duration::from_secs(5))
        .body(body)
        .send()
        .await;
    let answer = answer.ok()?;
    let status = answer.status().as_u16();
    answer.bytes().await.ok().map(|_| status)
}

fn message_id(n: usize) -> String {
    format!("message-{n}")
}

/// Every acknowledged message is in the database, none twice, and every counter equals its rows.
pub async fn assert_kept(url: &str, acknowledged: &[usize]) {
    let location = Location::parse(url, std::path::Path::new("/")).expect("a location");
    let store = Store::open(&location, Mode::Real, Purpose::Read).await.expect("it opens");
    let threads = Threads::new(store, None, Vec::new(), Policy::default());
    let mut kept = HashSet::new();
    for thread in threads.conversations(None, 1_000).await.expect("threads") {
        let all = Window::Oldest { after: None, limit: 1_000_000 };
        let messages = threads.messages(thread.id, all, false).await.expect("messages");
        assert_eq!(thread.message_count, messages.len() as u64, "{}", thread.contact_number);
        for message in messages {
            let id = message.telnyx_message_id.expect("it came from Telnyx");
            assert!(kept.insert(id.clone()), "{id} is there twice");
        }
    }
    for n in acknowledged {
        assert!(kept.contains(&message_id(*n)), "webhook {n} was acknowledged and is lost");
    }
}

/// How often to repeat what is bounded by default.
pub fn times(usual: usize) -> usize {
    let long = std::env::var("CONVO_TEST_LONG").ok().and_then(|text| text.parse().ok());
    usual * long.unwrap_or(1)
}
