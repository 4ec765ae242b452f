//! A client that keeps its connection for as long as the server does, and forgives nothing: a
//! request without an answer fails the test.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{DEADLINE, Signer, inbound, seconds};

pub struct Client {
    to: SocketAddr,
    open: Option<TcpStream>,
}

impl Client {
    pub fn new(to: SocketAddr) -> Self {
        Self { to, open: None }
    }

    /// Sends a request with a body; the status of the answer, and its body.
    pub async fn post(&mut self, path: &str, lines: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{lines}");
        self.ask(&format!(
            "{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
        .await
    }

    pub async fn get(&mut self, path: &str, lines: &str) -> (u16, String) {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{lines}\r\n")).await
    }

    /// Posts a webhook of its own, signed now.
    pub async fn webhook(&mut self, signer: &Signer, id: &str) -> (u16, String) {
        let body = inbound(&format!("event-{id}"), id, "+12125550001", id);
        let (time, signature) = signer.sign(seconds(), body.as_bytes());
        let lines =
            format!("telnyx-timestamp: {time}\r\ntelnyx-signature-ed25519: {signature}\r\n");
        self.post("/webhooks/sms", &lines, &body).await
    }

    async fn ask(&mut self, request: &str) -> (u16, String) {
        let mut stream = match self.open.take() {
            Some(stream) => stream,
            None => TcpStream::connect(self.to).await.expect("nobody is refused"),
        };
        stream.write_all(request.as_bytes()).await.expect("the request is taken");
        let answer = tokio::time::timeout(DEADLINE, read(&mut stream)).await;
        let (status, body, last) = answer.expect("an answer in time");
        self.open = (!last).then_some(stream);
        (status, body)
    }
}

/// Reads one answer. Whether it is the last one.
async fn read(stream: &mut TcpStream) -> (u16, String, bool) {
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let read = stream.read(&mut piece).await.expect("an answer");
        assert!(read > 0, "the connection broke off: {}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let header =
            |name: &str| head.lines().find_map(|l| l.strip_prefix(name).map(str::to_owned));
        let length = header("content-length: ").expect("a length").parse().expect("a number");
        if body.len() >= length {
            let status = head.get(9..12).and_then(|status| status.parse().ok()).expect("a status");
            let last = header("connection: ").is_some_and(|value| value == "close");
            return (status, body.to_owned(), last);
        }
    }
}
