//! Telnyx's lists: deliveries of webhooks, detail records of messages, opt-outs; and a message that was
//! looked up, as an event.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json_borrow::Value;

use super::event::{Event, NotAnEvent, Payload};
use super::lenient_json;
use crate::domain::text::repair_json;
use crate::domain::{Direction, PhoneNumber, Timestamp};

/// One page of a list.
#[derive(Clone, Debug)]
pub(crate) struct ListPage<T> {
    /// The items that can be read.
    pub(crate) items: Vec<T>,
    /// How many items the page has.
    pub(crate) listed: usize,
    /// How many pages there are, if Telnyx says so.
    pub(crate) pages: Option<u64>,
    /// How many items there are, if Telnyx says so.
    pub(crate) results: Option<u64>,
}

/// An event that could not be delivered.
#[derive(Clone, Debug)]
pub(crate) struct FailedDelivery {
    pub(crate) event: Event,
    /// As a webhook would have it.
    pub(crate) body: Vec<u8>,
}

/// What Telnyx's list of all messages says about one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DetailRecord {
    pub(crate) id: String,
    pub(crate) direction: Direction,
    pub(crate) from: Option<PhoneNumber>,
    pub(crate) to: Option<PhoneNumber>,
    pub(crate) created_at: Option<Timestamp>,
}

/// A block that a contact has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListedOptOut {
    /// The sender that is blocked.
    pub(crate) from: Option<PhoneNumber>,
    pub(crate) to: PhoneNumber,
    pub(crate) profile: Option<String>,
    pub(crate) created_at: Option<Timestamp>,
}

/// The body is not a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAList;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    #[serde(default, borrow)]
    meta: Option<&'a RawValue>,
}

/// Reads a page; an item that cannot be read is left out.
fn page<T>(body: &[u8], read: impl Fn(&str) -> Option<T>) -> Result<ListPage<T>, NotAList> {
    let text = repair_json(body);
    let Envelope { data, meta } = serde_json::from_str(&text).map_err(|_| NotAList)?;
    let meta: Option<Value> = meta.and_then(|meta| serde_json::from_str(meta.get()).ok());
    let number = |field: &str| meta.as_ref()?.get(field).as_u64();
    Ok(ListPage {
        items: data.iter().filter_map(|item| read(item.get())).collect(),
        listed: data.len(),
        pages: number("total_pages"),
        results: number("total_results"),
    })
}

/// Reads a page of `/webhook_deliveries`. Only events about messages are of interest: an account may
/// have others.
pub(crate) fn deliveries(body: &[u8]) -> Result<ListPage<FailedDelivery>, NotAList> {
    #[derive(Deserialize)]
    struct Item<'a> {
        #[serde(borrow)]
        webhook: &'a RawValue,
    }
    #[derive(Deserialize)]
    struct Wrapped<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
    }
    page(body, |item| {
        let Item { webhook } = serde_json::from_str(item).ok()?;
        // The event itself, or the whole body.
        let event = serde_json::from_str(webhook.get()).map_or(webhook, |Wrapped { data }| data);
        let body = format!(r#"{{"data":{}}}"#, event.get()).into_bytes();
        let event = Event::parse(&body).ok()?;
        event.event_type.starts_with("message.").then_some(FailedDelivery { event, body })
    })
}

/// Reads a page of `/detail_records`.
pub(crate) fn records(body: &[u8]) -> Result<ListPage<DetailRecord>, NotAList> {
    page(body, |item| {
        let item: Value = serde_json::from_str(item).ok()?;
        Some(DetailRecord {
            id: lenient_json::text(&item, "uuid").or_else(|| lenient_json::text(&item, "id"))?,
            direction: Direction::parse(item.get("direction").as_str()?)?,
            from: PhoneNumber::from_wire(item.get("cli").as_str().unwrap_or_default()),
            to: PhoneNumber::from_wire(item.get("cld").as_str().unwrap_or_default()),
            created_at: lenient_json::time(&item, "created_at"),
        })
    })
}

/// Reads a page of `/messaging_optouts`.
pub(crate) fn opt_outs(body: &[u8]) -> Result<ListPage<ListedOptOut>, NotAList> {
    page(body, |item| {
        let item: Value = serde_json::from_str(item).ok()?;
        Some(ListedOptOut {
            from: PhoneNumber::from_wire(item.get("from").as_str().unwrap_or_default()),
            to: PhoneNumber::from_wire(item.get("to").as_str()?)?,
            profile: lenient_json::text(&item, "messaging_profile_id"),
            created_at: lenient_json::time(&item, "created_at"),
        })
    })
}

