//! Searching messages: what is looked for, whether a text has it and where, and the results.

use std::fmt;
use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;
use uuid::Uuid;

use super::words::{self, Word, WordKind};
use super::{Cursor, Direction, Message, PhoneNumber, Selector, Status, Timestamp};
use crate::error::Error;

/// The most words, phrases and exclusions of a search together.
const MAX_TERMS: usize = 50;
/// The most bytes of one of them.
const MAX_TERM: usize = 1_000;
/// How many characters a snippet has, and how many of them come before the first hit.
const SNIPPET: usize = 160;
const SNIPPET_BEFORE: usize = 30;
/// The most hits that are marked in one text.
const MAX_MARKS: usize = 100;

/// Which messages to look for. A message must match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageSearch {
    /// Words and phrases that its text must have.
    pub terms: Vec<Term>,
    /// Words and phrases that it must not have.
    pub exclusions: Vec<Term>,
    /// Only messages at this time or later.
    pub since: Option<Timestamp>,
    /// Only messages before this time.
    pub until: Option<Timestamp>,
    /// Only messages with this contact, named by number or full id.
    pub contact: Option<Selector>,
    /// Only messages with one of these statuses; empty for any status.
    pub statuses: Vec<Status>,
    /// Only messages that went this way.
    pub direction: Option<Direction>,
    /// Only messages from or to this number of ours.
    pub number: Option<PhoneNumber>,
}

/// A word, a phrase or the beginning of one, as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    typed: String,
    /// What stands at which place after the first word.
    patterns: Vec<(usize, Pattern)>,
}

/// What a word of a text must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pattern {
    /// This word.
    Word(String),
    /// A word that begins so.
    Prefix(String),
}

impl Pattern {
    fn matches(&self, word: &str) -> bool {
        match self {
            Self::Word(own) => own == word,
            Self::Prefix(own) => word.starts_with(own.as_str()),
        }
    }
}

impl Term {
    /// Reads a word, a phrase if it has several words, or with `*` at its end the beginning of one.
    ///
    /// # Errors
    /// `invalid_request` if it has neither a letter nor a digit nor a symbol, or is too long.
    pub fn parse(typed: &str) -> Result<Self, Error> {
        let typed = typed.trim();
        if typed.len() > MAX_TERM {
            return Err(Error::invalid(format!(
                "a word or phrase to search for has more than {MAX_TERM} bytes"
            )));
        }
        let text = typed.trim_end_matches('*');
        let is_prefix = text.len() < typed.len();
        let patterns = match words::as_number(text) {
            Some(digits) => vec![(0, pattern(digits, is_prefix))],
            None => patterns(text, is_prefix),
        };
        if patterns.is_empty() {
            let shown: String = typed.chars().take(40).collect();
            return Err(Error::invalid(format!("'{shown}' has no word to search for"))
                .hint("a word has letters, digits or an emoji; punctuation is ignored"));
        }
        Ok(Self { typed: typed.to_owned(), patterns })
    }

    /// The places in a text where it is.
    fn find(&self, text: &IndexedText) -> Vec<Range<usize>> {
        let [(_, first), rest @ ..] = &*self.patterns else { return Vec::new() };
        let mut found = Vec::new();
        for word in text.words.iter().filter(|word| first.matches(&word.text)) {
            if word.kind == WordKind::Number && !rest.is_empty() {
                continue;
            }
            let mut end = mark_end(word, first);
            let is_whole = rest.iter().all(|(offset, pattern)| {
                let next = text.at(word.place + offset);
                let next = next.filter(|next| pattern.matches(&next.text));
                next.inspect(|next| end = mark_end(next, pattern)).is_some()
            });
            if is_whole {
                found.push(word.range.start..end);
            }
        }
        found
    }
}

/// What is marked of a word: of a pair whose first character was looked for, only that.
fn mark_end(word: &Word, pattern: &Pattern) -> usize {
    match pattern {
        Pattern::Prefix(own) if word.kind == WordKind::Pair && *own != word.text => word.head_end,
        _ => word.range.end,
    }
}

fn pattern(text: String, is_prefix: bool) -> Pattern {
    if is_prefix { Pattern::Prefix(text) } else { Pattern::Word(text) }
}

