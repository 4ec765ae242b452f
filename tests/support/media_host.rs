//! A server with media files, which answers each path as a test wants.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// How a path is answered.
#[derive(Clone, Debug)]
pub enum MediaAnswer {
    /// With this content.
    File(Vec<u8>),
    /// With a status and these header lines, each ending in a line break, and no body.
    Status(&'static str, String),
    /// With this head and body as they are, and the end of the connection.
    Raw(Vec<u8>),
    /// With parts of a kilobyte, without end.
    Endless,
    /// With this content, once the host is released.
    Held(Vec<u8>),
    /// With this content, for those who show the API key; others get 401.
    ForKey(Vec<u8>),
}

/// A running host.
#[derive(Clone)]
pub struct MediaHost {
    pub address: SocketAddr,
    answers: Arc<Mutex<BTreeMap<String, MediaAnswer>>>,
    requests: Arc<Mutex<Vec<String>>>,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl MediaHost {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let host = Self {
            address,
            answers: Arc::default(),
            requests: Arc::default(),
            gate: Arc::default(),
        };
        let serving = host.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let host = serving.clone();
                std::thread::spawn(move || host.handle(stream));
            }
        });
        host
    }

    /// The URL of a path, which is answered like this from now on.
    pub fn serve(&self, path: &str, answer: MediaAnswer) -> String {
        self.answers.lock().expect("no panic").insert(path.to_owned(), answer);
        self.url(path)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers everything that is held, now and later.
    pub fn release(&self) {
        *self.gate.0.lock().expect("no panic") = true;
        self.gate.1.notify_all();
    }

    /// The heads of the requests for a path, in lower case.
    pub fn requests(&self, path: &str) -> Vec<String> {
        let all = self.requests.lock().expect("no panic").clone();
        let line = format!("get {} ", path.to_lowercase());
        all.into_iter().filter(|head| head.starts_with(&line)).collect()
    }

    /// How many requests there were.
    pub fn count(&self) -> usize {
        self.requests.lock().expect("no panic").len()
    }

    fn handle(&self, mut stream: TcpStream) {
        let Some(head) = read_head(&mut stream) else { return };
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        self.requests.lock().expect("no panic").push(head.to_lowercase());
        let answer = self.answers.lock().expect("no panic").get(&path).cloned();
        // Who asked may be gone.
        let _ = match answer {
            Some(MediaAnswer::File(content)) => stream.write_all(&file(&content)),
            Some(MediaAnswer::Status(status, lines)) => {
                stream.write_all(&response(status, &lines, b""))
            }
            Some(MediaAnswer::Raw(bytes)) => stream.write_all(&bytes),
            Some(MediaAnswer::Endless) => endless(&mut stream),
            Some(MediaAnswer::Held(content)) => {
                let (open, opened) = &*self.gate;
                let open = open.lock().expect("no panic");
                drop(opened.wait_while(open, |open| !*open).expect("no panic"));
                stream.write_all(&file(&content))
            }
            Some(MediaAnswer::ForKey(content)) if head.contains("Bearer KEY") => {
                stream.write_all(&file(&content))
            }
            Some(MediaAnswer::ForKey(_)) => {
                stream.write_all(&response("401 Unauthorized", "", b"who?"))
            }
            None => stream.write_all(&response("404 Not Found", "", b"")),
        };
    }
}

fn file(content: &[u8]) -> Vec<u8> {
    response("200 OK", "content-type: text/html\r\n", content)
}

fn response(status: &str, lines: &str, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n{lines}content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    [head.as_bytes(), content].concat()
}

fn endless(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
    let part = format!("400\r\n{}\r\n", "x".repeat(1024));
    loop {
        stream.write_all(part.as_bytes())?;
    }
}

fn read_head(stream: &mut TcpStream) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.extend_from_slice(&byte);
    }
    String::from_utf8(head).ok()
}
