//! Events of the feed: one line each for people, one record each for programs.

use std::borrow::Cow;
use std::io::{self, Write};

use chrono::NaiveDate;

use super::record::{self, Record};
use super::tone::Tone;
use super::width::{columns, cut};
use super::{Format, Style, counted, escape, status};
use crate::domain::conversation::SHOWN_SUFFIX;
use crate::domain::{FeedEvent, FeedKind, Message, PhoneNumber, Status};

/// The width of a contact's number; wider ones push the text to the right.
const CONTACT: usize = 14;
/// In a narrower window, contacts are not padded.
const NARROW: usize = 60;
/// The most columns of a sender's name.
const LONGEST_CONTACT: usize = 24;
/// The most columns used: a status at the edge of a wide window is far from its text.
const WIDEST: usize = 120;
/// The fewest columns in which a text says anything.
const LEAST_TEXT: usize = 10;

/// Prints events as they come, each at once.
#[derive(Debug)]
pub struct EventPrinter<W> {
    out: W,
    style: Style,
    /// The day of the last event for a person; today at first, which needs no heading.
    day: NaiveDate,
    begun: bool,
}

impl<W: Write> EventPrinter<W> {
    /// A printer in this style.
    pub fn new(out: W, style: &Style) -> Self {
        Self { out, style: style.clone(), day: style.zone.day(style.now), begun: false }
    }

    /// From now on, lines fit into so many columns.
    pub fn resize(&mut self, width: usize) {
        self.style.width = width;
    }

    /// Prints what stands above the first event.
    ///
    /// # Errors
    /// Writing failed.
    pub fn begin(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.begun, true) {
            record::header::<FeedEvent>(&mut self.out, self.style.format)?;
        }
        self.out.flush()
    }

    /// Prints one event.
    ///
    /// # Errors
    /// Writing failed.
    pub fn event(&mut self, event: &FeedEvent) -> io::Result<()> {
        self.begin()?;
        match self.style.format {
            Format::Table => {
                let day = self.style.zone.day(event.at);
                if std::mem::replace(&mut self.day, day) != day {
                    let heading = self.style.zone.heading(day);
                    writeln!(self.out, "\n{}", Tone::Strong.paint(&heading, self.style.color))?;
                }
                writeln!(self.out, "{}", line(event, &self.style))?;
            }
            format => record::write(&mut self.out, format, std::slice::from_ref(event))?,
        }
        self.out.flush()
    }
}

/// The line of an event for a person: when, who, what, and how it fared.
#[must_use]
pub fn line(event: &FeedEvent, style: &Style) -> String {
    let paint = |tone: Tone, text: &str| tone.paint(text, style.color);
    let clock = paint(Tone::Quiet, &style.zone.clock(event.at));
    let (mark, tone) = match &event.message {
        Some(message) if message.status != Status::Received => {
            (style.glyphs.arrow(message.direction), Tone::Own)
        }
        Some(message) => (style.glyphs.arrow(message.direction), Tone::Plain),
        None => (style.glyphs.dot, Tone::Quiet),
    };
    let contact = contact(event, style);
    let used = 2 + 5 + 1 + columns(mark) + 1 + columns(&contact) + 2;
    let room = style.width.min(WIDEST).saturating_sub(used).max(1);
    let said = match &event.message {
        Some(message) => said(message, event, style, room),
        None => {
            let (words, tone) = words(event);
            paint(tone, &cut(&words, room, style.glyphs.cut))
        }
    };
    format!("  {clock} {} {}  {said}", paint(tone, mark), paint(Tone::Strong, &contact))
        .trim_end()
        .to_owned()
}

/// The contact by its name, or else its number, as wide as those of other lines.
fn contact(event: &FeedEvent, style: &Style) -> String {
    let number = event.contact_number.as_ref().map(PhoneNumber::as_str);
    let contact = event.contact_name.as_deref().or(number).unwrap_or_default();
    let contact = escape::line(contact);
    let contact = cut(&contact, LONGEST_CONTACT, style.glyphs.cut);
    let width = if style.width < NARROW { 0 } else { CONTACT };
    let blanks = width.saturating_sub(columns(&contact));
    format!("{contact}{}", " ".repeat(blanks))
}

/// What is told of an event that is not about a message.
pub(crate) fn words(event: &FeedEvent) -> (String, Tone) {
    match (event.kind, event.opted_out) {
        (FeedKind::OptOut, Some(true)) => {
            let words = "opted out: nothing is sent to this contact until they send START";
            (words.to_owned(), Tone::Doubt)
        }
        (FeedKind::OptOut, _) => ("opted in again".to_owned(), Tone::Good),
        _ => {
            let id = event.conversation_id.map(|id| id.to_string()).unwrap_or_default();
            let end = &id[id.len().saturating_sub(SHOWN_SUFFIX)..];
            (format!("the conversation {end} was removed"), Tone::Quiet)
        }
    }
}

