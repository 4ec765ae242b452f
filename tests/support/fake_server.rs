//! A server that replies as a script says: Telnyx at its worst, or whatever else may answer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use super::http::{header, read, response};
use super::{CONTACT, eventually, eventually_some};

/// What it does with one request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Accepts a message, under an id that follows from the key: a repeat gets the same answer.
    Accept,
    /// Accepts it under this id.
    AcceptAs(&'static str),
    /// Answers with a status and a body.
    Status(u16, &'static str),
    /// Answers 429 and asks for a pause of so many seconds.
    RateLimit(u32),
    /// Writes these bytes and closes the connection; `{n}` becomes the number of the request, of three
    /// digits.
    Raw(String),
    /// Resets the connection before it has read anything.
    ResetUnread,
    /// Reads the request and resets the connection.
    Reset,
    /// Begins an answer and closes the connection in the middle of it.
    BreakOff,
    /// Reads the request and never answers.
    Silence,
    /// Reads the request and accepts it when it is released.
    Hold,
    /// Reads the request and answers like this when it is released.
    HoldStatus(u16, &'static str),
    /// Reads the request and, when it is released, answers 429 and asks for a pause of so many seconds.
    HoldRateLimit(u32),
}

impl Reply {
    /// Whether it waits to be released.
    fn is_held(&self) -> bool {
        matches!(self, Self::Hold | Self::HoldStatus(..) | Self::HoldRateLimit(_))
    }
}

/// A refusal as Telnyx words it.
pub const REFUSED: &str =
    r#"{"errors":[{"code":"40310","title":"Invalid 'to' address","detail":"no such number"}]}"#;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// In lower case, with the request line.
    pub head: String,
    pub body: String,
}

impl Request {
    /// A header, its value in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// The id of the message that is asked about.
    fn queried(&self) -> Option<String> {
        let path = self.head.strip_prefix("get /v2/messages/")?;
        path.split(' ').next().map(str::to_owned)
    }
}

/// One offer of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub key: String,
    pub body: String,
}

