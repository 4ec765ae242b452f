//! A Telnyx that misbehaves as told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

/// No wait in these tests may take longer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What it does with one request.
#[derive(Clone, Debug)]
pub enum Does {
    /// Takes it, under an id that follows from the key: a repeat gets the same answer.
    Accept,
    /// Takes it under this id.
    AcceptAs(&'static str),
    /// Answers a status with a body.
    Answer(u16, &'static str),
    /// Answers 429 and asks to come back in so many seconds.
    SlowDown(u32),
    /// Resets the connection before it has read anything.
    ResetBefore,
    /// Reads the request and resets the connection.
    ResetAfter,
    /// Begins an answer and breaks off.
    BreakOff,
    /// Reads the request and never answers.
    Silence,
    /// Reads the request and accepts it when it is let go.
    Hold,
    /// Reads the request and answers so when it is let go.
    HoldAnswer(u16, &'static str),
}

pub const REFUSED: &str =
    r#"{"errors":[{"code":"40310","title":"Invalid 'to' address","detail":"no such number"}]}"#;

/// One offer of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub key: String,
    pub body: String,
}

/// A running stand-in.
#[derive(Clone)]
pub struct Telnyx {
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    script: Mutex<VecDeque<Does>>,
    /// After the script: this, for ever; or nobody is there any more.
    then: Mutex<Option<Does>>,
    offers: Mutex<Vec<Offer>>,
    asked: Mutex<Vec<String>>,
    /// What `GET /messages/{id}` answers.
    known: Mutex<BTreeMap<String, Value>>,
    /// Connections whose other end has gone.
    hung_up: Mutex<usize>,
    gate: tokio::sync::Semaphore,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Telnyx {
    /// Does one thing after the other, the last for ever.
    pub async fn that(script: &[Does]) -> Self {
        let last = script.last().cloned();
        Self::listening(0, script, last).await
    }

    /// Does one thing after the other, and is gone then.
    pub async fn that_leaves_after(script: &[Does]) -> Self {
        Self::listening(0, script, None).await
    }

    /// One that has been elsewhere before: it takes the address over.
    pub async fn in_place_of(address: SocketAddr, script: &[Does]) -> Self {
        let last = script.last().cloned();
        Self::listening(address.port(), script, last).await
    }

    async fn listening(port: u16, script: &[Does], then: Option<Does>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let inner = Arc::new(Inner {
            script: Mutex::new(script.iter().cloned().collect()),
            then: Mutex::new(then),
            offers: Mutex::default(),
            asked: Mutex::default(),
            known: Mutex::default(),
            hung_up: Mutex::default(),
            gate: tokio::sync::Semaphore::new(0),
            task: Mutex::default(),
        });
        let task = tokio::spawn(serve(listener, Arc::clone(&inner)));
        *inner.task.lock().expect("a lock") = Some(task);
        Self { address, inner }
    }

    pub fn base_url(&self) -> String {
        base_url(self.address)
    }

    /// Behaves differently from now on.
    pub fn now(&self, script: &[Does]) {
        *self.inner.script.lock().expect("a lock") = script.iter().cloned().collect();
        *self.inner.then.lock().expect("a lock") = script.last().cloned();
    }

    /// What it tells of a message it is asked about.
    pub fn knows(&self, id: &str, status: &str) {
        let told = json!({"data": {"id": id, "direction": "outbound",
            "to": [{"phone_number": "+12125551234", "status": status}]}});
        self.inner.known.lock().expect("a lock").insert(id.to_owned(), told);
    }

    /// Lets held answers go.
    pub fn let_go(&self) {
        self.inner.gate.add_permits(1);
    }

    /// Every offer so far.
    pub fn offers(&self) -> Vec<Offer> {
        self.inner.offers.lock().expect("a lock").clone()
    }

    /// The ids it was asked about.
    pub fn asked(&self) -> Vec<String> {
        self.inner.asked.lock().expect("a lock").clone()
    }

    /// Waits until it was offered something so often.
    pub async fn was_offered(&self, times: usize) {
        until(|| self.offers().len() >= times).await;
    }

    /// Waits until so many connections were closed by the other end.
    pub async fn was_left(&self, times: usize) {
        until(|| *self.inner.hung_up.lock().expect("a lock") >= times).await;
    }

    /// The keys it has seen, each of which must always have come with the same bytes.
    pub fn keys(&self) -> BTreeSet<String> {
        let mut bodies: BTreeMap<String, String> = BTreeMap::new();
        for offer in self.offers() {
            let first = bodies.entry(offer.key.clone()).or_insert_with(|| offer.body.clone());
            assert_eq!(*first, offer.body, "one key, two requests");
        }
        bodies.into_keys().collect()
    }

    /// Asserts that every offer of a text came under one key, with one body.
    pub fn assert_one_key_per_text(&self) {
        let mut keys: BTreeMap<String, String> = BTreeMap::new();
        self.keys();
        for offer in self.offers() {
            let body: Value = serde_json::from_str(&offer.body).expect("JSON");
            let text = body["text"].as_str().expect("a text").to_owned();
            let first = keys.entry(text.clone()).or_insert_with(|| offer.key.clone());
            assert_eq!(*first, offer.key, "two keys for '{text}'");
        }
    }

    /// Leaves its address to somebody else.
    pub async fn leave(&self) {
        let task = self.inner.task.lock().expect("a lock").take();
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
    }
}

pub fn base_url(address: SocketAddr) -> String {
    format!("http://{address}/v2")
}

/// Polls until something holds.
pub async fn until(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited too long");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// An address where nobody listens.
pub async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("an address")
}

/// A socket that keeps a port from others and lets nobody in.
fn taken(address: SocketAddr) -> Option<TcpSocket> {
    let socket = TcpSocket::new_v4().ok()?;
    socket.set_reuseaddr(true).ok()?;
    socket.bind(address).ok().map(|()| socket)
}

/// An address whose host never completes a connection: whoever connects hangs before a byte is
/// written. The sockets are to be kept.
pub async fn unreachable() -> (SocketAddr, Vec<Box<dyn Send>>) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let listener = socket.listen(1).expect("a listener");
    let address = listener.local_addr().expect("an address");
    let mut kept: Vec<Box<dyn Send>> = vec![Box::new(listener)];
    let brief = Duration::from_millis(200);
    // The backlog takes a few; after that the kernel answers nobody.
    while let Ok(Ok(stream)) = tokio::time::timeout(brief, TcpStream::connect(address)).await {
        kept.push(Box::new(stream));
    }
    (address, kept)
}

async fn serve(listener: TcpListener, inner: Arc<Inner>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let mut script = inner.script.lock().expect("a lock");
        let does = script.pop_front().or_else(|| inner.then.lock().expect("a lock").clone());
        let is_last = script.is_empty() && inner.then.lock().expect("a lock").is_none();
        drop(script);
        let Some(does) = does else { return };
        connections.spawn(handle(stream, does, Arc::clone(&inner)));
        if is_last {
            break;
        }
    }
    // From here on connections are refused, but those that are there come to their end.
    let address = listener.local_addr().expect("an address");
    drop(listener);
    // Bound and not listening: connections are refused, and no other test gets the port.
    let _kept = taken(address);
    while connections.join_next().await.is_some() {}
    std::future::pending::<()>().await;
}

async fn handle(mut stream: TcpStream, does: Does, inner: Arc<Inner>) {
    if matches!(does, Does::ResetBefore) {
        return reset(stream);
    }
    let Some((head, body)) = read_request(&mut stream).await else { return };
    if let Some(id) = asked_about(&head) {
        inner.asked.lock().expect("a lock").push(id.clone());
        let known = inner.known.lock().expect("a lock").get(&id).cloned();
        let (status, body) = known.map_or((404, "{}".to_owned()), |told| (200, told.to_string()));
        return answer(&mut stream, status, "", &body).await;
    }
    let key = header(&head, "idempotency-key").expect("every offer has a key");
    let to = serde_json::from_str::<Value>(&body).map(|body| body["to"].clone());
    let accepted = |id: &str| {
        let to = to.as_ref().expect("an offer is JSON");
        json!({"data": {"id": id, "direction": "outbound",
            "to": [{"phone_number": to, "status": "queued"}]}})
        .to_string()
    };
    inner.offers.lock().expect("a lock").push(Offer { key: key.clone(), body: body.clone() });
    match does {
        Does::ResetBefore | Does::ResetAfter => return reset(stream),
        Does::Accept => answer(&mut stream, 200, "", &accepted(&format!("telnyx-{key}"))).await,
        Does::AcceptAs(id) => answer(&mut stream, 200, "", &accepted(id)).await,
        Does::Answer(status, body) => answer(&mut stream, status, "", body).await,
        Does::SlowDown(seconds) => {
            answer(&mut stream, 429, &format!("retry-after: {seconds}\r\n"), "").await;
        }
        Does::BreakOff => {
            let begun = b"HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n{\"data\":{\"id\":\"m-1\"";
            let _ = stream.write_all(begun).await;
        }
        Does::Silence => {}
        Does::Hold => {
            held(&stream, &inner).await;
            answer(&mut stream, 200, "", &accepted(&format!("telnyx-{key}"))).await;
        }
        Does::HoldAnswer(status, body) => {
            held(&stream, &inner).await;
            answer(&mut stream, status, "", body).await;
        }
    }
    if matches!(does, Does::Silence | Does::Hold | Does::HoldAnswer(..) | Does::SlowDown(_)) {
        // Until the other end closes.
        let _ = stream.read(&mut [0; 1]).await;
        *inner.hung_up.lock().expect("a lock") += 1;
    }
}

/// Until the other end has gone. Readiness alone may be left over from the request.
async fn gone(stream: &TcpStream) {
    while stream.peek(&mut [0; 1]).await.is_ok_and(|bytes| bytes > 0) {
        tokio::task::yield_now().await;
    }
}

/// Until it is let go, or the other end has gone.
async fn held(stream: &TcpStream, inner: &Inner) {
    tokio::select! {
        permit = inner.gate.acquire() => permit.expect("a gate").forget(),
        () = gone(stream) => {}
    }
}

/// Ends a connection with RST.
fn reset(stream: TcpStream) {
    stream.set_zero_linger().expect("a socket option");
    drop(stream);
}

async fn read_request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut raw = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = raw.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&raw[..end]).to_ascii_lowercase();
            let length =
                header(&head, "content-length").map_or(0, |n| n.parse().expect("a number"));
            if raw.len() >= end + 4 + length {
                let body = String::from_utf8(raw[end + 4..].to_vec()).expect("UTF-8");
                return Some((head, body));
            }
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => raw.extend_from_slice(&chunk[..count]),
        }
    }
}

fn asked_about(head: &str) -> Option<String> {
    let path = head.strip_prefix("get ")?.split(' ').next()?;
    path.strip_prefix("/v2/messages/").map(str::to_owned)
}

fn header(head: &str, name: &str) -> Option<String> {
    let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}:")))?;
    Some(line.trim().to_owned())
}

async fn answer(stream: &mut TcpStream, status: u16, lines: &str, body: &str) {
    let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{lines}");
    let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    let _ = stream.write_all(answer.as_bytes()).await;
}
