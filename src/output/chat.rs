//! A thread as a person reads a chat: oldest above, newest at the bottom.
//!
//! Every line of a message hangs under its first, so that no text can pass for a heading, a
//! status or somebody else's message.

use chrono::NaiveDate;
use uuid::Uuid;

use super::advice::{Advice, advice};
use super::style::Tone;
use super::width::{columns, wrap};
use super::{Look, counted, safe, status};
use crate::domain::conversation::SHOWN_SUFFIX;
use crate::domain::{Conversation, Direction, Media, Message, StatusReport};

/// Where the text of a message begins: behind `  14:30 → `.
const INDENT: usize = 10;
/// Where advice about a message begins.
const DEEPER: usize = INDENT + 2;
/// Long lines are hard to read, however wide the window.
const WIDEST: usize = 100;

/// What was left out above the oldest message that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// How many messages, where that is known.
    pub count: Option<u64>,
    /// The oldest message that is shown.
    pub before: Uuid,
    /// How many its reader asked for, if any number.
    pub limit: Option<u64>,
}

/// The state that one message leaves to the next.
#[derive(Debug)]
pub(super) struct Chat {
    look: Look,
    width: usize,
    day: Option<NaiveDate>,
    own: Option<String>,
}

impl Chat {
    pub(super) fn new(look: &Look) -> Self {
        Self { look: *look, width: look.width.min(WIDEST), day: None, own: None }
    }

    /// Who this is, how much there is, and what stands in the way of an answer.
    pub(super) fn heading(&self, thread: &Conversation, earlier: Option<&Earlier>) -> Vec<String> {
        let mut lines = vec![self.title(thread)];
        if let Some(at) = thread.opted_out_at {
            let since = self.look.zone.day_and_clock(at);
            let own = thread.opted_out_number.as_ref().map(|number| format!(" to {number}"));
            let told = format!("Opted out on {since}{}.", own.unwrap_or_default());
            let banner = format!("{told} Nothing is sent to this contact until it sends START.");
            lines.extend(self.wrapped(&safe::line(&banner), 0, Tone::Doubt));
        }
        if let Some(earlier) = earlier {
            let what = match earlier.count {
                Some(count) => counted(count, "earlier message"),
                None => "Earlier messages".to_owned(),
            };
            let note = format!("{what} not shown; --all shows all, and this goes back:");
            lines.extend(self.wrapped(&note, 0, Tone::Quiet));
            lines.push(self.command(&earlier_command(thread, earlier), 2));
        }
        lines
    }

    fn title(&self, thread: &Conversation) -> String {
        let contact = safe::line(thread.contact_number.as_str());
        let count = counted(thread.message_count, "message");
        let id = thread.id.to_string();
        let dot = self.look.glyphs.dot;
        let whole = columns(&contact) + count.len() + id.len() + 2 * (columns(dot) + 2);
        let id = if whole <= self.width { &id } else { &id[id.len() - SHOWN_SUFFIX..] };
        let contact = Tone::Strong.paint(&contact, self.look.color);
        let rest = format!(" {dot} {count} {dot} {id}");
        format!("{contact}{}", Tone::Quiet.paint(&rest, self.look.color))
    }

    /// One message, with the headings that are due before it.
    pub(super) fn message(&mut self, message: &Message) -> Vec<String> {
        let mut lines = self.day_heading(message);
        lines.extend(self.who(message));
        let above = lines.len();
        for note in notes(message) {
            lines.extend(self.wrapped(&note, INDENT, Tone::Quiet));
        }
        lines.extend(self.text(message));
        lines.extend(message.media.iter().flat_map(|media| self.link(media)));
        if let Some(first) = lines.get_mut(above) {
            let text = first.get(INDENT..).unwrap_or_default();
            *first = format!("{}{text}", self.lead(message));
        }
        self.append_status(&mut lines, message);
        lines.extend(advice(message).into_iter().flat_map(|advice| self.advice(&advice)));
        lines.extend(message.history.iter().flatten().flat_map(|report| self.report(report)));
        lines
    }

    /// One line of a message's history, in the words of whoever reported it.
    fn report(&self, report: &StatusReport) -> Vec<String> {
        let when = self.look.zone.day_and_clock(report.occurred_at);
        let whom = report.recipient.as_deref().map(|whom| format!(" {whom}"));
        let error = report.error.as_ref().map(|error| format!(": {error}"));
        let (whom, error) = (whom.unwrap_or_default(), error.unwrap_or_default());
        let line = safe::line(&format!("{when} {}{whom}{error}", report.status));
        self.wrapped(&line, INDENT, Tone::Quiet)
    }

    fn text(&self, message: &Message) -> Vec<String> {
        match (message.body.is_empty(), message.media.is_empty()) {
            (true, true) => self.wrapped("(no text)", INDENT, Tone::Quiet),
            (true, false) => Vec::new(),
            (false, _) => safe::lines(&message.body)
                .flat_map(|line| self.wrapped(&line, INDENT, Tone::Plain))
                .collect(),
        }
    }

    fn day_heading(&mut self, message: &Message) -> Vec<String> {
        let zone = self.look.zone;
        let day = zone.day(message.created_at);
        if self.day.replace(day) == Some(day) {
            return Vec::new();
        }
        vec![String::new(), Tone::Strong.paint(&zone.heading(day), self.look.color)]
    }

