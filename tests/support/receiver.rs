//! A program that events are forwarded to, which behaves as a test wants.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::wait_for;

/// What a receiver does with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Answers with a status.
    Answer(u16),
    /// Answers 302 and leads to itself.
    Redirect,
    /// Closes the connection without an answer.
    Close,
    /// Never answers.
    Hang,
}

/// An event as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// The request line and the headers, unchanged.
    pub head: String,
    pub body: String,
    pub manner: Manner,
}

/// A running receiver.
#[derive(Clone)]
pub struct Receiver {
    pub address: SocketAddr,
    manner: Arc<Mutex<Manner>>,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        let is_named = |line: &&str| {
            line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name))
        };
        let line = self.head.lines().find(is_named).unwrap_or_else(|| panic!("no {name}"));
        line.split_once(':').expect("a header").1.trim()
    }

    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// The text of its message.
    pub fn text(&self) -> String {
        self.json()["message"]["body"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether one of its signatures was made with a key.
    pub fn is_signed_with(&self, key: &[u8]) -> bool {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
        let seconds = self.header("webhook-timestamp");
        mac.update(format!("{}.{seconds}.{}", self.id(), self.body).as_bytes());
        let expected = {
            use base64::Engine;
            base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
        };
        let signatures = self.header("webhook-signature").split(' ');
        signatures.filter_map(|entry| entry.strip_prefix("v1,")).any(|found| found == expected)
    }
}

impl Receiver {
    pub fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (manner, received) = (Arc::new(Mutex::new(manner)), Arc::default());
        let receiver = Self { address, manner, received };
        let serving = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let receiver = serving.clone();
                std::thread::spawn(move || receiver.handle(stream));
            }
        });
        receiver
    }

    pub fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    pub fn set(&self, manner: Manner) {
        *self.manner.lock().expect("no panic") = manner;
    }

    /// Every request so far, whatever the answer.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().expect("no panic").clone()
    }

    /// The events that were accepted.
    pub fn accepted(&self) -> Vec<Received> {
        let all = self.received().into_iter();
        all.filter(|event| event.manner == Manner::Answer(200)).collect()
    }

    /// The texts of the events that were accepted, in order.
    pub fn texts(&self) -> Vec<String> {
        self.accepted().iter().map(Received::text).collect()
    }

    /// Waits for a request that meets with a manner.
    #[track_caller]
    pub fn wait_for(&self, manner: Manner, count: usize) {
        wait_for(&format!("{count} events that meet with {manner:?}"), || {
            let met = self.received().iter().filter(|event| event.manner == manner).count();
            (met >= count).then_some(())
        });
    }

    fn handle(&self, mut stream: TcpStream) {
        let Some((head, body)) = read(&mut stream) else { return };
        let manner = *self.manner.lock().expect("no panic");
        self.received.lock().expect("no panic").push(Received { head, body, manner });
        let answer = match manner {
            Manner::Answer(status) => format!("HTTP/1.1 {status} X\r\nconnection: close\r\n"),
            Manner::Redirect => format!("HTTP/1.1 302 X\r\nlocation: {}\r\n", self.url()),
            Manner::Close => return,
            Manner::Hang => {
                let _ = stream.read(&mut [0; 1]);
                return;
            }
        };
        let _ = stream.write_all(format!("{answer}content-length: 2\r\n\r\nno").as_bytes());
    }
}

fn read(stream: &mut TcpStream) -> Option<(String, String)> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase();
            let length = length.split("content-length:").nth(1)?.lines().next()?.trim().to_owned();
            if body.len() >= length.parse().ok()? {
                return Some((head.to_owned(), body.to_owned()));
            }
        }
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&buffer[..count]),
            _ => return None,
        }
    }
}