/// A message's text, with its status at the right edge. Where there is no room for both, a new message
/// keeps its text, and a change its status.
fn said(message: &Message, event: &FeedEvent, style: &Style, room: usize) -> String {
    let text = summary(message);
    let mut reached = message.clone();
    if let Some(status) = event.reached().filter(|status| *status != message.status) {
        // Its error belongs to the status that it has by now.
        (reached.status, reached.error) = (status, None);
    }
    // How many segments it has was said when it was sent.
    reached.segments = None;
    let phrase = status::phrase(&reached, style).unwrap_or_default();
    let text_room = |phrase: &str| room.saturating_sub(columns(phrase) + 2);
    let mark = style.glyphs.cut;
    let is_change = event.kind == FeedKind::Status;
    let least = LEAST_TEXT.min(columns(&text));
    let phrase = match text_room(&phrase) < least {
        true if is_change => cut(&phrase, room, mark),
        true => Cow::Borrowed(""),
        false => Cow::Borrowed(phrase.as_str()),
    };
    let tone =
        if is_change && message.status != Status::Received { Tone::Quiet } else { Tone::Plain };
    if phrase.is_empty() {
        return tone.paint(&cut(&text, room, mark), style.color);
    }
    let shown = cut(&text, text_room(&phrase), mark);
    let gap = room.saturating_sub(columns(&shown) + columns(&phrase));
    let status = status::tone(reached.status).paint(&phrase, style.color);
    format!("{}{}{status}", tone.paint(&shown, style.color), " ".repeat(gap))
}

/// A message on one line: its text, or else its subject; how many files and others it has.
fn summary(message: &Message) -> String {
    let subject = message.subject.as_deref().filter(|_| message.body.is_empty());
    let words = subject.unwrap_or(&message.body);
    let files = match message.media.len() {
        0 if words.is_empty() => "(no text)".to_owned(),
        0 => String::new(),
        count => format!("[{}] ", counted(count as u64, "file")),
    };
    let group = match message.cc.len() {
        0 => String::new(),
        count => format!("[with {}] ", counted(count as u64, "other")),
    };
    format!("{group}{files}{}", escape::line(words)).trim_end().to_owned()
}

