//! A sandbox, the receiver of its webhooks, and a client of its API.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use convo::sandbox::{OWN_NUMBER, Options, Pace, Sandbox, SigningKey};
use ed25519_dalek::{Signature, VerifyingKey};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// No wait in these tests may take longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// One webhook as it arrived, with a signature that has been verified.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) body: Value,
}

impl Delivery {
    /// `message.sent` and the like.
    pub(crate) fn event(&self) -> &str {
        self.body["data"]["event_type"].as_str().expect("an event type")
    }

    pub(crate) fn event_id(&self) -> &str {
        self.body["data"]["id"].as_str().expect("an event id")
    }

    pub(crate) fn payload(&self) -> &Value {
        &self.body["data"]["payload"]
    }

    pub(crate) fn attempt(&self) -> i64 {
        self.body["meta"]["attempt"].as_i64().expect("an attempt")
    }

    pub(crate) fn status(&self) -> &str {
        self.payload()["to"][0]["status"].as_str().expect("a status")
    }
}

/// Takes webhooks and answers them as told, else with 200.
pub(crate) struct Receiver {
    pub(crate) url: String,
    deliveries: watch::Sender<Vec<Delivery>>,
    answers: Arc<Mutex<VecDeque<StatusCode>>>,
}

impl Receiver {
    pub(crate) async fn start(public_key: &str) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let receiver = Arc::new(Self {
            url: format!("http://{}/webhooks/sms", listener.local_addr().expect("an address")),
            deliveries: watch::Sender::default(),
            answers: Arc::default(),
        });
        let key = STANDARD.decode(public_key).expect("base64").try_into().expect("32 bytes");
        let key = VerifyingKey::from_bytes(&key).expect("a point on the curve");
        tokio::spawn(Arc::clone(&receiver).serve(listener, key));
        receiver
    }

    async fn serve(self: Arc<Self>, listener: TcpListener, key: VerifyingKey) {
        while let Ok((stream, _)) = listener.accept().await {
            let receiver = Arc::clone(&self);
            let service = service_fn(move |request| Arc::clone(&receiver).take(request, key));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    }

    async fn take(
        self: Arc<Self>,
        request: Request<Incoming>,
        key: VerifyingKey,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        verify(&head.headers, &body, &key);
        let body = serde_json::from_slice(&body).expect("JSON");
        self.deliveries.send_modify(|all| all.push(Delivery { body }));
        let answer = self.answers.lock().expect("no panic").pop_front();
        let mut response = Response::new(Full::default());
        *response.status_mut() = answer.unwrap_or(StatusCode::OK);
        Ok(response)
    }

    /// Decides how the next webhooks are answered.
    pub(crate) fn answer_next(&self, statuses: impl IntoIterator<Item = StatusCode>) {
        self.answers.lock().expect("no panic").extend(statuses);
    }

    /// The first `count` webhooks, as soon as there are so many.
    pub(crate) async fn first(&self, count: usize) -> Vec<Delivery> {
        self.matching(count, |_| true).await
    }

    /// All webhooks that match, as soon as there are `count`.
    pub(crate) async fn matching(
        &self,
        count: usize,
        matches: impl Fn(&Delivery) -> bool,
    ) -> Vec<Delivery> {
        let mut seen = self.deliveries.subscribe();
        let enough = seen.wait_for(|all| all.iter().filter(|one| matches(one)).count() >= count);
        let waited = tokio::time::timeout(DEADLINE, enough).await;
        assert!(waited.is_ok(), "fewer than {count}: {:#?}", self.so_far());
        drop(waited);
        self.so_far().into_iter().filter(|one| matches(one)).collect()
    }

    pub(crate) fn so_far(&self) -> Vec<Delivery> {
        self.deliveries.borrow().clone()
    }
}

/// Checks a webhook as Telnyx's own libraries do.
fn verify(headers: &HeaderMap, body: &[u8], key: &VerifyingKey) {
    let header = |name| headers[name].to_str().expect("ASCII");
    let timestamp = header("telnyx-timestamp");
    let seconds: i64 = timestamp.parse().expect("Unix seconds");
    assert!((chrono::Utc::now().timestamp() - seconds).abs() <= 300, "{timestamp}");
    let signature = STANDARD.decode(header("telnyx-signature-ed25519")).expect("base64");
    let signature = Signature::from_slice(&signature).expect("64 bytes");
    let signed = [timestamp.as_bytes(), b"|", body].concat();
    key.verify_strict(&signed, &signature).expect("a good signature");
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("user-agent"), "telnyx-webhooks");
}

/// A running sandbox whose webhooks go to a receiver.
pub(crate) struct Play {
    pub(crate) sandbox: Sandbox,
    pub(crate) receiver: Arc<Receiver>,
    pub(crate) client: reqwest::Client,
    pub(crate) shutdown: CancellationToken,
    _end: DropGuard,
}

impl Play {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let signing_key = SigningKey::generate().expect("randomness");
        let receiver = Receiver::start(&signing_key.public_key()).await;
        let mut options = Options {
            webhook_url: Some(receiver.url.clone()),
            signing_key,
            api_key: None,
            pace: Pace::immediate(),
            lose: 0.0,
        };
        change(&mut options);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let shutdown = CancellationToken::new();
        let sandbox = Sandbox::start(listener, options, shutdown.clone()).expect("it starts");
        convo::tls::install();
        let client = reqwest::Client::builder().timeout(DEADLINE).no_proxy();
        let client = client.build().expect("a client");
        Self { sandbox, receiver, client, _end: shutdown.clone().drop_guard(), shutdown }
    }

    /// The address of a path of the API.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.sandbox.base_url())
    }

    /// Sends a request body to `POST /v2/messages`.
    pub(crate) fn post(
        &self,
        key: Option<&str>,
        body: impl Into<Bytes>,
    ) -> reqwest::RequestBuilder {
        let request = self
            .client
            .post(self.url("/messages"))
            .bearer_auth("KEY0123")
            .header("content-type", "application/json")
            .body(body.into());
        match key {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        }
    }

    /// Sends a text and returns status and body of the answer.
    pub(crate) async fn send(&self, to: &str, text: &str) -> (StatusCode, Value) {
        answer(self.post(None, message(to, text)).send().await.expect("an answer")).await
    }

    /// A list, once it has so many items.
    pub(crate) async fn list(&self, path: &str, items: usize) -> Value {
        let found = async {
            loop {
                let request = self.client.get(self.url(path)).bearer_auth("KEY0123");
                let (_, list) = answer(request.send().await.expect("an answer")).await;
                if list["data"].as_array().is_some_and(|data| data.len() >= items) {
                    return list;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, found).await.expect("the items in time")
    }

    /// How a message stands.
    pub(crate) async fn show(&self, id: &str) -> (StatusCode, Value) {
        let request = self.client.get(self.url(&format!("/messages/{id}"))).bearer_auth("KEY0123");
        answer(request.send().await.expect("an answer")).await
    }
}

/// The body of a plain text.
pub(crate) fn message(to: &str, text: &str) -> String {
    json!({"from": OWN_NUMBER, "to": to, "text": text}).to_string()
}

/// Status and JSON of an answer.
pub(crate) async fn answer(response: reqwest::Response) -> (StatusCode, Value) {
    (response.status(), response.json().await.expect("JSON"))
}

/// The code of an error envelope.
pub(crate) fn code(body: &Value) -> &str {
    body["errors"][0]["code"].as_str().unwrap_or("no error")
}
