//! Fuzzes the webhook: signature verification and the parser must handle arbitrary bytes.
//!
//! `cargo +nightly fuzz run webhook fuzz/corpus/webhook tests/telnyx/events`

#![no_main]

use convo::telnyx::event::Event;
use convo::telnyx::signature::Verifier;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = Event::parse(data);
    // The first two lines are the header values, the rest is the body.
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let (time, signature) = (parts.next(), parts.next());
    let body = parts.next().unwrap_or_default();
    let key = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=".to_owned();
    if let Ok(verifier) = Verifier::new(&[key]) {
        assert!(verifier.verify(time, signature, body, 1_700_000_000).is_err());
    }
});
