//! The server through real sockets, on a real database.

mod crowds;
mod doors;
mod faults;
mod flow;
mod lives;

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::client::Client;
use crate::clock;
use crate::domain::PhoneNumber;
use crate::secret::Secret;
use crate::server::access::ApiToken;
use crate::store::{Location, Mode, Purpose, Store};
use crate::telnyx;
use crate::telnyx::signature::signed_bytes;
use crate::threading::{Conversations, Policy};

/// Longer than anything here takes, shorter than a person waits.
const PATIENCE: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_millis(100);
/// How a server stops here: without a drain, and soon.
const STOP: Stop = Stop { drain: Duration::ZERO, deadline: Duration::from_secs(1) };
const LINES: &str = "host: localhost\r\nconnection: close\r\n";

/// The header lines of a webhook sent at some time, with a signature of another body.
fn signature_lines(seconds: i64) -> String {
    let signature = STANDARD.encode([1; 64]);
    format!("telnyx-timestamp: {seconds}\r\ntelnyx-signature-ed25519: {signature}\r\n")
}

/// The same, sent now: only with the body can it be refused.
fn fresh_signature() -> String {
    signature_lines(clock::now().as_micros() / 1_000_000)
}

fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

async fn conversations(home: &TempDir, telnyx: Option<SocketAddr>) -> Conversations {
    let location = Location::parse("sqlite:///threads.db", home.path()).expect("a location");
    let store = Store::open(&location, Mode::Sandbox, Purpose::Serve).await.expect("a database");
    let telnyx = telnyx.map(|address| {
        let base_url = telnyx::BaseUrl::parse(&format!("http://{address}/v2")).expect("a URL");
        let patience = Duration::from_secs(5);
        telnyx::client::TelnyxClient::new(base_url, Secret::new("KEY"), patience)
            .expect("a way to it")
    });
    let numbers = vec![PhoneNumber::parse("+15551234567").expect("a number")];
    let policy = Policy { timeout: Duration::from_secs(5), ..Policy::default() };
    Conversations::new(store, telnyx, numbers, policy)
}

/// A server without a database yet, with tokens separated by commas.
fn app(limits: Limits, stop: Stop, tokens: Option<&str>) -> super::Server {
    let tokens = tokens.into_iter().flat_map(|tokens| tokens.split(','));
    let tokens: Vec<_> = tokens.map(Secret::new).map(ApiToken::plain).collect();
    let public_key = STANDARD.encode(signing_key().verifying_key().as_bytes());
    let verifier = Arc::new(Verifier::new(&[public_key]).expect("a key"));
    super::Server::new(App { access: Access::new(&tokens), verifier, limits, stop, media: None })
}

/// A running server on a database of its own.
struct Server {
    address: SocketAddr,
    shutdown: Shutdown,
    task: JoinHandle<Instant>,
    /// The threads it serves, to compare with what it answers.
    conversations: Conversations,
    _home: TempDir,
}

impl Server {
    /// A server without a token.
    async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    async fn with(limits: Limits) -> Self {
        Self::of(limits, None, None).await
    }

    async fn with_token(token: &str) -> Self {
        Self::of(Limits::default(), Some(token), None).await
    }

    /// A server whose messages go to the given address instead of Telnyx.
    async fn sending_to(telnyx: SocketAddr) -> Self {
        Self::of(Limits::default(), None, Some(telnyx)).await
    }

    async fn of(limits: Limits, token: Option<&str>, telnyx: Option<SocketAddr>) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let conversations = conversations(&home, telnyx).await;
        let server = app(limits, STOP, token);
        server.open(conversations.clone());
        Self::run(server, conversations, home).await
    }

    /// Runs a server, on whose threads it may have been opened or not.
    async fn run(server: super::Server, conversations: Conversations, home: TempDir) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shutdown = Shutdown::default();
        let task = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { server.run(listener, shutdown).await }
        });
        Self { address, shutdown, task, conversations, _home: home }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    /// Writes a request as it is and reads until the server hangs up.
    async fn raw(&self, request: impl AsRef<[u8]>) -> Answer {
        let (mut read, mut write) = self.connect().await.into_split();
        let request = request.as_ref().to_vec();
        // Beside the reading: a server may answer before it has read everything.
        let writing = tokio::spawn(async move {
            let _ = write.write_all(&request).await;
            write
        });
        let answer = Answer::read(&mut read).await;
        drop(writing.await);
        answer
    }

    async fn get(&self, path: &str) -> Answer {
        self.raw(format!("GET {path} HTTP/1.1\r\n{LINES}\r\n")).await
    }

    async fn post(&self, path: &str, lines: &str, body: &str) -> Answer {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\n{LINES}{lines}content-length: {length}\r\n");
        self.raw(format!("{head}\r\n{body}")).await
    }

    async fn post_json(&self, path: &str, body: &str) -> Answer {
        self.post(path, "content-type: application/json\r\n", body).await
    }

    /// Posts a webhook as Telnyx would, signed now.
    async fn webhook(&self, body: &str) -> Answer {
        self.signed_at(clock::now().as_micros() / 1_000_000, body).await
    }

    async fn signed_at(&self, seconds: i64, body: &str) -> Answer {
        let time = seconds.to_string();
        let signature = signing_key().sign(&signed_bytes(time.as_bytes(), body.as_bytes()));
        let signature = STANDARD.encode(signature.to_bytes());
        let lines =
            format!("telnyx-timestamp: {time}\r\ntelnyx-signature-ed25519: {signature}\r\n");
        self.post("/webhooks/sms", &lines, body).await
    }

    fn client(&self, token: Option<&str>) -> Client {
        let token = token.map(Secret::new);
        Client::new(&format!("http://{}", self.address), token.as_ref()).expect("a client")
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    async fn read(stream: &mut (impl AsyncReadExt + Unpin)) -> Self {
        let mut answer = Vec::new();
        let whole = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        whole.expect("an answer in time").expect("a readable answer");
        let answer = String::from_utf8(answer).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole head");
        let status = head.get(9..12).and_then(|digits| digits.parse().ok()).expect("a status");
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    /// Asserts that this is an error in the shape of the API, and gives its code.
    fn code(&self) -> String {
        assert!(self.head.contains("content-type: application/json"), "{}", self.head);
        let body: serde_json::Value = serde_json::from_str(&self.body).expect(&self.body);
        let sentence = body["error"].as_str().expect("a sentence");
        assert!(!sentence.is_empty(), "{}", self.body);
        body["code"].as_str().expect("a code").to_owned()
    }

    fn told(&self) -> (u16, String) {
        (self.status, self.code())
    }
}

fn expect(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// Reads until the server hangs up.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    let _ = ended.expect("cut off in time");
    String::from_utf8(bytes).expect("text")
}

/// Reads one answer without a body, or with a short one, on a connection that stays open.
async fn one_answer(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 4096];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut bytes)).await;
    bytes.truncate(read.expect("in time").expect("an answer"));
    String::from_utf8(bytes).expect("text")
}

async fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("a request");
    one_answer(stream).await
}

/// The connections of a server that does not run yet.
fn connections(limits: Limits) -> Connections {
    let server = app(limits.clone(), STOP, None);
    let closing = Arc::clone(&server.state.closing);
    Connections::new(routes::all(&server.state), limits, closing)
}
