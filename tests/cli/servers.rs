//! Servers that are not what `--server` hopes for: each is named, with what to do.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{CONTACT, Done, FakeServer, Home, Reply, response};

/// What answers, what its failure tells, and the exit codes of reading and of a send.
type Case = (String, &'static str, i32, i32);

fn page(status: &str) -> String {
    response(status, "", "<html><h1>Sorry</h1></html>")
}

/// A server that answers every request with these bytes.
async fn answering(bytes: &str) -> FakeServer {
    FakeServer::replying(&[Reply::Raw(bytes.to_owned())]).await
}

/// Asserts that a failure is told in both ways, names the server, and says what to do.
#[track_caller]
fn refused(home: &Home, url: &str, args: &[&str], exit: i32, expected: &str) -> Done {
    let done = home.run(args).exits(exit).reports(expected);
    assert!(done.err.contains(url), "{url}: {}", done.err);
    assert!(done.err.contains("\nhint: "), "{}", done.err);
    let error = home.run(&[args, &["--json"]].concat()).exits(exit).error();
    assert_eq!(error["exit"], exit);
    assert!(error["message"].as_str().is_some_and(|said| said.contains(url)), "{error}");
    assert!(error["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{error}");
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_wrong_server_is_named_with_a_hint() {
    let location = "location: https://me:hunter2@convo.example:8443/login?token=hunter2\r\n";
    let newer = json!({"error": "the moon is full", "code": "full_moon"}).to_string();
    let unknown = json!({"error": "this route has no parameter 'limit'",
        "code": "unknown_parameter"});
    let not_convo = "is not a convo server";
    let cases: [Case; 17] = [
        (page("200 OK"), not_convo, 4, 9),
        (page("404 Not Found"), not_convo, 4, 4),
        (page("405 Method Not Allowed"), not_convo, 4, 4),
        (page("401 Unauthorized"), "refused the request", 4, 4),
        (page("403 Forbidden"), "refused the request", 4, 4),
        (page("429 Too Many Requests"), "is not available (HTTP 429)", 5, 5),
        (page("500 Internal Server Error"), "(HTTP 500)", 5, 9),
        (page("502 Bad Gateway"), "(HTTP 502)", 5, 9),
        (page("503 Service Unavailable"), "(HTTP 503)", 5, 9),
        (page("504 Gateway Timeout"), "(HTTP 504)", 5, 9),
        (response("302 Found", location, ""), "redirects to another address (HTTP 302)", 4, 4),
        (
            response("308 Permanent Redirect", "", ""),
            "redirects to another address (HTTP 308)",
            4,
            4,
        ),
        (response("400 Bad Request", "", &newer), "the moon is full", 4, 4),
        (response("400 Bad Request", "", &unknown.to_string()), "no parameter 'limit'", 4, 4),
        (response("200 OK", "", r#"{"rows":[]}"#), "", 4, 9),
        ("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n".to_owned(), "", 4, 9),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n[".to_owned(),
            "sent an incomplete response",
            5,
            9,
        ),
    ];
    for (answer, expected, reading, sending) in cases {
        let server = answering(&answer).await;
        let url = server.url();
        let home = Home::new().set("CONVO_SERVER", &url).set("CONVO_API_TOKEN", "s3cret");
        for args in [&["list"][..], &["show", CONTACT]] {
            let done = refused(&home, &url, args, reading, expected);
            assert!(!done.err.contains("hunter2") && !done.err.contains("s3cret"), "{}", done.err);
            assert_eq!(done.out, "");
        }
        let expected = if sending == 9 { "the message may have been sent" } else { expected };
        let done = refused(&home, &url, &["send", CONTACT, "Hi"], sending, expected);
        let named = done.err.contains("--idempotency-key ");
        assert_eq!(named, sending == 9, "a repeat needs the key: {}", done.err);
        assert_eq!(home.files(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_names_its_target_without_secrets() {
    let location = "location: https://me:hunter2@convo.example:8443/login?token=hunter2\r\n";
    let server = answering(&response("301 Moved Permanently", location, "")).await;
    let home = Home::new().set("CONVO_SERVER", server.url());
    let done = home.run(&["list"]).exits(4);
    assert!(done.err.contains("set CONVO_SERVER to https://convo.example:8443"), "{}", done.err);
    assert_eq!(server.requests().len(), 1, "it is not followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_server_exits_with_5_and_sends_nothing() {
    // Its name cannot be found.
    let nowhere = "https://convo.invalid";
    // It speaks no TLS.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let plain = format!("https://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut hello = [0; 64];
            let _ = stream.read(&mut hello).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    for (url, hint) in [(nowhere, "check the host name in CONVO_SERVER"), (&plain, "speaks https")]
    {
        let home = Home::new().set("CONVO_SERVER", url);
        for args in [&["list"][..], &["send", CONTACT, "Hi"]] {
            let done = refused(&home, url, args, 5, "cannot be reached");
            assert!(done.err.contains(hint), "{}", done.err);
        }
    }
}

/// A server whose certificate nobody has signed but itself.
fn untrusted() -> String {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .expect("a certificate with its key");
    let config = Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
            let _ = connection.complete_io(&mut stream);
        }
    });
    format!("https://localhost:{port}")
}

#[test]
fn an_untrusted_certificate_is_explained() {
    let url = untrusted();
    let home = Home::new().set("CONVO_SERVER", &url);
    for args in [&["list"][..], &["show", CONTACT], &["send", CONTACT, "Hi"]] {
        let done = refused(&home, &url, args, 5, "its certificate is from an unknown issuer");
        assert!(done.err.contains("add its issuer"), "{}", done.err);
    }
}

/// The first page is whole, the second breaks off: what was printed is no valid JSON.
#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_listing_exits_with_5_and_is_not_valid_json() {
    let thread = json!([{"id": "01a00000-0000-7000-8000-000000000005",
        "contact_number": CONTACT, "message_count": 1,
        "last_message_at": "2026-06-18T14:30:00.000000Z",
        "created_at": "2026-06-18T14:30:00.000000Z"}]);
    let link = "link: <?limit=500&after=5_01a00000000070008000000000000005>; \
                rel=\"next\"\r\n";
    let whole = response("200 OK", link, &thread.to_string());
    let broken = "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n[".to_owned();
    for (form, lines) in [("json", 1), ("csv", 2), ("ids", 1)] {
        let server =
            FakeServer::replying(&[&whole, &broken].map(|it| Reply::Raw(it.clone()))).await;
        let home = Home::new().set("CONVO_SERVER", server.url());
        let done = home.run(&["list", "--format", form]).exits(5);
        assert_eq!(done.out.lines().count(), lines, "{form}: {}", done.out);
        assert!(serde_json::from_str::<serde_json::Value>(&done.out).is_err());
        let second = server.requests().pop().expect("a second request");
        assert!(second.head.contains("after=5_01a00000000070008000000000000005"), "{second:?}");
    }
    // A link that leads nowhere must not end the list as if it were whole.
    let nowhere = response("200 OK", "link: </conversations?after=here>; rel=\"next\"\r\n", "[]");
    let server = answering(&nowhere).await;
    let home = Home::new().set("CONVO_SERVER", server.url());
    home.run(&["list"]).exits(4).reports("does not understand");
}
