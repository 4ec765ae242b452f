//! The output of `send`: one line for people, and the plan of a dry run.

use std::io::{self, Write};
use std::path::Path;

use super::{Format, Style, Zone, counted, escape, json};
use crate::domain::{Message, SendPlan, SendRequest, Status};

/// One line that says what became of a message.
#[must_use]
pub fn told(message: &Message, zone: Zone) -> String {
    let verb = match message.status {
        Status::Pending | Status::Unknown => "submitted to Telnyx for",
        Status::Scheduled => "scheduled for",
        Status::Queued => "queued for",
        Status::Sending => "being sent to",
        Status::Sent | Status::DeliveryUnconfirmed => "sent to",
        Status::Delivered => "delivered to",
        Status::Read => "read by",
        Status::Expired | Status::Cancelled | Status::SendingFailed => "not sent to",
        Status::DeliveryFailed => "not delivered to",
        Status::Received => "received by",
    };
    let size = message.segments.map(|count| format!(" as {}", segments(count, None)));
    let files = match message.media.len() {
        0 => String::new(),
        count => format!(" with {}", counted(count as u64, "file")),
    };
    let at = match (message.status, message.send_at) {
        (Status::Scheduled, Some(at)) => format!(", to be sent on {}", zone.day_and_clock(at)),
        _ => String::new(),
    };
    let size = size.unwrap_or_default();
    escape::line(&format!("{verb} {}{size}{files} from {}{at}", message.to, message.from))
}

/// One line that says which database was made for a message.
#[must_use]
pub fn new_database(path: &Path) -> String {
    escape::line(&format!("created a new database: {}", path.display()))
}

/// One line that sums up a dry run.
#[must_use]
pub fn planned(plan: &SendPlan, request: &SendRequest, zone: Zone) -> String {
    if plan.opted_out_at.is_some() {
        return escape::line(&format!(
            "nothing was sent; {} has opted out: a send would be refused",
            plan.to
        ));
    }
    let thread = if plan.conversation_id.is_some() { "" } else { ", starting a new conversation" };
    let size = match request.media_urls.len() {
        0 => segments(plan.segments, Some(&plan.encoding.to_string())),
        count => format!("an MMS with {}", counted(count as u64, "file")),
    };
    let at = request.send_at.map(|at| format!(" on {}", zone.day_and_clock(at)));
    escape::line(&format!(
        "nothing was sent; it would be sent to {} as {size} from {}{}{thread}",
        plan.to,
        plan.from,
        at.unwrap_or_default()
    ))
}

fn segments(count: u32, encoding: Option<&str>) -> String {
    let kind = encoding.map(|encoding| format!("{encoding} ")).unwrap_or_default();
    counted(count.into(), &format!("{kind}segment"))
}

/// Prints the plan of a dry run: one field a line, or a JSON object.
///
/// # Errors
/// Writing failed.
pub fn plan(out: &mut impl Write, plan: &SendPlan, style: &Style) -> io::Result<()> {
    if style.format.is_json() {
        return json::write_line(out, plan);
    }
    for (name, value) in fields(plan) {
        match style.format {
            Format::Table if value.is_empty() => writeln!(out, "{name:<16} -")?,
            Format::Table => writeln!(out, "{name:<16} {}", escape::line(&value))?,
            _ => writeln!(out, "{name}\t{}", escape::field(&value))?,
        }
    }
    out.flush()
}

/// The plan's fields under the API's names; a missing value is empty.
fn fields(plan: &SendPlan) -> [(&'static str, String); 7] {
    let text = |value: Option<String>| value.unwrap_or_default();
    [
        ("from", plan.from.to_string()),
        ("to", plan.to.to_string()),
        ("conversation_id", text(plan.conversation_id.map(|id| id.to_string()))),
        ("encoding", plan.encoding.to_string()),
        ("segments", plan.segments.to_string()),
        ("units", plan.units.to_string()),
        ("opted_out_at", text(plan.opted_out_at.map(|at| at.to_string()))),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::samples::{number, outbound, style, time};
    use super::*;
    use crate::domain::{Encoding, Media};

    fn a_plan() -> SendPlan {
        SendPlan {
            from: number("+15551234567"),
            to: number("+12125551234"),
            conversation_id: None,
            encoding: Encoding::Ucs2,
            segments: 2,
            units: 90,
            opted_out_at: None,
        }
    }

    fn printed(format: Format) -> String {
        let mut out = Vec::new();
        plan(&mut out, &a_plan(), &style(format, 80, false)).expect("a vector takes all");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn one_line_tells_what_became_of_it() {
        let zone = style(Format::Table, 80, false).zone;
        let mut message = outbound("Hi", Status::Queued);
        assert_eq!(told(&message, zone), "queued for +12125551234 as 1 segment from +15551234567");
        message.media = vec![Media::at("https://example.com/a.png"); 2];
        message.segments = None;
        message.status = Status::Scheduled;
        message.send_at = Some(time("2026-06-19T09:00:00Z"));
        assert_eq!(
            told(&message, zone),
            "scheduled for +12125551234 with 2 files from +15551234567, to be sent on 19 Jun 2026, 09:00 UTC"
        );
    }

    #[test]
    fn a_plan_has_the_apis_fields() {
        let api = serde_json::to_value(a_plan()).expect("a plan serialises");
        let names: std::collections::BTreeSet<_> = fields(&a_plan()).map(|(name, _)| name).into();
        let expected: Vec<_> = api.as_object().expect("an object").keys().collect();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), expected);
        assert!(printed(Format::Lines).starts_with("from\t+15551234567\nto\t+12125551234\n"));
        assert!(printed(Format::Table).contains("conversation_id  -\n"));
        assert!(printed(Format::Json).contains("\"encoding\":\"UCS-2\""));
    }

    #[test]
    fn a_person_is_told_that_nothing_was_sent() {
        let planned = |plan: &SendPlan, request: &SendRequest| planned(plan, request, Zone::UTC);
        let plain = SendRequest::default();
        assert_eq!(
            planned(&a_plan(), &plain),
            "nothing was sent; it would be sent to +12125551234 as 2 UCS-2 segments from +15551234567, \
             starting a new conversation"
        );
        let stopped = SendPlan { opted_out_at: Some(time("2026-06-18T14:00:00Z")), ..a_plan() };
        assert!(planned(&stopped, &plain).contains("has opted out"));
        let mms = SendRequest {
            media_urls: vec!["https://example.com/a.png".to_owned()],
            send_at: Some(time("2026-06-18T14:00:00Z")),
            ..plain
        };
        let told = planned(&a_plan(), &mms);
        assert!(told.contains("as an MMS with 1 file from +15551234567 on 18 Jun"), "{told}");
    }
}