impl Record for FeedEvent {
    const COLUMNS: &'static [&'static str] = &[
        "at",
        "kind",
        "contact_number",
        "direction",
        "status",
        "from",
        "to",
        "body",
        "id",
        "error",
        "media",
        "subject",
        "cc",
        "conversation_id",
        "cursor",
        "opted_out",
        "replaces",
        "recovered",
        "contact_name",
    ];
    const NUMBERS: &'static [&'static str] = &["contact_number", "from", "to"];

    fn id(&self) -> Option<Cow<'_, str>> {
        let id = self.message.as_ref().map(|message| message.id).or(self.conversation_id)?;
        Some(id.to_string().into())
    }

    fn values(&self) -> Vec<Cow<'_, str>> {
        fn text<T: ToString>(value: Option<T>) -> String {
            value.map(|value| value.to_string()).unwrap_or_default()
        }
        let message = self.message.as_ref();
        let media = message.iter().flat_map(|message| &message.media);
        let media: Vec<_> = media.map(|media| media.url.as_str()).collect();
        vec![
            self.at.to_string().into(),
            self.kind.as_str().into(),
            self.contact_number.as_ref().map_or("", |contact| contact.as_str()).into(),
            message.map_or("", |message| message.direction.as_str()).into(),
            self.reached().map_or("", Status::as_str).into(),
            message.map_or("", |message| message.from.as_str()).into(),
            message.map_or("", |message| message.to.as_str()).into(),
            message.map_or("", |message| &message.body).into(),
            text(message.map(|message| message.id)).into(),
            text(message.and_then(|message| message.error.as_ref())).into(),
            media.join(" ").into(),
            message.and_then(|message| message.subject.as_deref()).unwrap_or_default().into(),
            message.map(|message| message.cc.join(" ")).unwrap_or_default().into(),
            text(self.conversation_id).into(),
            self.cursor.to_string().into(),
            text(self.opted_out).into(),
            text(self.replaces).into(),
            text(self.recovered.then_some(true)).into(),
            self.contact_name.as_deref().unwrap_or_default().into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::super::escape::drives;
    use super::super::samples::{failed, inbound, number, outbound, style, time};
    use super::*;
    use crate::domain::FeedCursor;

    fn event(kind: FeedKind, message: Option<Message>) -> FeedEvent {
        FeedEvent {
            cursor: FeedCursor { position: 7, nonce: 0xdead_beef },
            kind,
            at: time("2026-06-18T14:32:00Z"),
            conversation_id: Some(Uuid::from_u128(2)),
            contact_number: message.as_ref().map(|message| message.contact().clone()),
            contact_name: None,
            status: message.as_ref().filter(|_| kind == FeedKind::Status).map(|m| m.status),
            message,
            replaces: None,
            opted_out: None,
            recovered: false,
        }
    }

    fn opted(out: bool) -> FeedEvent {
        let contact_number = Some(number("+12125551234"));
        FeedEvent { contact_number, opted_out: Some(out), ..event(FeedKind::OptOut, None) }
    }

    fn printed(style: &Style, events: &[FeedEvent]) -> String {
        let mut out = Vec::new();
        let mut printer = EventPrinter::new(&mut out, style);
        for event in events {
            printer.event(event).expect("a vector takes all");
        }
        String::from_utf8(out).expect("UTF-8")
    }

    fn events() -> Vec<FeedEvent> {
        let mut earlier = event(FeedKind::Message, Some(inbound("Hi, is anyone there?\nI ask")));
        earlier.at = time("2026-06-17T09:00:00Z");
        let long = "Hello from Telnyx! Yes, we are here every day from nine to five";
        let mut passed = event(FeedKind::Status, Some(outbound(long, Status::Delivered)));
        passed.status = Some(Status::Sent);
        vec![
            earlier,
            event(FeedKind::Message, Some(outbound(long, Status::Queued))),
            passed,
            event(FeedKind::Status, Some(failed("Still there?"))),
            opted(true),
            opted(false),
            event(FeedKind::Removed, None),
        ]
    }

    #[test]
    fn each_event_is_one_line() {
        assert_eq!(printed(&style(Format::Table, 80, false), &events()), USUAL);
        assert_eq!(printed(&style(Format::Table, 40, false), &events()), NARROWED);
    }

    #[test]
    fn a_record_has_the_status_of_the_event() {
        let line = printed(&style(Format::Lines, 80, false), &events()[2..3]);
        let fields: Vec<_> = line.trim_end_matches('\n').split('\t').collect();
        assert_eq!(fields.len(), FeedEvent::COLUMNS.len());
        assert_eq!(
            fields[..5],
            ["2026-06-18T14:32:00.000000Z", "status", "+12125551234", "outbound", "sent"]
        );
        assert_eq!(fields[14], "7-deadbeef");
        let ids = printed(&style(Format::Ids, 80, false), &[opted(true), events()[1].clone()]);
        assert_eq!(ids.lines().last(), Some("01890000-0000-7000-8000-000000000002"));
    }

    proptest! {
        #[test]
        fn whatever_was_written_is_one_line_that_fits(
            body in any::<String>(), contact in any::<String>(), width in 40_usize..=200, color: bool,
        ) {
            let mut event = event(FeedKind::Status, Some(outbound(&body, Status::Delivered)));
            event.contact_number = Some(number(&contact));
            let style = style(Format::Table, width, color);
            let plain = anstream::adapter::strip_str(&line(&event, &style)).to_string();
            prop_assert!(!plain.contains(drives), "{plain:?}");
            prop_assert!(columns(&plain) <= width, "{} > {width}: {plain:?}", columns(&plain));
        }
    }

    const USUAL: &str = "
Wednesday, 17 June 2026 UTC
  09:00 ← +12125551234    Hi, is anyone there?\\nI ask

Thursday, 18 June 2026 UTC
  14:32 → +12125551234    Hello from Telnyx! Yes, we are he…  … queued at Telnyx
  14:32 → +12125551234    Hello from Telnyx! Yes, we are here every day…  ✓ sent
  14:32 → +12125551234    ✗ not delivered: Blocked: as spam (Telnyx error 40002)
  14:32 · +12125551234    opted out: nothing is sent to this contact until they…
  14:32 · +12125551234    opted in again
  14:32 ·                 the conversation 00000002 was removed
";
    const NARROWED: &str = "
Wednesday, 17 June 2026 UTC
  09:00 ← +12125551234  Hi, is anyone t…

Thursday, 18 June 2026 UTC
  14:32 → +12125551234  Hello from Teln…
  14:32 → +12125551234  Hello f…  ✓ sent
  14:32 → +12125551234  ✗ not delivered…
  14:32 · +12125551234  opted out: noth…
  14:32 · +12125551234  opted in again
  14:32 ·   the conversation 00000002 w…
";
}