fn patterns(text: &str, is_prefix: bool) -> Vec<(usize, Pattern)> {
    let mut words = words::words(text);
    words.retain(|word| word.kind != WordKind::Number);
    let last = words.len().saturating_sub(1);
    let mut patterns = Vec::with_capacity(words.len());
    for at in 0..words.len() {
        let (word, before) = (&words[at], at.checked_sub(1).map(|at| words[at].kind));
        let own = match word.kind {
            // The pair before it has it already.
            WordKind::Last if before == Some(WordKind::Pair) => continue,
            // In a text, the character may begin a pair.
            WordKind::Last => Pattern::Prefix(word.text.clone()),
            _ => pattern(word.text.clone(), is_prefix && at == last),
        };
        patterns.push((word.place, own));
    }
    patterns
}

impl fmt::Display for Term {
    /// As part of a query: in quotes if it has spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare: String = self.typed.chars().filter(|c| *c != '"').collect();
        match bare.contains(char::is_whitespace) {
            true => write!(f, "\"{bare}\""),
            false => f.write_str(&bare),
        }
    }
}

/// Splits a query into its words and phrases, which are in quotes.
///
/// # Errors
/// As [`Term::parse`].
pub fn parse_terms(query: &str) -> Result<Vec<Term>, Error> {
    let mut terms = Vec::new();
    for (at, part) in query.split('"').enumerate() {
        let is_quoted = at % 2 == 1;
        let parts = if is_quoted { vec![part] } else { part.split_whitespace().collect() };
        for part in parts.into_iter().filter(|part| !part.trim().is_empty()) {
            terms.push(Term::parse(part)?);
        }
    }
    Ok(terms)
}

impl MessageSearch {
    /// Checks that it can be answered.
    ///
    /// # Errors
    /// `invalid_request` if there are only exclusions, or too many terms.
    pub fn check(&self) -> Result<(), Error> {
        if self.terms.is_empty() && !self.exclusions.is_empty() {
            return Err(Error::invalid("a search cannot consist of exclusions alone")
                .hint("say what the messages must have, too"));
        }
        if self.terms.len() + self.exclusions.len() > MAX_TERMS {
            return Err(Error::invalid(format!("a search has at most {MAX_TERMS} words")));
        }
        Ok(())
    }

    /// What the words of a text must have for the text to be looked at: each pattern once.
    #[must_use]
    pub fn patterns(&self) -> Vec<&Pattern> {
        let terms = self.terms.iter().flat_map(|term| &term.patterns);
        let mut patterns: Vec<_> = terms.map(|(_, pattern)| pattern).collect();
        patterns.sort();
        patterns.dedup();
        patterns
    }

    /// Whether a message that has all of the [patterns](Self::patterns) has what is looked for.
    #[must_use]
    pub fn is_simple(&self) -> bool {
        self.exclusions.is_empty() && self.terms.iter().all(|term| term.patterns.len() == 1)
    }

    /// Where a text has what is looked for, in order; `None` if it does not match.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<Vec<Range<usize>>> {
        if self.terms.is_empty() {
            return Some(Vec::new());
        }
        let text = IndexedText::new(text);
        let mut marks = Vec::new();
        for term in &self.terms {
            let found = term.find(&text);
            if found.is_empty() {
                return None;
            }
            marks.extend(found);
        }
        if self.exclusions.iter().any(|term| !term.find(&text).is_empty()) {
            return None;
        }
        Some(merged(marks))
    }

    /// Whether a message matches the filters other than those of time and contact.
    #[must_use]
    pub fn admits(&self, message: &Message) -> bool {
        self.direction.is_none_or(|direction| direction == message.direction)
            && (self.statuses.is_empty() || self.statuses.contains(&message.status))
            && self.number.as_ref().is_none_or(|number| number == message.own())
    }

    /// The search as query parameters of the API.
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let query = |terms: &[Term]| {
            let terms: Vec<_> = terms.iter().map(ToString::to_string).collect();
            Some(terms.join(" ")).filter(|query| !query.is_empty())
        };
        let statuses: Vec<_> = self.statuses.iter().map(|status| status.as_str()).collect();
        [
            ("q", query(&self.terms)),
            ("not", query(&self.exclusions)),
            ("since", self.since.map(|since| since.to_string())),
            ("until", self.until.map(|until| until.to_string())),
            ("contact", self.contact.as_ref().map(|contact| contact.as_str().to_owned())),
            ("status", Some(statuses.join(",")).filter(|words| !words.is_empty())),
            ("direction", self.direction.map(|direction| direction.to_string())),
            ("number", self.number.as_ref().map(ToString::to_string)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

/// The words of a text, which are in the order of their places, and then its numbers in groups.
struct IndexedText {
    words: Vec<Word>,
}

impl IndexedText {
    fn new(text: &str) -> Self {
        Self { words: words::words(text) }
    }

    fn at(&self, place: usize) -> Option<&Word> {
        self.words.get(place).filter(|word| word.kind != WordKind::Number)
    }
}

/// Sorted, and what overlaps or touches joined.
fn merged(mut marks: Vec<Range<usize>>) -> Vec<Range<usize>> {
    marks.sort_by_key(|mark| (mark.start, mark.end));
    let mut merged: Vec<Range<usize>> = Vec::new();
    for mark in marks {
        match merged.last_mut() {
            Some(last) if mark.start <= last.end => last.end = last.end.max(mark.end),
            _ => merged.push(mark),
        }
    }
    merged
}

/// What of a message is searched: its subject, if it has one, and its text.
#[must_use]
pub fn searched_text(subject: Option<&str>, body: &str) -> String {
    match subject.filter(|subject| !subject.is_empty()) {
        Some(subject) => format!("{subject}\n{body}"),
        None => body.to_owned(),
    }
}

/// A message that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SearchHit {
    /// The message.
    #[serde(flatten)]
    pub message: Message,
    /// The contact of its conversation.
    pub contact_number: PhoneNumber,
    /// The contact's name; null if it has none.
    #[serde(default)]
    pub contact_name: Option<String>,
    /// The part of its text with the first hits.
    pub snippet: Snippet,
}

impl SearchHit {
    /// A message in which a search has found something at some places of its searched text.
    pub(crate) fn new(
        message: Message,
        contact_number: PhoneNumber,
        marks: &[Range<usize>],
    ) -> Self {
        let text = searched_text(message.subject.as_deref(), &message.body);
        let snippet = Snippet::new(&text, marks);
        Self { snippet, message, contact_number, contact_name: None }
    }

    /// Its position in the results.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { at: self.message.created_at, id: self.message.id, until: None }
    }
}

