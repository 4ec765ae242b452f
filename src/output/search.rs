//! The list of messages that were found.

use std::io::{self, Write};

use unicode_segmentation::UnicodeSegmentation;

use super::pages::{ClosingTexts, PageTable, Pages};
use super::tone::Tone;
use super::width::{columns, cut};
use super::{Style, escape, status};
use crate::domain::{SearchHit, Snippet};

/// The widths of the columns before the text, of which the status goes first if there is no room.
const WHEN: usize = 11;
const CONTACT: usize = 13;
const STATUS: usize = 11;
/// Blanks between two columns.
const GAP: usize = 2;
/// The least room for the text beside the status.
const ENOUGH_TEXT: usize = 30;
/// The least room for the text at all.
const LEAST_TEXT: usize = 8;

const TEXTS: ClosingTexts = ClosingTexts {
    empty: "No message matches.",
    more: "Only the newest are shown; --all shows every message.",
};

/// Prints messages that were found.
pub type SearchResults<'a, W> = Pages<'a, W, HitTable>;

/// A table of messages that were found.
#[derive(Debug, Default)]
pub struct HitTable {
    headed: bool,
}

impl<'a, W: Write> SearchResults<'a, W> {
    /// A printer for the results of one search.
    pub fn new(out: &'a mut W, style: &Style) -> Self {
        Self::with_texts(TEXTS, out, style)
    }
}

impl PageTable for HitTable {
    type Row = SearchHit;

    fn rows(&mut self, out: &mut impl Write, page: &[SearchHit], style: &Style) -> io::Result<()> {
        let (before, room) = layout(style);
        if !std::mem::replace(&mut self.headed, true) {
            let headings = ["WHEN", "CONTACT", "STATUS"].into_iter().zip(&before);
            let mut line: String = headings.map(|(text, width)| padded(text, *width)).collect();
            line.push_str("MESSAGE");
            let line = cut(&line, style.width, style.glyphs.cut);
            writeln!(out, "{}", Tone::Strong.paint(&line, style.color))?;
        }
        page.iter().try_for_each(|hit| writeln!(out, "{}", row(hit, &before, room, style)))
    }
}

/// The widths of the columns before the text, and the room for the text.
fn layout(style: &Style) -> (Vec<usize>, usize) {
    let mut before = vec![WHEN, CONTACT, STATUS];
    let room = |before: &[usize]| {
        let used: usize = before.iter().map(|width| width + GAP).sum();
        style.width.saturating_sub(used)
    };
    if room(&before) < ENOUGH_TEXT {
        before.pop();
    }
    let room = room(&before).max(LEAST_TEXT);
    (before, room)
}

fn row(hit: &SearchHit, before: &[usize], room: usize, style: &Style) -> String {
    let message = &hit.message;
    let contact = hit.contact_name.as_deref().unwrap_or(hit.contact_number.as_str());
    let cells = [
        (style.zone.ago(message.created_at, style.now), Tone::Quiet),
        (escape::line(contact), Tone::Strong),
        (status::word(message.status).to_owned(), status::tone(message.status)),
    ];
    let mut line = String::new();
    for ((text, tone), width) in cells.iter().zip(before) {
        let shown = cut(text, *width, style.glyphs.cut);
        let blanks = width.saturating_sub(columns(&shown)) + GAP;
        line.push_str(&tone.paint(&shown, style.color));
        line.extend(std::iter::repeat_n(' ', blanks));
    }
    let arrow = style.glyphs.arrow(message.direction);
    let room = room.saturating_sub(columns(arrow) + 1);
    let text = marked(&hit.snippet, room, style);
    let text = if text.is_empty() { "(no text)".to_owned() } else { text };
    format!("{line}{arrow} {text}").trim_end().to_owned()
}

fn padded(text: &str, width: usize) -> String {
    format!("{text:<width$}", width = width + GAP)
}

/// The part of a snippet with the first hit, as one line with the hits in colour.
fn marked(snippet: &Snippet, room: usize, style: &Style) -> String {
    let mut pieces = pieces(snippet);
    let first = pieces.iter().position(|(_, is_hit)| *is_hit);
    if let Some([(lead, _), (hit, _)]) =
        first.and_then(|at| pieces.get_mut(at.checked_sub(1)?..=at))
        && columns(lead) + columns(hit) + columns(style.glyphs.cut) > room
    {
        let least = columns(hit) + columns(style.glyphs.cut);
        let kept = (room / 4).min(room.saturating_sub(least));
        *lead = ending(lead, kept, style.glyphs.cut);
    }
    let (mut line, mut left) = (String::new(), room);
    for (at, (piece, is_hit)) in pieces.iter().enumerate() {
        let tone = if *is_hit { Tone::Hit } else { Tone::Plain };
        let rest: usize = pieces[at + 1..].iter().map(|(piece, _)| columns(piece)).sum();
        if columns(piece) + rest <= left {
            line.push_str(&tone.paint(piece, style.color));
            left -= columns(piece);
            continue;
        }
        // The mark for what is left out must have room, too.
        let mark = columns(style.glyphs.cut);
        if columns(piece) + mark <= left {
            line.push_str(&tone.paint(piece, style.color));
            left -= columns(piece);
        } else {
            let longer = format!("{piece}{}", " ".repeat(left + 1));
            let shown = cut(&longer, left, style.glyphs.cut).into_owned();
            line.push_str(&tone.paint(&shown, style.color));
            break;
        }
    }
    line
}

