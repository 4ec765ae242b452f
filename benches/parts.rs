//! Measures the parts of the hot paths, each alone: `cargo bench --bench parts`.

use convo::domain::{Draft, SendRequest};
use convo::output::escape;
use convo::sandbox::SigningKey;
use convo::store::RawEvent;
use convo::telnyx::event::Event;
use convo::telnyx::signature::Verifier;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

/// Webhooks that are verified together.
const BATCH: [usize; 3] = [4, 16, 64];
const EVENT: &str = include_str!("../tests/telnyx/events/inbound_sms.json");
const NOW: i64 = 1_700_000_000;

fn main() {
    divan::main();
}

/// An event as compact as Telnyx sends it.
fn event() -> Vec<u8> {
    let event: serde_json::Value = serde_json::from_str(EVENT).expect("JSON");
    event.to_string().into_bytes()
}

/// A verifier, with the signature of [`event`].
fn signed() -> (Verifier, String) {
    let key = SigningKey::generate().expect("randomness");
    let verifier = Verifier::new(&[key.public_key()]).expect("a key");
    (verifier, key.sign(NOW, &event()))
}

#[divan::bench]
fn verify_one_signature(bencher: Bencher) {
    let ((verifier, signature), body) = (signed(), event());
    let time = NOW.to_string();
    bencher.bench(|| {
        verifier.verify(Some(time.as_bytes()), Some(signature.as_bytes()), &body, NOW).is_ok()
    });
}

#[divan::bench(args = BATCH)]
fn verify_a_batch_of_signatures(bencher: Bencher, size: usize) {
    let ((verifier, signature), body) = (signed(), event());
    let time = NOW.to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    bencher.counter(ItemsCount::new(size)).bench(|| {
        let one = || {
            verifier.verify_in_batch(Some(time.as_bytes()), Some(signature.as_bytes()), &body, NOW)
        };
        runtime.block_on(futures_util::future::join_all((0..size).map(|_| one())))
    });
}

#[divan::bench]
fn parse_an_event(bencher: Bencher) {
    let body = event();
    bencher.counter(BytesCount::of_slice(&body)).bench(|| Event::parse(&body).is_ok());
}

#[divan::bench]
fn compress_an_event(bencher: Bencher) {
    let body = event();
    bencher.counter(BytesCount::of_slice(&body)).bench(|| RawEvent::compress(&body));
}

#[divan::bench(args = [160, 670, 1_530])]
fn check_a_draft_and_its_segments(bencher: Bencher, length: usize) {
    let request = SendRequest { message: Some("a".repeat(length)), ..SendRequest::default() };
    bencher
        .with_inputs(|| request.clone())
        .bench_values(|request| Draft::new("+12125551234", request).is_ok());
}

#[divan::bench(args = ["plain text, as most of it is", "\u{1b}[31mred\u{1b}[0m and می‌خواهم 👩‍👩‍👧"])]
fn make_a_text_safe_for_a_terminal(text: &str) -> String {
    escape::line(text)
}