    /// What the arrows mean. Several own numbers may share a thread: the one in use is told again
    /// when it changes.
    fn who(&mut self, message: &Message) -> Vec<String> {
        let (contact, own) = match message.direction {
            Direction::Inbound => (&message.from, &message.to),
            Direction::Outbound => (&message.to, &message.from),
        };
        let own = safe::line(own.as_str());
        if self.own.replace(own.clone()).as_ref() == Some(&own) {
            return Vec::new();
        }
        let arrow = |direction| self.look.glyphs.arrow(direction);
        let (theirs, ours) = (arrow(Direction::Inbound), arrow(Direction::Outbound));
        let contact = safe::line(contact.as_str());
        let line = format!("{theirs} {contact}   {ours} us ({own})");
        self.wrapped(&line, 2, Tone::Quiet)
    }

    /// `  14:30 → `, as wide as the indent.
    fn lead(&self, message: &Message) -> String {
        let clock = Tone::Quiet.paint(&self.look.zone.clock(message.created_at), self.look.color);
        let tone = match message.direction {
            Direction::Inbound => Tone::Plain,
            Direction::Outbound => Tone::Own,
        };
        let arrow = tone.paint(self.look.glyphs.arrow(message.direction), self.look.color);
        format!("  {clock} {arrow} ")
    }

    /// Puts the status at the right edge of the last line if there is room, else below; below in
    /// any case when more is to be said.
    fn append_status(&self, lines: &mut Vec<String>, message: &Message) {
        let Some(phrase) = status::phrase(message, &self.look) else { return };
        let tone = status::tone(message.status);
        let used = lines.last().map_or(0, |line| plain_columns(line));
        let gap = self.width.saturating_sub(used + columns(&phrase));
        match lines.last_mut() {
            Some(last) if gap >= 2 && message.error.is_none() && advice(message).is_none() => {
                last.push_str(&" ".repeat(gap));
                last.push_str(&tone.paint(&phrase, self.look.color));
            }
            _ => lines.extend(self.wrapped(&phrase, INDENT, tone)),
        }
    }

    fn advice(&self, advice: &Advice) -> Vec<String> {
        let end = if advice.command.is_some() { ":" } else { "" };
        let words = format!("hint: {}{end}", advice.words);
        let mut lines = self.wrapped(&words, DEEPER, Tone::Quiet);
        lines.extend(advice.command.iter().map(|command| self.command(command, DEEPER)));
        lines
    }

    /// A command to be pasted: like a link, never broken. Play goes on as play.
    fn command(&self, command: &str, indent: usize) -> String {
        let command = match command.strip_prefix("convo ") {
            Some(rest) if self.look.sandbox => format!("convo --sandbox {rest}"),
            _ => command.to_owned(),
        };
        format!("{}{}", " ".repeat(indent), Tone::Quiet.paint(&command, self.look.color))
    }

    /// A file as a link that can be followed: never cut, never broken. What else is known of it
    /// stands behind it, or below where there is no room.
    fn link(&self, media: &Media) -> Vec<String> {
        let url = format!("{}{}", " ".repeat(INDENT), safe::line(&media.url));
        let kind = media.content_type.as_deref().map(safe::line);
        let facts: Vec<_> = kind.into_iter().chain(media.size.map(bytes)).collect();
        if facts.is_empty() {
            return vec![url];
        }
        let facts = format!("({})", facts.join(", "));
        if columns(&url) + 1 + columns(&facts) > self.width {
            let below = self.wrapped(&facts, INDENT, Tone::Quiet);
            return std::iter::once(url).chain(below).collect();
        }
        vec![format!("{url} {}", Tone::Quiet.paint(&facts, self.look.color))]
    }

    /// Wraps one line of harmless text to the width, indented and toned; at least one line.
    fn wrapped(&self, line: &str, indent: usize, tone: Tone) -> Vec<String> {
        let blanks = " ".repeat(indent);
        let indented = |part: &str| format!("{blanks}{}", tone.paint(part, self.look.color));
        wrap(line, self.width.saturating_sub(indent).max(1))
            .iter()
            .map(|part| if part.is_empty() { String::new() } else { indented(part) })
            .collect()
    }
}

/// The command that shows what comes before. A contact's name that is no number is somebody's
/// text, and no part of a command.
fn earlier_command(thread: &Conversation, earlier: &Earlier) -> String {
    let contact = thread.contact_number.as_str();
    let is_number = contact
        .strip_prefix('+')
        .is_some_and(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()));
    let id = thread.id.to_string();
    let name = if is_number { contact } else { &id };
    let limit = earlier.limit.map(|limit| format!(" --limit {limit}")).unwrap_or_default();
    format!("convo show {name}{limit} --before {}", earlier.before)
}

/// What is to be known before the text: the other participants, the subject.
fn notes(message: &Message) -> Vec<String> {
    let group = (!message.cc.is_empty())
        .then(|| format!("to the group with {}", safe::line(&message.cc.join(", "))));
    let subject =
        message.subject.as_ref().map(|subject| format!("Subject: {}", safe::line(subject)));
    group.into_iter().chain(subject).collect()
}

/// The columns of a line of ours, which may be coloured.
fn plain_columns(line: &str) -> usize {
    columns(&anstream::adapter::strip_str(line).to_string())
}

fn bytes(size: u64) -> String {
    match size {
        0..1_000 => format!("{size} B"),
        1_000..1_000_000 => format!("{} kB", size.div_ceil(1_000)),
        _ => format!("{}.{} MB", size / 1_000_000, size % 1_000_000 / 100_000),
    }
}
