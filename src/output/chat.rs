//! A conversation as a chat: oldest message at the top, newest at the bottom.
//!
//! Every further line of a message is indented below its first, so that no text can pass for a
//! heading, a status or another message.

use chrono::NaiveDate;
use uuid::Uuid;

use super::advice::{Advice, advice};
use super::tone::Tone;
use super::width::{columns, cut, wrap};
use super::{Style, counted, escape, status};
use crate::domain::conversation::SHOWN_SUFFIX;
use crate::domain::{Conversation, Direction, Media, Message, Place, StatusReport, Timestamp};

/// Column where the text of a message begins: after `  14:30 → `.
const INDENT: usize = 10;
/// Column where advice about a message begins.
const DEEPER: usize = INDENT + 2;
/// The most columns used: longer lines are hard to read, however wide the window.
const WIDEST: usize = 100;

/// The fewest columns in which a name says anything.
const LEAST_NAME: usize = 4;

/// The messages left out above the oldest one shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// How many, if known.
    pub count: Option<u64>,
    /// The oldest message that is shown.
    pub before: Uuid,
    /// The `--limit` that was given, if any.
    pub limit: Option<u64>,
    /// The `--since` or `--after` that was given, if any.
    pub start: Option<Place>,
}

/// The state carried from one message to the next.
#[derive(Debug)]
pub(super) struct Chat {
    style: Style,
    width: usize,
    day: Option<NaiveDate>,
    own: Option<String>,
}

impl Chat {
    pub(super) fn new(style: &Style) -> Self {
        Self { style: style.clone(), width: style.width.min(WIDEST), day: None, own: None }
    }

    /// From now on, lines fit into so many columns.
    pub(super) fn resize(&mut self, width: usize) {
        self.width = width.min(WIDEST);
    }

    /// The contact with its name, the number of messages, and whether the contact has opted out.
    pub(super) fn heading(&self, thread: &Conversation, earlier: Option<&Earlier>) -> Vec<String> {
        let mut lines = vec![self.title(thread)];
        if let Some(at) = thread.opted_out_at {
            let since = self.style.zone.day_and_clock(at);
            let own = thread.opted_out_number.as_ref().map(|number| format!(" to {number}"));
            let told = format!("Opted out on {since}{}.", own.unwrap_or_default());
            let banner = format!("{told} Nothing is sent to this contact until they send START.");
            lines.extend(self.wrapped(&escape::line(&banner), 0, Tone::Doubt));
        }
        if let Some(earlier) = earlier {
            let what = match earlier.count {
                Some(count) => counted(count, "earlier message"),
                None => "Earlier messages".to_owned(),
            };
            let note = format!("{what} not shown; --all shows all, and this shows more:");
            lines.extend(self.wrapped(&note, 0, Tone::Quiet));
            lines.push(self.command(&earlier_command(thread, earlier), 2));
        }
        lines
    }

    fn title(&self, thread: &Conversation) -> String {
        let number = escape::line(thread.contact_number.as_str());
        let (dot, count) = (self.style.glyphs.dot, counted(thread.message_count, "message"));
        let fixed = columns(&number) + count.len() + SHOWN_SUFFIX + 3 * (columns(dot) + 2);
        let room = self.width.saturating_sub(fixed);
        let contact = match &thread.contact_name {
            Some(name) if room >= LEAST_NAME => {
                let name = escape::line(name);
                format!("{} {dot} {number}", cut(&name, room, self.style.glyphs.cut))
            }
            _ => number,
        };
        let id = thread.id.to_string();
        let whole = columns(&contact) + count.len() + id.len() + 2 * (columns(dot) + 2);
        let id = if whole <= self.width { &id } else { &id[id.len() - SHOWN_SUFFIX..] };
        let contact = Tone::Strong.paint(&contact, self.style.color);
        let rest = format!(" {dot} {count} {dot} {id}");
        format!("{contact}{}", Tone::Quiet.paint(&rest, self.style.color))
    }