/// A running server, until it is stopped or the test ends.
#[derive(Clone)]
pub struct FakeServer {
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    script: Mutex<VecDeque<Reply>>,
    /// The reply after the script; without one the server stops listening.
    then: Mutex<Option<Reply>>,
    requests: Mutex<Vec<Request>>,
    /// What `GET /v2/messages/{id}` answers.
    known: Mutex<BTreeMap<String, Value>>,
    /// How many connections the other end has closed.
    hung_up: Mutex<usize>,
    gate: Semaphore,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl FakeServer {
    /// Replies with one after the other, one a connection; with the last for ever.
    pub async fn replying(script: &[Reply]) -> Self {
        Self::listening(0, script, script.last().cloned()).await
    }

    /// Replies with one after the other, and then stops listening.
    pub async fn replying_then_gone(script: &[Reply]) -> Self {
        Self::listening(0, script, None).await
    }

    /// As [`replying`](Self::replying), at an address that another one has left.
    pub async fn in_place_of(address: SocketAddr, script: &[Reply]) -> Self {
        Self::listening(address.port(), script, script.last().cloned()).await
    }

    async fn listening(port: u16, script: &[Reply], then: Option<Reply>) -> Self {
        // Between two servers, a connection of another test may have the port for a moment.
        let listener = eventually_some("the port to be free", async || {
            TcpListener::bind(("127.0.0.1", port)).await.ok()
        });
        let listener = listener.await;
        let address = listener.local_addr().expect("an address");
        let inner = Arc::new(Inner {
            script: Mutex::new(script.iter().cloned().collect()),
            then: Mutex::new(then),
            requests: Mutex::default(),
            known: Mutex::default(),
            hung_up: Mutex::default(),
            gate: Semaphore::new(0),
            task: Mutex::default(),
        });
        let task = tokio::spawn(serve(listener, Arc::clone(&inner)));
        *inner.task.lock().expect("no panic") = Some(task);
        Self { address, inner }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// As `TELNYX_BASE_URL` takes it.
    pub fn base_url(&self) -> String {
        base_url(self.address)
    }

    /// Goes on with another script.
    pub fn now_replying(&self, script: &[Reply]) {
        *self.inner.script.lock().expect("no panic") = script.iter().cloned().collect();
        *self.inner.then.lock().expect("no panic") = script.last().cloned();
    }

    /// Knows a message, for those who ask about it.
    pub fn knows(&self, id: &str, status: &str) {
        self.tells(id, json!({"to": [{"phone_number": CONTACT, "status": status}]}));
    }

    /// Tells these fields of a message to those who ask about it.
    pub fn tells(&self, id: &str, mut fields: Value) {
        fields["id"] = id.into();
        fields["direction"] = "outbound".into();
        let message = json!({ "data": fields });
        self.inner.known.lock().expect("no panic").insert(id.to_owned(), message);
    }

    /// Lets one held answer go.
    pub fn release(&self) {
        self.inner.gate.add_permits(1);
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Request> {
        self.inner.requests.lock().expect("no panic").clone()
    }

    /// Every offer of a message so far.
    pub fn offers(&self) -> Vec<Offer> {
        let requests = self.requests().into_iter();
        let offers = requests.filter(|request| request.head.starts_with("post /v2/messages "));
        let offer = |request: Request| {
            let key = request.header("idempotency-key").expect("every offer has a key");
            Offer { key: key.to_owned(), body: request.body }
        };
        offers.map(offer).collect()
    }

    /// The ids of the messages that were asked about.
    pub fn queried(&self) -> Vec<String> {
        self.requests().iter().filter_map(Request::queried).collect()
    }

    /// Waits for so many offers in all.
    pub async fn wait_for_offers(&self, count: usize) {
        let what = format!("{count} offers");
        eventually(&what, async || self.offers().len() >= count).await;
    }

    /// Waits until the other end has closed so many connections in all.
    pub async fn wait_for_hang_ups(&self, count: usize) {
        let what = format!("{count} closed connections");
        eventually(&what, async || *self.inner.hung_up.lock().expect("no panic") >= count).await;
    }

    /// The keys of all offers. Fails when one key came with two bodies.
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

    /// Ends it; its address is free.
    pub async fn stop(&self) {
        let task = self.inner.task.lock().expect("no panic").take();
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
    }
}

/// The `TELNYX_BASE_URL` for an address.
pub fn base_url(address: SocketAddr) -> String {
    format!("http://{address}/v2")
}

async fn serve(listener: TcpListener, inner: Arc<Inner>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let mut script = inner.script.lock().expect("no panic");
        let then = inner.then.lock().expect("no panic").clone();
        let Some(reply) = script.pop_front().or_else(|| then.clone()) else { return };
        let is_last = script.is_empty() && then.is_none();
        drop(script);
        connections.spawn(handle(stream, reply, Arc::clone(&inner)));
        if is_last {
            break;
        }
    }
    let address = listener.local_addr().expect("an address");
    drop(listener);
    // Bound without listening: connections are refused, and no other test gets the port.
    let _reserved = reserve(address);
    while connections.join_next().await.is_some() {}
    std::future::pending::<()>().await;
}

fn reserve(address: SocketAddr) -> Option<TcpSocket> {
    let socket = TcpSocket::new_v4().ok()?;
    socket.set_reuseaddr(true).ok()?;
    socket.bind(address).ok().map(|()| socket)
}

async fn handle(mut stream: TcpStream, reply: Reply, inner: Arc<Inner>) {
    if matches!(reply, Reply::ResetUnread) {
        return reset(stream);
    }
    let Some((head, body)) = read(&mut stream).await else { return };
    let request = Request { head, body };
    let number = {
        let mut requests = inner.requests.lock().expect("no panic");
        requests.push(request.clone());
        requests.len()
    };
    let bytes = match request.queried() {
        Some(id) => match inner.known.lock().expect("no panic").get(&id) {
            Some(message) => response("200 OK", "", &message.to_string()),
            None => response("404 Not Found", "", "{}"),
        },
        None => {
            if reply.is_held() {
                hold(&stream, &inner).await;
            }
            match answer(&reply, &request) {
                Some(bytes) => bytes.replace("{n}", &format!("{number:03}")),
                None if matches!(reply, Reply::Reset) => return reset(stream),
                None => String::new(),
            }
        }
    };
    let _ = stream.write_all(bytes.as_bytes()).await;
    let waits = reply.is_held() || matches!(reply, Reply::Silence | Reply::RateLimit(_));
    if waits && request.queried().is_none() {
        let _ = stream.read(&mut [0; 1]).await;
        *inner.hung_up.lock().expect("no panic") += 1;
    }
}

/// The bytes of an answer, where there is one.
fn answer(reply: &Reply, request: &Request) -> Option<String> {
    Some(match reply {
        Reply::Accept | Reply::Hold => {
            let key = request.header("idempotency-key").unwrap_or_default();
            accepted(&format!("telnyx-{key}"), request)
        }
        Reply::AcceptAs(id) => accepted(id, request),
        Reply::Status(status, body) | Reply::HoldStatus(status, body) => {
            response(&format!("{status} X"), "", body)
        }
        Reply::RateLimit(seconds) | Reply::HoldRateLimit(seconds) => {
            response("429 Too Many Requests", &format!("retry-after: {seconds}\r\n"), "")
        }
        Reply::Raw(bytes) => bytes.clone(),
        Reply::BreakOff => {
            "HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n{\"data\":{\"id\":\"m-1\"".to_owned()
        }
        Reply::ResetUnread | Reply::Reset | Reply::Silence => return None,
    })
}

fn accepted(id: &str, request: &Request) -> String {
    let to = serde_json::from_str::<Value>(&request.body).unwrap_or_default()["to"].clone();
    let message = json!({"data": {"id": id, "direction": "outbound",
        "to": [{"phone_number": to, "status": "queued"}]}});
    response("200 OK", "", &message.to_string())
}

/// Waits until an answer is released or the other end has gone.
async fn hold(stream: &TcpStream, inner: &Inner) {
    let gone = async {
        // Readiness alone may be left over from the request.
        while stream.peek(&mut [0; 1]).await.is_ok_and(|bytes| bytes > 0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        permit = inner.gate.acquire() => permit.expect("a gate").forget(),
        () = gone => {}
    }
}

/// Ends a connection with RST.
fn reset(stream: TcpStream) {
    stream.set_zero_linger().expect("a socket option");
    drop(stream);
}
