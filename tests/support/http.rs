//! HTTP/1.1 by hand: requests that no client would send, and answers to the byte.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::{Position, Url};

use super::{DEADLINE, Signer, inbound};

/// The header lines of a request after which the server closes the connection.
pub const LINES: &str = "host: localhost\r\nconnection: close\r\n";

/// A request after which the server closes the connection, with further header lines. A POST or PUT
/// carries its body as JSON, unless the lines name another type.
pub fn request(method: &str, path: &str, lines: &str, body: &str) -> String {
    kept_open(method, path, &format!("connection: close\r\n{lines}"), body)
}

/// As [`request`], after which the connection stays open.
fn kept_open(method: &str, path: &str, lines: &str, body: &str) -> String {
    let start = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{lines}");
    if !matches!(method, "POST" | "PUT") {
        return format!("{start}\r\n");
    }
    let json = "content-type: application/json\r\n";
    let content_type = if lines.contains("content-type: ") { "" } else { json };
    format!("{start}{content_type}content-length: {}\r\n\r\n{body}", body.len())
}

/// An answer after which the connection is closed, with further header lines. A body is JSON where
/// it looks like it, unless the lines name another type.
pub fn response(status: &str, lines: &str, body: &str) -> String {
    let content_type = match body.chars().next() {
        _ if lines.contains("content-type: ") => "",
        Some('{' | '[') => "content-type: application/json\r\n",
        Some(_) => "content-type: text/html\r\n",
        None => "",
    };
    format!(
        "HTTP/1.1 {status}\r\n{content_type}{lines}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The header line that carries an API token.
pub fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

/// Head and body of the message at the beginning of some bytes; `None` while it is incomplete.
/// `ended` says that no more bytes come. The head is in lower case.
pub fn parse(bytes: &[u8], ended: bool) -> Option<(String, String)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let rest = &bytes[end + 4..];
    let length = header(&head, "content-length").map(|length| length.parse().expect("a length"));
    let body = match length {
        _ if head.contains("transfer-encoding: chunked") => dechunked(rest)?,
        Some(length) => rest.get(..length)?.to_vec(),
        // Only an answer may be delimited by the end of its connection.
        None if head.starts_with("http/") => ended.then(|| rest.to_vec())?,
        None => Vec::new(),
    };
    Some((head, text(body)))
}

/// A body as text. In one that is no text, such as a picture, each byte becomes a character.
fn text(body: Vec<u8>) -> String {
    let each = |bytes: Vec<u8>| bytes.into_iter().map(char::from).collect();
    String::from_utf8(body).unwrap_or_else(|error| each(error.into_bytes()))
}

fn dechunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).expect("a chunk's size");
        let size = usize::from_str_radix(size, 16).expect("a chunk's size");
        let chunk = rest.get(end + 2..end + 2 + size)?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(chunk);
        rest = rest.get(end + 2 + size + 2..)?;
    }
}

/// A header of a head in lower case.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// Reads one message from a connection that may stay open; `None` when it ends before.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<(String, String)> {
    let (mut bytes, mut chunk) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return parse(&bytes, true),
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
        }
        if let Some(message) = parse(&bytes, false) {
            return Some(message);
        }
    }
}

/// The answer to a request.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// In lower case.
    pub head: String,
    pub body: String,
}

impl Answer {
    fn new((head, body): (String, String)) -> Self {
        let status = head.get(9..12).and_then(|digits| digits.parse().ok()).expect("a status");
        Self { status, head, body }
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Status and code of an error in the API's shape.
    #[track_caller]
    pub fn status_and_code(&self) -> (u16, String) {
        assert!(self.head.contains("content-type: application/json"), "{}", self.head);
        let body = self.json();
        assert!(body["error"].as_str().is_some_and(|error| !error.is_empty()), "{body}");
        (self.status, body["code"].as_str().expect("a code").to_owned())
    }

    /// A header, its value in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// The path and query of the next page, if there is one: the target of `Link`, relative to the path
    /// that this is the answer for.
    #[track_caller]
    pub fn next(&self, path: &str) -> Option<String> {
        let link = self.header("link")?;
        let target = link.strip_prefix('<').and_then(|rest| rest.strip_suffix(">; rel=\"next\""));
        let here = Url::parse("http://host").and_then(|host| host.join(path)).expect("a URL");
        let next = here.join(target.expect(link)).expect("a relative reference");
        Some(next[Position::BeforePath..].to_owned())
    }
}

/// Writes a request as it is on a new connection and reads until the server closes it.
pub async fn raw(to: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    exchange(TcpStream::connect(to).await.expect("a connection"), request).await
}

/// As [`raw`], on a connection that exists.
pub async fn exchange(stream: TcpStream, request: impl AsRef<[u8]>) -> Answer {
    try_exchange(stream, request).await.expect("a complete answer")
}

/// As [`exchange`]; `None` when the connection ends before the answer.
pub async fn try_exchange(stream: TcpStream, request: impl AsRef<[u8]>) -> Option<Answer> {
    let (mut read, mut write) = stream.into_split();
    let request = request.as_ref().to_vec();
    // Beside the reading: a server may answer before it has read everything.
    let writing = tokio::spawn(async move {
        let _ = write.write_all(&request).await;
        write
    });
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(DEADLINE, read.read_to_end(&mut bytes)).await;
    let read = read.expect("an answer in time");
    drop(writing.await);
    read.ok()?;
    parse(&bytes, true).map(Answer::new)
}

/// A client that keeps its connection for as long as the server does. A request without an answer
/// fails the test.
pub struct Connection {
    to: SocketAddr,
    open: Option<TcpStream>,
}

impl Connection {
    pub fn new(to: SocketAddr) -> Self {
        Self { to, open: None }
    }

    pub async fn post(&mut self, path: &str, lines: &str, body: &str) -> Answer {
        self.ask(&kept_open("POST", path, lines, body)).await
    }

    pub async fn get(&mut self, path: &str, lines: &str) -> Answer {
        self.ask(&kept_open("GET", path, lines, "")).await
    }

    /// Posts a webhook about a message of its own, signed now.
    pub async fn webhook(&mut self, signer: &Signer, id: &str) -> Answer {
        let body = inbound(&format!("event-{id}"), id, "+12125550001", id);
        self.post("/webhooks/sms", &signer.lines(&body), &body).await
    }

    async fn ask(&mut self, request: &str) -> Answer {
        let mut stream = match self.open.take() {
            Some(stream) => stream,
            None => TcpStream::connect(self.to).await.expect("no connection is refused"),
        };
        stream.write_all(request.as_bytes()).await.expect("the request is read");
        let answer = tokio::time::timeout(DEADLINE, read(&mut stream)).await;
        let answer = Answer::new(answer.expect("an answer in time").expect("a complete answer"));
        self.open = (answer.header("connection") != Some("close")).then_some(stream);
        answer
    }
}