/// A part of a text in which hits are marked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Snippet {
    /// The part; `…` stands for what was left out before or after it.
    pub text: String,
    /// Where the hits are in it: start and end of each, counted in Unicode characters.
    pub marks: Vec<[usize; 2]>,
}

impl Snippet {
    /// The part of a text around the first of some marks, which are ranges of bytes.
    #[must_use]
    pub fn new(text: &str, marks: &[Range<usize>]) -> Self {
        let first = marks.first().map_or(0, |mark| mark.start);
        let start = if text.chars().nth(SNIPPET).is_none() { 0 } else { beginning(text, first) };
        let mut snippet = if start > 0 { "…".to_owned() } else { String::new() };
        let lead = snippet.chars().count();
        let rest = &text[start..];
        let end = rest.grapheme_indices(true).nth(SNIPPET).map_or(text.len(), |(at, _)| start + at);
        snippet.push_str(&text[start..end]);
        if end < text.len() {
            snippet.push('…');
        }
        let place = |byte: usize| lead + text[start..byte.clamp(start, end)].chars().count();
        let shown = marks.iter().filter(|mark| mark.start >= start && mark.start < end);
        let marks = shown.take(MAX_MARKS).map(|mark| [place(mark.start), place(mark.end)]);
        Self { marks: marks.collect(), text: snippet }
    }
}

/// Where a snippet begins, so that a hit has some text before it: after a space, if there is one.
fn beginning(text: &str, hit: usize) -> usize {
    let before: Vec<(usize, &str)> =
        text[..hit].grapheme_indices(true).rev().take(SNIPPET_BEFORE).collect();
    let Some((earliest, _)) = before.last() else { return 0 };
    if *earliest == 0 {
        return 0;
    }
    let spaces = before.iter().rev().filter(|(_, cluster)| cluster.trim().is_empty());
    spaces.map(|(at, cluster)| at + cluster.len()).next().unwrap_or(*earliest)
}

/// The header of the API with the time before which messages may be missing.
pub const INCOMPLETE_BEFORE: &str = "search-incomplete-before";

/// A page of search results, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchPage {
    /// The messages found; there may be fewer than asked for, even none, although more pages follow.
    pub hits: Vec<SearchHit>,
    /// The position after which the next page begins; `None` after the last page.
    pub next: Option<Cursor>,
    /// Set while the index is being built: messages that were stored before this time may be missing.
    pub incomplete_before: Option<Timestamp>,
}

/// The time in a message's id, which is when it was stored.
pub(crate) fn stored_at(id: Uuid) -> Timestamp {
    let millis = i64::try_from(id.as_u128() >> 80).unwrap_or(i64::MAX / 1_000);
    Timestamp::from_micros(millis.saturating_mul(1_000))
}

#[cfg(test)]
mod tests;
