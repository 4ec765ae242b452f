//! What somebody without a token learns: nothing. And what a browser is told: to keep out.

use std::collections::BTreeSet;

use crate::support::{Answer, CONTACT, Home, Server, TestDatabase, World, bearer, inbound};

const TOKEN: &str = "a-token-0123456789";
/// Words that would tell of the inside: programs, languages, files, tables.
const INSIDE: &[&str] = &[
    env!("CARGO_PKG_VERSION"),
    "sqlite",
    "postgres",
    "sea_orm",
    "select ",
    "hyper",
    "warp",
    "rust",
    ".rs",
    ".db",
    "/tmp",
    "/home",
    "panic",
    "thread '",
    "none)",
    "some(",
];

async fn ask(server: &Server, method: &str, path: &str, lines: &str) -> Answer {
    server.ask(method, path, lines, r#"{"message":"Hi"}"#).await
}

/// All of an answer but what is different every time.
fn comparable(answer: &Answer) -> (u16, BTreeSet<String>, String) {
    let differs = |line: &&str| !line.starts_with("date: ") && !line.starts_with("x-request-id: ");
    let head = answer.head.lines().filter(differs).map(str::to_owned);
    (answer.status, head.collect(), answer.body.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn existing_and_missing_resources_look_the_same() {
    let world =
        World::with(TestDatabase::sqlite(), |home| home.set("CONVO_API_TOKEN", TOKEN)).await;
    world.signer.post(&world.server, inbound("e1", "m1", CONTACT, "Hello")).await;
    let good = bearer(TOKEN);
    let path = format!("/conversations/{CONTACT}");
    let thread = ask(&world.server, "GET", &path, &good).await.json();
    let thread_id = thread["id"].as_str().expect("an id").to_owned();
    let message_id = thread["messages"][0]["id"].as_str().expect("an id").to_owned();
    let nobody = "01a20685-7f6b-7790-99a8-f178d4040dda";
    for lines in ["", "authorization: Bearer wrong\r\n", "authorization: Basic YTpi\r\n"] {
        for (method, there, missing) in [
            ("GET", path.clone(), "/conversations/+19995550000".to_owned()),
            ("GET", format!("/conversations/{thread_id}"), format!("/conversations/{nobody}")),
            ("GET", format!("/messages/{message_id}"), format!("/messages/{nobody}")),
            ("GET", format!("/messages/{message_id}"), "/messages/%ff".to_owned()),
            ("POST", format!("/messages/{message_id}/retry"), format!("/messages/{nobody}/retry")),
            ("POST", format!("{path}/send"), "/conversations/nonsense/send".to_owned()),
            ("GET", "/conversations?limit=1".to_owned(), "/conversations?nonsense".to_owned()),
        ] {
            let (there, missing) = (
                ask(&world.server, method, &there, lines).await,
                ask(&world.server, method, &missing, lines).await,
            );
            // A guesser is slowed in the end; that depends on nothing but the count.
            let both = (there.status, missing.status);
            assert!(matches!(both, (401, 401 | 429) | (429, 429)), "{method}: {both:?}");
            if there.status == missing.status {
                let (mut there, mut missing) = (comparable(&there), comparable(&missing));
                there.1.retain(|line| !line.starts_with("retry-after"));
                missing.1.retain(|line| !line.starts_with("retry-after"));
                if both == (401, 401) {
                    assert_eq!(there, missing, "{method}");
                }
            }
        }
    }
    assert_eq!(world.offers(), 0);
}

/// Every kind of answer, as far as a stranger gets one; and those that only a caller gets.
async fn answers(server: &Server) -> Vec<(String, Answer)> {
    let good = bearer(TOKEN);
    let mut all = Vec::new();
    for (method, path, lines) in [
        ("GET", "/health", ""),
        ("GET", "/", ""),
        ("GET", "/favicon.ico", ""),
        ("GET", "/.env", ""),
        ("GET", "/conversations", ""),
        ("GET", "/conversations/%00", ""),
        ("GET", "/messages/1", "authorization: Bearer wrong\r\n"),
        ("GET", "/health/ready", ""),
        ("GET", "/openapi.json", ""),
        ("POST", "/webhooks/sms", ""),
        ("POST", "/webhooks/sms", "telnyx-timestamp: 1\r\ntelnyx-signature-ed25519: AAAA\r\n"),
        ("POST", "/conversations/1/send", ""),
        ("POST", "/health", ""),
        ("DELETE", "/conversations/1", ""),
        ("TRACE", "/health", ""),
        ("GET", "/conversations", &good),
        ("GET", "/conversations?limit=x", &good),
        ("GET", "/conversations/+19995550000", &good),
        ("GET", "/health/ready", &good),
        ("POST", "/conversations/+12125551234/send", &good),
        ("GET", "/openapi.json", &good),
    ] {
        let of_caller = if lines == good { " (caller)" } else { "" };
        all.push((format!("{method} {path}{of_caller}"), ask(server, method, path, lines).await));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_headers_against_browsers_and_caches() {
    let home = Home::new().set("CONVO_API_TOKEN", TOKEN);
    let server = Server::start(&home);
    for (what, answer) in answers(&server).await {
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{what}: {name}");
        }
        for name in ["server", "x-powered-by", "set-cookie", "location"] {
            assert_eq!(answer.header(name), None, "{what}: {name}");
        }
        assert!(!answer.head.contains("access-control"), "{what}: {}", answer.head);
        let is_text = answer.header("content-type") == Some("application/json");
        assert!(is_text, "{what}: {}", answer.head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_error_reveals_internals() {
    let home = Home::new().set("CONVO_API_TOKEN", TOKEN);
    let server = Server::start(&home);
    let place = home.path().display().to_string();
    for (what, answer) in answers(&server).await {
        // Callers with a token may know the version.
        if ["GET /openapi.json (caller)", "GET /health/ready (caller)"].contains(&what.as_str()) {
            continue;
        }
        let text = format!("{}\n{}", answer.head, answer.body.to_lowercase());
        for word in INSIDE.iter().copied().chain([place.as_str(), TOKEN]) {
            // The status line has the version of HTTP, and nothing else has convo's.
            assert!(!text.contains(word), "{what} tells '{word}': {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_are_refused() {
    for home in [Home::new(), Home::new().set("CONVO_API_TOKEN", TOKEN)] {
        let server = Server::start(&home);
        let preflight = "origin: https://evil.example\r\naccess-control-request-method: POST\r\n\
                         access-control-request-headers: authorization,content-type\r\n\
                         access-control-request-private-network: true\r\n";
        let send = format!("/conversations/{CONTACT}/send");
        for path in ["/conversations", &send, "/messages/1", "/webhooks/sms", "/health"] {
            let answer = ask(&server, "OPTIONS", path, preflight).await;
            assert_eq!(answer.status_and_code(), (405, "method_not_allowed".into()), "{path}");
            assert!(!answer.head.contains("access-control"), "{path}: {}", answer.head);
        }
        assert_eq!(ask(&server, "OPTIONS", "*", preflight).await.status, 404);
        let simple =
            ask(&server, "GET", "/conversations", "origin: https://evil.example\r\n").await;
        assert!([401, 403].contains(&simple.status) && !simple.head.contains("access-control"));
    }
}
