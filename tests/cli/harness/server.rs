//! `convo serve` as a process of its own, and requests to it.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{DEADLINE, Home, until};

/// Lines that every hand-written request has.
pub const LINES: &str = "host: localhost\r\nconnection: close\r\n";

/// A running server; it is killed when this is dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    log: Arc<Mutex<String>>,
    pub out: Arc<Mutex<String>>,
}

impl Server {
    /// Starts `convo serve` on a free port.
    #[track_caller]
    pub fn start(home: &Home) -> Self {
        Self::with(home, &["serve", "--listen", "127.0.0.1:0"])
    }

    /// Starts the program, which must begin to listen.
    #[track_caller]
    pub fn with(home: &Home, args: &[&str]) -> Self {
        Self::of(home.command(args))
    }

    #[track_caller]
    pub fn of(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let log = collect(child.stderr.take().expect("a pipe"));
        let out = collect(child.stdout.take().expect("a pipe"));
        let address = until("the server listens", || {
            let told = log.lock().expect("no panic").clone();
            let ended = child.try_wait().expect("a child");
            assert!(ended.is_none(), "the server ended: {ended:?}\n{told}");
            listening(&told)
        });
        Self { child, address, log, out }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("no panic").clone()
    }

    /// Waits for a line in the log.
    #[track_caller]
    pub fn logs(&self, what: &str) {
        until(what, || self.log().contains(what).then_some(()));
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        kill_process(Pid::from_raw(pid).expect("a process id"), signal).expect("signalled");
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Asks it to stop and waits for its exit code.
    #[track_caller]
    pub fn stop(mut self) -> i32 {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits for its exit code.
    #[track_caller]
    pub fn wait(&mut self) -> i32 {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code().unwrap_or(-1);
            }
            assert!(since.elapsed() < DEADLINE, "it does not stop:\n{}", self.log());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Writes a request as it is and reads until the server hangs up.
    pub async fn raw(&self, request: impl AsRef<[u8]>) -> Answer {
        let stream = TcpStream::connect(self.address).await.expect("a connection");
        let (mut read, mut write) = stream.into_split();
        let request = request.as_ref().to_vec();
        // Beside the reading: a server may answer before it has read everything.
        let writing = tokio::spawn(async move {
            let _ = write.write_all(&request).await;
            write
        });
        let mut bytes = Vec::new();
        let whole = tokio::time::timeout(DEADLINE, read.read_to_end(&mut bytes)).await;
        whole.expect("an answer in time").expect("a readable answer");
        drop(writing.await);
        Answer::of(&bytes)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.raw(format!("GET {path} HTTP/1.1\r\n{LINES}\r\n")).await
    }

    /// Posts JSON with some more header lines.
    pub async fn post(&self, path: &str, lines: &str, body: &str) -> Answer {
        let length = body.len();
        self.raw(format!(
            "POST {path} HTTP/1.1\r\n{LINES}content-type: application/json\r\n{lines}\
             content-length: {length}\r\n\r\n{body}"
        ))
        .await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the server ---\n{}", self.log());
        }
    }
}

fn collect(pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let filled = Arc::clone(&text);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut filled = filled.lock().expect("no panic");
            filled.push_str(&line);
            filled.push('\n');
        }
    });
    text
}

/// The address in the line that tells where the server listens, for people or as JSON.
fn listening(log: &str) -> Option<SocketAddr> {
    let line =
        log.lines().find(|line| line.contains("convo::server") && line.contains("listening"));
    let rest = line?.split("address").nth(1)?.trim_start_matches(['=', '"', ':', ' ']);
    let of_an_address = |c: &char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '[' | ']');
    rest.chars().take_while(of_an_address).collect::<String>().parse().ok()
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
    fn of(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
        let status = head.get(9..12).and_then(|digits| digits.parse().ok()).expect("a status");
        let head = head.to_ascii_lowercase();
        let chunked = head.contains("transfer-encoding: chunked");
        let body = if chunked { dechunked(body) } else { body.to_owned() };
        Self { status, head, body }
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Status and code of an error in the API's shape.
    #[track_caller]
    pub fn told(&self) -> (u16, String) {
        assert!(self.head.contains("content-type: application/json"), "{}", self.head);
        let body = self.json();
        assert!(body["error"].as_str().is_some_and(|told| !told.is_empty()), "{body}");
        (self.status, body["code"].as_str().expect("a code").to_owned())
    }

    /// A header, its value in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

fn dechunked(body: &str) -> String {
    let (mut whole, mut rest) = (String::new(), body);
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a chunk's size");
        if size == 0 {
            return whole;
        }
        whole.push_str(&after[..size]);
        rest = after[size..].strip_prefix("\r\n").expect("a chunk's end");
    }
    panic!("the body broke off");
}