/// The end of a text that fits, after the mark for what is left out.
fn ending(text: &str, room: usize, mark: &str) -> String {
    let mut used = columns(mark);
    let fits = |(_, cluster): &(usize, &str)| {
        used += columns(cluster);
        used <= room
    };
    let start = text.grapheme_indices(true).rev().take_while(fits).last();
    match start {
        Some((start, _)) => format!("{mark}{}", &text[start..]),
        None => String::new(),
    }
}

/// The parts of a snippet that are hits and those that are not, escaped.
fn pieces(snippet: &Snippet) -> Vec<(String, bool)> {
    let places: Vec<usize> = snippet.text.char_indices().map(|(at, _)| at).collect();
    let byte = |place: usize| places.get(place).copied().unwrap_or(snippet.text.len());
    let (mut pieces, mut end) = (Vec::new(), 0);
    for [start, stop] in &snippet.marks {
        // Another server may have made them.
        let (start, stop) = (byte(*start).max(end), byte(*stop));
        if start < stop {
            pieces.push((escape::line(&snippet.text[end..start]), false));
            pieces.push((escape::line(&snippet.text[start..stop]), true));
            end = stop;
        }
    }
    pieces.push((escape::line(&snippet.text[end..]), false));
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Format;
    use super::super::escape::drives;
    use super::super::samples::{inbound, style};
    use super::*;
    use crate::domain::search::{Term, searched_text};
    use crate::domain::{MessageSearch, PhoneNumber};

    fn hit(body: &str, word: &str) -> SearchHit {
        let message = inbound(body);
        let term = Term::parse(word).expect("a word");
        let search = MessageSearch { terms: vec![term], ..MessageSearch::default() };
        let marks = search.find(&searched_text(None, body)).unwrap_or_default();
        SearchHit::new(message, PhoneNumber::from_stored("+12125551234".to_owned()), &marks)
    }

    fn printed(style: &Style, page: &[SearchHit], more: bool) -> String {
        let mut out = Vec::new();
        let mut results = SearchResults::new(&mut out, style);
        results.page(page).expect("a vector takes all");
        results.finish(more).expect("a vector takes all");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn hits_are_marked_in_colour_and_changes_no_word() {
        let page = [hit("Your invoice no. 4711 is here", "invoice")];
        let plain = printed(&style(Format::Table, 80, false), &page, true);
        let colored = printed(&style(Format::Table, 80, true), &page, true);
        assert!(colored.contains("\x1b[1m\x1b[35minvoice\x1b[0m"), "{colored:?}");
        assert_eq!(anstream::adapter::strip_str(&colored).to_string(), plain);
        assert!(plain.contains("Only the newest are shown; --all shows every message."), "{plain}");
    }

    #[test]
    fn a_narrow_window_shows_the_hit() {
        let body = format!("{}needle {}", "hay ".repeat(90), "straw ".repeat(90));
        for width in 44..=120 {
            let shown =
                printed(&style(Format::Table, width, false), &[hit(&body, "needle")], false);
            assert!(shown.contains("needle"), "{width}: {shown}");
        }
    }

    #[test]
    fn no_hits_are_said_to_a_person_only() {
        let empty = |format| printed(&style(format, 80, false), &[], false);
        assert_eq!(empty(Format::Table), "No message matches.\n");
        assert_eq!(empty(Format::Lines), "");
        assert_eq!(empty(Format::Json), "[]\n");
        assert!(empty(Format::Csv).starts_with("created_at,direction,"));
    }

    #[test]
    fn json_reads_back() {
        let page = [hit("a needle", "needle"), hit("needles", "need*")];
        let text = printed(&style(Format::Json, 80, false), &page, false);
        let back: Vec<SearchHit> = serde_json::from_str(&text).expect("an array of hits");
        assert_eq!(back, page);
    }

    proptest! {
        #[test]
        fn whatever_was_written_a_hit_is_one_harmless_line(
            body in "[a\u{0}-\u{ff}\u{2000}-\u{2070}日👍 ]{0,80}", width in 44_usize..=200, color: bool,
        ) {
            let shown = printed(&style(Format::Table, width, color), &[hit(&body, "a*")], false);
            let plain = anstream::adapter::strip_str(&shown).to_string();
            prop_assert_eq!(plain.lines().count(), 2, "{}", shown);
            for line in plain.lines() {
                prop_assert!(!line.contains(drives), "{line:?}");
                prop_assert!(columns(line) <= width, "{} > {width}: {line:?}", columns(line));
            }
        }
    }
}