/// A message that was looked up, as the event that would have told of it. `id` makes the event's id.
///
/// # Errors
/// [`NotAnEvent`] if the answer has no message.
pub(crate) fn event_of_message(
    answer: &[u8],
    id: impl Fn(&Payload) -> String,
) -> Result<(Event, Vec<u8>), NotAnEvent> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
    }
    let text = repair_json(answer);
    let Answer { data } = serde_json::from_str(&text).map_err(|_| NotAnEvent)?;
    let payload = Payload::from_answer(answer).ok_or(NotAnEvent)?;
    let is_inbound = serde_json::from_str::<Value>(data.get())
        .is_ok_and(|data| data.get("direction").as_str() == Some("inbound"));
    let (event_type, at) = match is_inbound {
        true => ("message.received", payload.received_at),
        false => {
            let ended = payload.completed_at.or(payload.sent_at);
            ("message.fetched", ended.or(payload.received_at))
        }
    };
    let (event_type, id) = (quoted(event_type), quoted(&id(&payload)));
    let at = at.map_or_else(|| "null".to_owned(), |at| quoted(&at.to_string()));
    let body = format!(
        r#"{{"data":{{"event_type":{event_type},"id":{id},"occurred_at":{at},"record_type":"event","payload":{}}}}}"#,
        data.get()
    );
    let body = body.into_bytes();
    Event::parse(&body).map(|event| (event, body))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telnyx::event::Content;

    const MESSAGE: &str = r#"{"data":{"record_type":"message","direction":"outbound","id":"m-1","text":"Hi",
        "from":{"phone_number":"+17735550002"},"to":[{"phone_number":"+13125550001","status":"delivered"}],
        "received_at":"2026-11-22T13:01:00.552+00:00","completed_at":"2026-11-22T13:01:02+00:00"}}"#;

    #[test]
    fn deliveries_of_messages_are_read_and_others_left_out() {
        let event = include_str!("../../tests/telnyx/events/inbound_sms.json");
        let call = r#"{"event_type":"call.initiated","id":"c","record_type":"event","payload":{}}"#;
        let bare: serde_json::Value = serde_json::from_str(event).expect("JSON");
        let list = format!(
            r#"{{"data":[{{"webhook":{call}}},{{"webhook":{event}}},{{"webhook":{}}},{{}},7],
            "meta":{{"total_pages":3,"total_results":"x"}}}}"#,
            bare["data"]
        );
        let page = deliveries(list.as_bytes()).expect("a list");
        assert_eq!((page.listed, page.items.len(), page.pages), (5, 2, Some(3)));
        for item in page.items {
            assert!(matches!(item.event.content, Content::Inbound(_)));
            assert_eq!(Event::parse(&item.body).expect("an event"), item.event);
        }
    }

    #[test]
    fn records_and_opt_outs_are_read_leniently() {
        let list = br#"{"data":[{"uuid":"m-1","direction":"inbound","cli":"+13125550001","cld":"+17735550002",
            "created_at":"2026-11-22T13:01:00Z"},{"uuid":"m-2","direction":"outbound","cli":null},
            {"uuid":"m-3","direction":"sideways"},{"direction":"inbound"}]}"#;
        let page = records(list).expect("a list");
        let ids: Vec<_> = page.items.iter().map(|record| record.id.as_str()).collect();
        assert_eq!((page.listed, ids), (4, vec!["m-1", "m-2"]));
        assert_eq!(page.items[0].created_at, Timestamp::parse("2026-11-22T13:01:00Z"));
        let list = br#"{"data":[{"to":"+13125550001","from":"+17735550002","keyword":"STOP",
            "created_at":"2025-04-28 12:00:38.631252+00:00"},{"to":null}]}"#;
        let page = opt_outs(list).expect("a list");
        assert_eq!(page.items.len(), 1);
        assert_eq!(page.items[0].created_at, Timestamp::parse("2025-04-28T12:00:38.631252Z"));
        for body in ["", "{}", "[]", r#"{"data":{}}"#] {
            assert!(records(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_message_that_was_looked_up_becomes_an_event() {
        let (event, body) =
            event_of_message(MESSAGE.as_bytes(), |_| "get:\"m-1\"".to_owned()).expect("an event");
        assert_eq!(event.id.as_deref(), Some("get:\"m-1\""));
        assert_eq!(event.occurred_at, Timestamp::parse("2026-11-22T13:01:02Z"));
        assert!(matches!(event.content, Content::Report(_)));
        assert_eq!(Event::parse(&body).expect("an event"), event);
        let inbound = MESSAGE.replace("outbound", "inbound");
        let (event, _) = event_of_message(inbound.as_bytes(), |_| "x".into()).expect("an event");
        assert!(matches!(event.content, Content::Inbound(_)));
        assert_eq!(event.occurred_at, Timestamp::parse("2026-11-22T13:01:00.552Z"));
        assert!(event_of_message(b"{\"data\":{}}", |_| String::new()).is_err());
    }
}
