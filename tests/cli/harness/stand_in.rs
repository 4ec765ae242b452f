//! A stand-in for Telnyx that always answers the same, and counts.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// What is never written.
const SILENCE: &str = "silence";

/// One request: its head in lower case, and its body.
pub type Asked = (String, String);

/// Answers every request with the same bytes, or the first ones with others; without any, it hangs
/// up. `{n}` becomes a number of three digits, another one in each answer.
pub struct StandIn {
    pub base_url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    _end: DropGuard,
}

impl StandIn {
    pub async fn answering(answer: &str) -> Self {
        Self::in_turn(&[answer]).await
    }

    /// Answers one after the other; the last one for ever.
    pub async fn in_turn(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base_url = format!("http://{}/v2", listener.local_addr().expect("an address"));
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let end = CancellationToken::new();
        let all = Arc::clone(&asked);
        let answers: Arc<[String]> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        tokio::spawn(end.clone().run_until_cancelled_owned(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answers), Arc::clone(&all)));
            }
        }));
        Self { base_url, asked, _end: end.drop_guard() }
    }

    /// Takes every request and never answers.
    pub async fn silent() -> Self {
        Self::answering(SILENCE).await
    }

    /// Answers with a status, some header lines and a JSON body.
    pub async fn with(status: &str, lines: &str, body: &str) -> Self {
        Self::answering(&Self::json(status, lines, body)).await
    }

    /// An answer with a status, some header lines and a JSON body.
    pub fn json(status: &str, lines: &str, body: &str) -> String {
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{lines}");
        let rest = format!("content-length: {length}\r\nconnection: close\r\n\r\n{body}");
        format!("{head}{rest}")
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic").clone()
    }
}

async fn serve(mut stream: TcpStream, answers: Arc<[String]>, all: Arc<Mutex<Vec<Asked>>>) {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |length| length.parse().unwrap_or(0)) {
            let n = {
                let mut all = all.lock().expect("no panic");
                all.push((head, body.to_owned()));
                all.len()
            };
            let answer = &answers[n.min(answers.len()) - 1];
            if answer == SILENCE {
                // Until the other side gives up.
                let _ = stream.read(&mut piece).await;
                return;
            }
            let _ = stream.write_all(answer.replace("{n}", &format!("{n:03}")).as_bytes()).await;
            return;
        }
    }
}