    /// The lines of one message, preceded by the headings that are due.
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
        if message.history.is_some()
            && let Some(answered) = message.in_reply_to
        {
            lines.extend(self.wrapped(&format!("in reply to {answered}"), INDENT, Tone::Quiet));
        }
        lines.extend(message.history.iter().flatten().flat_map(|report| self.report(report)));
        if message.recovered && message.history.is_some() {
            lines.extend(self.wrapped("recovered: no webhook brought it", INDENT, Tone::Quiet));
        }
        lines
    }

    /// One line that says which status a message above has got, with the beginning of its text.
    pub(super) fn change(&self, message: &Message, at: Timestamp) -> Vec<String> {
        let Some(phrase) = status::phrase(message, &self.style) else { return Vec::new() };
        let room = self.width.saturating_sub(INDENT);
        let phrase = cut(&phrase, room, self.style.glyphs.cut);
        let text = escape::line(&message.body);
        let text = cut(&text, room.saturating_sub(columns(&phrase) + 2), self.style.glyphs.cut);
        let color = self.style.color;
        let phrase = status::tone(message.status).paint(&phrase, color);
        let line = format!("{}{phrase}  {}", self.margin(at), Tone::Quiet.paint(&text, color));
        vec![line.trim_end().to_owned()]
    }

    /// What happened to the conversation.
    pub(super) fn notice(&self, words: &str, at: Timestamp) -> Vec<String> {
        let mut lines = self.wrapped(words, INDENT, Tone::Doubt);
        if let Some(first) = lines.first_mut() {
            *first = format!("{}{}", self.margin(at), first.trim_start());
        }
        lines
    }

    /// The time of something that is not a message, as wide as the indent.
    fn margin(&self, at: Timestamp) -> String {
        let clock = Tone::Quiet.paint(&self.style.zone.clock(at), self.style.color);
        format!("  {clock}   ")
    }

    /// A remark of the program.
    pub(super) fn note(&self, note: &str) -> Vec<String> {
        escape::lines(note).flat_map(|line| self.wrapped(&line, 2, Tone::Quiet)).collect()
    }

    /// One entry of a message's history, in the words of the report.
    fn report(&self, report: &StatusReport) -> Vec<String> {
        let when = self.style.zone.day_and_clock(report.occurred_at);
        let whom = report.recipient.as_deref().map(|whom| format!(" {whom}"));
        let error = report.error.as_ref().map(|error| format!(": {error}"));
        let (whom, error) = (whom.unwrap_or_default(), error.unwrap_or_default());
        let line = escape::line(&format!("{when} {}{whom}{error}", report.status));
        self.wrapped(&line, INDENT, Tone::Quiet)
    }

    fn text(&self, message: &Message) -> Vec<String> {
        match (message.body.is_empty(), message.media.is_empty()) {
            (true, true) => self.wrapped("(no text)", INDENT, Tone::Quiet),
            (true, false) => Vec::new(),
            (false, _) => escape::lines(&message.body)
                .flat_map(|line| self.wrapped(&line, INDENT, Tone::Plain))
                .collect(),
        }
    }

    fn day_heading(&mut self, message: &Message) -> Vec<String> {
        let zone = self.style.zone;
        let day = zone.day(message.created_at);
        if self.day.replace(day) == Some(day) {
            return Vec::new();
        }
        vec![String::new(), Tone::Strong.paint(&zone.heading(day), self.style.color)]
    }

    /// The legend of the arrows. Several own numbers may share a conversation: the legend is repeated
    /// when the number in use changes.
    fn who(&mut self, message: &Message) -> Vec<String> {
        let (contact, own) = match message.direction {
            Direction::Inbound => (&message.from, &message.to),
            Direction::Outbound => (&message.to, &message.from),
        };
        let own = escape::line(own.as_str());
        if self.own.replace(own.clone()).as_ref() == Some(&own) {
            return Vec::new();
        }
        let arrow = |direction| self.style.glyphs.arrow(direction);
        let (theirs, ours) = (arrow(Direction::Inbound), arrow(Direction::Outbound));
        let contact = escape::line(contact.as_str());
        let line = format!("{theirs} {contact}   {ours} us ({own})");
        self.wrapped(&line, 2, Tone::Quiet)
    }

    /// `  14:30 → `, as wide as the indent.
    fn lead(&self, message: &Message) -> String {
        let clock = Tone::Quiet.paint(&self.style.zone.clock(message.created_at), self.style.color);
        let tone = match message.direction {
            Direction::Inbound => Tone::Plain,
            Direction::Outbound => Tone::Own,
        };
        let arrow = tone.paint(self.style.glyphs.arrow(message.direction), self.style.color);
        format!("  {clock} {arrow} ")
    }

    /// Puts the status at the right edge of the last line if there is room, else below it; always
    /// below when an error or advice follows.
    fn append_status(&self, lines: &mut Vec<String>, message: &Message) {
        let Some(phrase) = status::phrase(message, &self.style) else { return };
        let tone = status::tone(message.status);
        let used = lines.last().map_or(0, |line| plain_columns(line));
        let gap = self.width.saturating_sub(used + columns(&phrase));
        match lines.last_mut() {
            Some(last) if gap >= 2 && message.error.is_none() && advice(message).is_none() => {
                last.push_str(&" ".repeat(gap));
                last.push_str(&tone.paint(&phrase, self.style.color));
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

    /// A command to paste, never broken across lines.
    fn command(&self, command: &str, indent: usize) -> String {
        let command = self.style.target.add_to(command);
        format!("{}{}", " ".repeat(indent), Tone::Quiet.paint(&command, self.style.color))
    }

    /// A file as a link that can be followed: never cut, never broken. Its type and size follow on
    /// the same line, or below where there is no room.
    fn link(&self, media: &Media) -> Vec<String> {
        let url = format!("{}{}", " ".repeat(INDENT), escape::line(&media.url));
        let kind = media.content_type.as_deref().map(escape::line);
        let state = media.state.map(|state| state.as_str().replace('_', " "));
        let facts: Vec<_> = kind.into_iter().chain(media.size.map(bytes)).chain(state).collect();
        if facts.is_empty() {
            return vec![url];
        }
        let facts = format!("({})", facts.join(", "));
        if columns(&url) + 1 + columns(&facts) > self.width {
            let below = self.wrapped(&facts, INDENT, Tone::Quiet);
            return std::iter::once(url).chain(below).collect();
        }
        vec![format!("{url} {}", Tone::Quiet.paint(&facts, self.style.color))]
    }

    /// Wraps one line of escaped text to the width, indented and coloured; at least one line.
    fn wrapped(&self, line: &str, indent: usize, tone: Tone) -> Vec<String> {
        let blanks = " ".repeat(indent);
        let indented = |part: &str| format!("{blanks}{}", tone.paint(part, self.style.color));
        wrap(line, self.width.saturating_sub(indent).max(1))
            .iter()
            .map(|part| if part.is_empty() { String::new() } else { indented(part) })
            .collect()
    }
}

/// The command that shows the earlier messages. A sender that is not a number is untrusted text and
/// must not become part of a command, so the conversation's id is used instead.
fn earlier_command(thread: &Conversation, earlier: &Earlier) -> String {
    let contact = thread.contact_number.as_str();
    let is_number = contact
        .strip_prefix('+')
        .is_some_and(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()));
    let id = thread.id.to_string();
    let name = if is_number { contact } else { &id };
    let limit = earlier.limit.map(|limit| format!(" --limit {limit}")).unwrap_or_default();
    let start = match earlier.start {
        None => String::new(),
        Some(Place::Time(time)) => format!(" --since {time}"),
        Some(Place::Message(id)) => format!(" --after {id}"),
    };
    format!("convo show {name}{limit}{start} --before {}", earlier.before)
}

/// The lines before the text: the other participants, the subject.
fn notes(message: &Message) -> Vec<String> {
    let group = (!message.cc.is_empty())
        .then(|| format!("to the group with {}", escape::line(&message.cc.join(", "))));
    let subject =
        message.subject.as_ref().map(|subject| format!("Subject: {}", escape::line(subject)));
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
