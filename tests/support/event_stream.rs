//! A client of server-sent events, which reads them as they come.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::DEADLINE;

/// What comes between two empty lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseBlock {
    pub id: Option<String>,
    pub event: Option<String>,
    pub data: Option<String>,
    pub is_comment: bool,
}

/// An open stream.
pub struct EventStream {
    stream: TcpStream,
    bytes: Vec<u8>,
    text: String,
    /// The head of the response, in lower case.
    pub head: String,
    /// As a browser keeps it, to come back with.
    pub last_id: String,
}

impl EventStream {
    /// Opens a stream with further header lines.
    pub async fn open(to: SocketAddr, path: &str, lines: &str) -> Self {
        let mut stream = TcpStream::connect(to).await.expect("a connection");
        let accept = "accept: text/event-stream\r\n";
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{accept}{lines}\r\n");
        stream.write_all(request.as_bytes()).await.expect("a request");
        let (bytes, text, head) = Default::default();
        let mut opened = Self { stream, bytes, text, head, last_id: String::new() };
        loop {
            if let Some(end) = opened.bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = opened.bytes.split_off(end + 4);
                let head = std::mem::replace(&mut opened.bytes, rest);
                opened.head = String::from_utf8(head).expect("text").to_lowercase();
                break;
            }
            assert!(opened.receive().await, "no head");
        }
        let is_stream = opened.head.starts_with("http/1.1 200")
            && opened.head.contains("content-type: text/event-stream");
        assert!(is_stream, "{}", opened.head);
        let first = opened.block().await.expect("its beginning");
        assert!(first.id.is_some(), "{first:?}");
        opened
    }

    /// The next event; `None` when the stream ends or is cut off.
    pub async fn try_event(&mut self) -> Option<Value> {
        loop {
            while !self.text.contains("\n\n") {
                match self.chunk() {
                    Some(chunk) if chunk.is_empty() => return None,
                    Some(chunk) => self.text.push_str(&chunk),
                    None if self.receive().await => {}
                    None => return None,
                }
            }
            if let Some(data) = self.block().await?.data {
                return Some(serde_json::from_str(&data).expect("JSON"));
            }
        }
    }

    /// Comes back to a server that may not be able to serve it yet.
    pub async fn come_back(self, to: SocketAddr, path: &str) -> Self {
        let lines = format!("last-event-id: {}\r\n", self.last_id);
        let get = super::request("GET", path, &lines, "");
        super::eventually("the server to serve again", async || {
            super::raw(to, get.clone()).await.status == 200
        })
        .await;
        self.resume(to, path).await
    }

    /// Comes back to a server, as a browser does.
    pub async fn resume(self, to: SocketAddr, path: &str) -> Self {
        Self::open(to, path, &format!("last-event-id: {}\r\n", self.last_id)).await
    }

    /// The next event.
    pub async fn event(&mut self) -> Value {
        loop {
            let block = self.block().await.expect("the stream goes on");
            if let Some(data) = block.data {
                let event: Value = serde_json::from_str(&data).expect("JSON");
                assert_eq!(event["cursor"].as_str(), block.id.as_deref());
                assert_eq!(event["kind"].as_str(), block.event.as_deref());
                return event;
            }
        }
    }

    /// What comes next; `None` at the proper end of the stream.
    pub async fn block(&mut self) -> Option<SseBlock> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let rest = self.text.split_off(end + 2);
                let block = parse(&std::mem::replace(&mut self.text, rest));
                if let Some(id) = &block.id {
                    self.last_id.clone_from(id);
                }
                return Some(block);
            }
            match self.chunk() {
                Some(chunk) if chunk.is_empty() => return None,
                Some(chunk) => self.text.push_str(&chunk),
                None => assert!(self.receive().await, "the stream was cut off"),
            }
        }
    }

    /// Takes a chunk that has arrived.
    fn chunk(&mut self) -> Option<String> {
        let end = self.bytes.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&self.bytes[..end]).expect("a chunk's size");
        let size = usize::from_str_radix(size, 16).expect("a chunk's size");
        let chunk = self.bytes.get(end + 2..end + 2 + size)?.to_vec();
        self.bytes.get(end + 2 + size..end + 4 + size)?;
        self.bytes.drain(..end + 4 + size);
        Some(String::from_utf8(chunk).expect("UTF-8"))
    }

    /// Receives some bytes; `false` at the end of the connection.
    async fn receive(&mut self) -> bool {
        let mut buffer = vec![0; 64 * 1024];
        let read = tokio::time::timeout(DEADLINE, self.stream.read(&mut buffer)).await;
        let count = read.expect("something in time").unwrap_or_default();
        self.bytes.extend_from_slice(&buffer[..count]);
        count > 0
    }
}

fn parse(text: &str) -> SseBlock {
    let mut block = SseBlock::default();
    for line in text.lines() {
        match line.split_once(':').map(|(name, value)| (name, value.trim_start())) {
            Some(("", _)) => block.is_comment = true,
            Some(("id", value)) => block.id = Some(value.to_owned()),
            Some(("event", value)) => block.event = Some(value.to_owned()),
            Some(("data", value)) => block.data = Some(value.to_owned()),
            _ => {}
        }
    }
    block
}
