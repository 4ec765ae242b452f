//! Whom it serves: programs on this machine, and no web page that a browser on it shows.

use convo::sandbox::OWN_NUMBER;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{DEADLINE, Play, message};

const CONTACT: &str = "+12125551234";

/// Sends a request with these header lines and returns the answer.
async fn ask(play: &Play, line: &str, headers: &str, body: &str) -> String {
    let base_url = play.sandbox.base_url();
    let address = base_url.trim_start_matches("http://").trim_end_matches("/v2");
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\n{headers}connection: close\r\nauthorization: Bearer KEY0123\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    };
    tokio::time::timeout(DEADLINE, exchange).await.expect("in time")
}

#[tokio::test]
async fn a_web_page_can_neither_send_nor_read_nor_be_a_contact() {
    let play = Play::start().await;
    let (send, inbound) = (
        message(CONTACT, "Hello"),
        serde_json::json!({"from": CONTACT, "to": OWN_NUMBER, "text": "Hello"}).to_string(),
    );
    let requests = [
        ("POST /v2/messages", send.as_str()),
        ("GET /v2/messages/x", ""),
        ("GET /sandbox/requests", ""),
        ("POST /sandbox/inbound", inbound.as_str()),
    ];
    for headers in [
        // A name that leads to this machine (DNS rebinding).
        "host: evil.example\r\n",
        "host: localhost.evil.example:1\r\n",
        "host: 192.0.2.1\r\n",
        "",
        "host: localhost\r\nhost: evil.example\r\n",
        // A page of another site, or of another port of this machine.
        "host: localhost\r\norigin: https://evil.example\r\n",
        "host: localhost\r\norigin: null\r\n",
        "host: 127.0.0.1\r\norigin: http://127.0.0.1\r\n",
        "host: localhost\r\nsec-fetch-site: cross-site\r\n",
        "host: localhost\r\nsec-fetch-site: same-origin\r\n",
    ] {
        for (line, body) in requests {
            let answer = ask(&play, line, headers, body).await;
            assert!(answer.starts_with("HTTP/1.1 403"), "{line} {headers}: {answer}");
            assert!(answer.contains(r#""code":"10010""#), "{line} {headers}: {answer}");
        }
    }
    let elsewhere = "GET http://evil.example/sandbox/requests";
    let answer = ask(&play, elsewhere, "host: localhost\r\n", "").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(play.sandbox.requests().is_empty(), "refused before it is recorded");
}

#[tokio::test]
async fn a_program_on_this_machine_is_served_under_each_of_its_names() {
    let play = Play::start().await;
    for host in ["localhost", "127.0.0.1:5001", "[::1]:5001"] {
        // As a browser asks when somebody types the address.
        for more in ["", "sec-fetch-site: none\r\n"] {
            let headers = format!("host: {host}\r\n{more}");
            let answer = ask(&play, "GET /sandbox/requests", &headers, "").await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{headers}: {answer}");
        }
    }
}
