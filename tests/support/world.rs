//! A user's whole world: a home, a database, a simulated Telnyx, a server between them.

use convo::sandbox::{Options, Pace, Sandbox, SigningKey};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Home, OWN, Server, Signer, TestDatabase, wait_for};

/// A real server that the simulated Telnyx posts to, and a home whose commands open the same
/// database.
pub struct World {
    pub home: Home,
    pub server: Server,
    pub telnyx: Sandbox,
    /// A second key that the server believes.
    pub signer: Signer,
    pub db: TestDatabase,
    _end: DropGuard,
}

impl World {
    pub async fn start(db: TestDatabase) -> Self {
        Self::with(db, |home| home).await
    }

    /// A world with further settings.
    pub async fn with(db: TestDatabase, change: impl FnOnce(Home) -> Home) -> Self {
        Self::losing(db, 0.0, change).await
    }

    /// A world in which a share of the webhooks is lost.
    pub async fn losing(db: TestDatabase, lose: f64, change: impl FnOnce(Home) -> Home) -> Self {
        let signing_key = SigningKey::generate().expect("randomness");
        let signer = Signer::new(7);
        // Telnyx's address is known before it answers, so each can be told of the other.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base_url = format!("http://{}/v2", listener.local_addr().expect("an address"));
        let keys = format!("{}, {}", signing_key.public_key(), signer.public_key());
        let home = Home::new()
            .set("DATABASE_URL", &db.url)
            .set("TELNYX_API_KEY", "KEY0123456789")
            .set("TELNYX_PUBLIC_KEY", keys)
            .set("TELNYX_PHONE_NUMBER", OWN)
            .set("TELNYX_BASE_URL", base_url);
        let home = change(home);
        let server = Server::start(&home);
        let options = Options {
            webhook_url: Some(format!("{}/webhooks/sms", server.url())),
            signing_key,
            api_key: None,
            pace: Pace::immediate(),
            lose,
        };
        let end = CancellationToken::new();
        let telnyx = Sandbox::start(listener, options, end.clone()).expect("a simulated Telnyx");
        Self { home, server, telnyx, signer, db, _end: end.drop_guard() }
    }

    /// Waits until the conversation with a contact meets a condition, and returns it.
    #[track_caller]
    pub fn wait_for_thread(&self, contact: &str, condition: impl Fn(&Value) -> bool) -> Value {
        wait_for(&format!("the conversation with {contact}"), || {
            let done = self.home.run(&["show", contact, "--json"]);
            (done.code == 0).then(|| done.json()).filter(|thread| condition(thread))
        })
    }

    /// Waits until a message has a status, and returns it.
    #[track_caller]
    pub fn wait_for_message(&self, contact: &str, id: &str, status: &str) -> Value {
        let find = |thread: &Value| {
            let messages = thread["messages"].as_array().cloned().unwrap_or_default();
            messages.into_iter().find(|message| message["id"] == id && message["status"] == status)
        };
        let thread = self.wait_for_thread(contact, |thread| find(thread).is_some());
        find(&thread).expect("it was just there")
    }

    /// Waits until the counters of every conversation equal its rows, and returns the number of
    /// conversations. While contacts still answer, one may grow between the two looks at it.
    #[track_caller]
    pub fn wait_until_counted(&self) -> usize {
        wait_for("the counters to equal the rows", || {
            let list = self.home.run(&["list", "--json"]).silent().json();
            let list = list.as_array().expect("an array").clone();
            list.iter().all(|thread| self.counts(thread)).then_some(list.len())
        })
    }

    fn counts(&self, thread: &Value) -> bool {
        let id = thread["id"].as_str().expect("an id");
        let shown = self.home.run(&["show", id, "--json"]).silent().json();
        let messages = shown["messages"].as_array().expect("messages");
        let latest = messages.iter().map(|message| message["created_at"].as_str()).max();
        thread["message_count"] == messages.len()
            && Some(thread["last_message_at"].as_str()) == latest
    }

    /// A text from a contact, as the simulated Telnyx received it some time ago. Returns Telnyx's id.
    pub async fn receive(&self, from: &str, text: &str, seconds_ago: i64) -> String {
        let received_at = convo::clock::now().plus_seconds(-seconds_ago);
        let body = serde_json::json!({
            "from": from, "to": OWN, "text": text, "received_at": received_at,
        });
        let url = self.telnyx.base_url().replace("/v2", "/sandbox/inbound");
        let client = super::local_client(super::DEADLINE);
        let answer = client.post(url).json(&body).send().await.expect("an answer");
        let answer: Value = answer.json().await.expect("JSON");
        answer["data"]["id"].as_str().expect("an id").to_owned()
    }

    /// How often the simulated Telnyx was asked for a path that begins so.
    pub fn asked(&self, path: &str) -> usize {
        let requests = self.telnyx.requests();
        let is_asked = |request: &&convo::sandbox::RecordedRequest| {
            request.method == "GET" && request.path.starts_with(path)
        };
        requests.iter().filter(is_asked).count()
    }

    /// How many sends Telnyx was offered.
    pub fn offers(&self) -> usize {
        let requests = self.telnyx.requests();
        requests.iter().filter(|request| request.method == "POST").count()
    }
}
