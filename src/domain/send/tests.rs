use super::*;
use crate::error::Code;

const NOW: i64 = 1_795_352_400_000_000;

fn draft(to: &str, request: SendRequest) -> Result<Draft, Error> {
    let draft = Draft::new(to, request)?;
    draft.check_schedule(Timestamp::from_micros(NOW)).map(|()| draft)
}

fn text(message: &str) -> SendRequest {
    SendRequest { message: Some(message.to_owned()), ..SendRequest::default() }
}

#[test]
fn a_plain_text_is_valid() {
    let draft = draft("+1 (212) 555-1234", text("Hello")).expect("a good request");
    assert_eq!(draft.to().as_str(), "+12125551234");
    assert_eq!((draft.text(), draft.size().segments), ("Hello", 1));
}

#[test]
fn what_was_checked_is_what_is_sent() {
    let typed = SendRequest {
        message: Some(String::new()),
        media_urls: vec![" https://example.com/a\n.png ".to_owned()],
        from: Some("+1 555 123 4567".to_owned()),
        no_retry: true,
        ..SendRequest::default()
    };
    let first = draft("+1 (212) 555-1234", typed).expect("a good request");
    assert_eq!(
        serde_json::to_value(first.request()).expect("a request serialises"),
        serde_json::json!({
            "message": null, "media_urls": ["https://example.com/a.png"],
            "from": "+15551234567", "no_retry": true,
        })
    );
    let posted = draft(first.to().as_str(), first.request().clone()).expect("the same request");
    assert_eq!(posted, first, "another convo makes the same of it");
}

#[test]
fn a_time_names_its_zone() {
    let read = |time: &str| {
        let body = serde_json::json!({"message": "Hi", "send_at": time}).to_string();
        serde_json::from_str::<SendRequest>(&body).map(|request| request.send_at)
    };
    let noon = Some(Timestamp::from_micros(NOW));
    assert_eq!(read("2026-11-22T13:00:00Z").expect("UTC"), noon);
    assert_eq!(read("2026-11-22T15:00:00+02:00").expect("an offset"), noon);
    for time in ["2026-11-22T13:00:00", "2026-11-22 13:00:00", "2026-11-22", "tomorrow", ""] {
        assert!(read(time).is_err(), "{time}");
    }
    let none = r#"{"message":"Hi","send_at":null,"media_urls":null,"from":null}"#;
    assert_eq!(serde_json::from_str::<SendRequest>(none).expect("left out"), text("Hi"));
}

#[test]
fn what_cannot_be_sent_is_refused_with_its_reason() {
    let media = |urls: Vec<&str>| SendRequest {
        media_urls: urls.into_iter().map(str::to_owned).collect(),
        ..SendRequest::default()
    };
    let at = |seconds| SendRequest {
        send_at: Some(Timestamp::from_micros(NOW).plus_seconds(seconds)),
        ..text("later")
    };
    for (request, code) in [
        (text(""), Code::InvalidRequest),
        (text("a\0b"), Code::InvalidRequest),
        (text(&"a".repeat(1531)), Code::MessageTooLong),
        (text(&"é😀".repeat(300)), Code::MessageTooLong),
        (media(vec!["ftp://example.com/x"]), Code::InvalidRequest),
        (media(vec!["https://example.com/x"; 11]), Code::InvalidRequest),
        (at(60), Code::InvalidRequest),
        (at(6 * 24 * 3_600), Code::InvalidRequest),
        (SendRequest { subject: Some("s".into()), ..text("no media") }, Code::InvalidRequest),
        (SendRequest { from: Some("Not/A/Sender".into()), ..text("x") }, Code::InvalidNumber),
    ] {
        let error = draft("+12125551234", request).expect_err("must be refused");
        assert_eq!(error.code(), code, "{error}");
    }
    for to in ["2125551234", "", ".", ".."] {
        let error = draft(to, text("Hi")).expect_err("not a number");
        assert_eq!(error.code(), Code::InvalidNumber, "{to}");
    }
    assert!(draft("+12125551234", at(3_600)).is_ok());
}

#[test]
fn the_reason_for_too_many_segments_names_the_character() {
    let told = |message: &str| {
        let error = draft("+12125551234", text(message)).expect_err("too long");
        (error.to_string(), error.hint_text().unwrap_or_default().to_owned())
    };
    let more = "the message would need more than 10 segments, the most Telnyx sends".to_owned();
    let hint = "'’' is not in the GSM-7 alphabet, so the text is sent as UCS-2, in which 10 \
                segments hold at most 670 units; shorten it or send it in parts";
    assert_eq!(told(&format!("{}’", "a".repeat(700))), (more.clone(), hint.to_owned()));
    let hint = "10 segments hold at most 1530 units of GSM-7, or 670 of UCS-2; shorten it or \
                send it in parts";
    // What follows was not read: nothing is said about it.
    assert_eq!(told(&format!("{}’", "a".repeat(1531))), (more, hint.to_owned()));
}

#[test]
fn no_text_is_too_long_for_an_mms() {
    let long = SendRequest {
        media_urls: vec!["https://example.com/a.png".to_owned()],
        ..text(&"é😀".repeat(300))
    };
    let size = Segments { encoding: Encoding::Ucs2, segments: 1, units: 900 };
    assert_eq!(draft("+12125551234", long).expect("an MMS").size(), size);
}

#[test]
fn the_hash_depends_on_the_request_and_not_on_its_notation() {
    let hash = |to: &str, message: &str| {
        draft(to, text(message)).expect("a good request").request_hash().to_owned()
    };
    assert_eq!(hash("+12125551234", "a"), hash("+1 212 555 1234", "a"));
    assert_ne!(hash("+12125551234", "a"), hash("+12125551234", "b"));
    assert_ne!(hash("+12125551234", "a"), hash("+12125551235", "a"));
}
