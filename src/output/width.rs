//! Measuring the width of text, and cutting and wrapping it to fit.
//!
//! Terminals disagree about emoji: one draws 👍🏽 in two columns, another its two parts in four, and
//! a line that is a column too long spoils the screen. A grapheme is therefore measured as the
//! widest of them shows it: its parts side by side. The price is a line that is sometimes cut a
//! column early. A grapheme is never cut or broken.

use std::borrow::Cow;

use textwrap::WordSeparator;
use textwrap::core::Word;
use textwrap::wrap_algorithms::wrap_first_fit;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The most columns that an escaped text (see [`escape`](super::escape)) takes.
#[must_use]
pub fn columns(shown: &str) -> usize {
    if shown.is_ascii() { shown.len() } else { shown.graphemes(true).map(grapheme).sum() }
}

fn grapheme(grapheme: &str) -> usize {
    let parts = grapheme.chars().map(|c| c.width().unwrap_or(0)).sum();
    grapheme.width().max(parts)
}

/// A text cut to `width` columns, with `mark` in place of the rest.
#[must_use]
pub fn cut<'a>(shown: &'a str, width: usize, mark: &str) -> Cow<'a, str> {
    if columns(shown) <= width {
        return Cow::Borrowed(shown);
    }
    let room = width.saturating_sub(columns(mark));
    let kept = shown[..fitting(shown, room)].trim_end();
    if columns(mark) > width { Cow::Borrowed(kept) } else { Cow::Owned(format!("{kept}{mark}")) }
}

/// How many bytes of a text fit into `room` columns, whole graphemes only.
fn fitting(shown: &str, room: usize) -> usize {
    let mut used = 0;
    let too_wide = |(_, part): &(usize, &str)| {
        used += grapheme(part);
        used > room
    };
    shown.grapheme_indices(true).find(too_wide).map_or(shown.len(), |(at, _)| at)
}

/// Wraps one line of text to lines of at most `width` columns; at least one. Lines break where the
/// script allows it, and inside a word only if the word is wider than a line.
#[must_use]
pub fn wrap(shown: &str, width: usize) -> Vec<String> {
    if shown.is_ascii() && shown.len() <= width {
        return vec![shown.trim_end().to_owned()];
    }
    let words = WordSeparator::AsciiSpace.find_words(shown).flat_map(breakable);
    let words: Vec<_> = words.flat_map(|word| pieces(word, width)).collect();
    let lines = wrap_first_fit(&words, &[width as f64]);
    lines.into_iter().map(join).collect()
}

/// The parts of a word between which a line may break. A link stays whole while it fits, so that it
/// can be followed.
fn breakable(word: Word<'_>) -> Vec<Word<'_>> {
    if word.word.contains("://") {
        return vec![word];
    }
    let mut parts: Vec<_> = WordSeparator::UnicodeBreakProperties.find_words(word.word).collect();
    match parts.last_mut() {
        Some(last) => last.whitespace = word.whitespace,
        None => parts.push(word),
    }
    parts
}

/// A word split into pieces that fit, by this module's own measure.
fn pieces(word: Word<'_>, width: usize) -> Vec<Word<'_>> {
    let mut rest = word.word;
    let mut pieces = Vec::new();
    while columns(rest) > width {
        // Each line takes at least one grapheme, even where none fits.
        let first = rest.graphemes(true).next().map_or(0, str::len);
        let (piece, after) = rest.split_at(fitting(rest, width).max(first));
        pieces.push(Word { word: piece, width: columns(piece), whitespace: "", penalty: "" });
        rest = after;
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(Word { word: rest, width: columns(rest), ..word });
    }
    pieces
}

/// Joins the words of a line, without trailing blanks.
fn join(words: &[Word<'_>]) -> String {
    let mut line = String::new();
    for word in words {
        line.push_str(word.word);
        line.push_str(word.whitespace);
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::super::escape;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_is_as_wide_as_the_widest_terminal_shows_it() {
        for (text, width) in [
            ("", 0),
            ("plain", 5),
            ("日本語", 6),
            ("ﾊﾝｶｸ", 4),
            ("한국어", 6),
            ("\u{1112}\u{1161}\u{11ab}", 2),
            ("e\u{301}", 1),
            ("❤", 1),
            ("⚡", 2),
            ("😀", 2),
            ("👍🏽", 4),
            ("🇩🇪🇫🇷", 4),
            ("👩👩👧", 6),
            ("שלום", 4),
            ("क्षि", 3),
        ] {
            assert_eq!(columns(text), width, "{text}");
        }
    }

    #[test]
    fn cutting_keeps_graphemes_whole() {
        for (text, width, kept) in [
            ("hello", 5, "hello"),
            ("hello", 4, "hel…"),
            ("hi there", 4, "hi…"),
            ("日本語です", 6, "日本…"),
            ("日本語です", 10, "日本語です"),
            ("ne\u{301}e\u{301}s", 3, "ne\u{301}…"),
            ("🇩🇪🇫🇷", 3, "🇩🇪…"),
            ("🇩🇪🇫🇷", 2, "…"),
            ("👍🏽!", 4, "…"),
            ("a👍🏽!", 6, "a👍🏽!"),
            ("x", 0, ""),
        ] {
            assert_eq!(cut(text, width, "…"), kept, "{text} in {width}");
        }
        assert_eq!(cut("hello there", 8, "..."), "hello...");
        assert_eq!(cut("hello", 2, "..."), "");
    }

    #[test]
    fn wrapping_parts_words_and_never_graphemes() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("see https://a.com/b", 15), ["see", "https://a.com/b"]);
        assert_eq!(wrap("see https://a.com/b", 10), ["see", "https://a.", "com/b"]);
        assert_eq!(wrap("one  two   three", 10), ["one  two", "three"]);
        assert_eq!(wrap("日本語です", 5), ["日本", "語で", "す"]);
        assert_eq!(wrap("🇩🇪🇫🇷🇮🇹", 5), ["🇩🇪🇫🇷", "🇮🇹"]);
        assert_eq!(wrap("👍🏽👍🏽", 2), ["👍🏽", "👍🏽"]);
        assert_eq!(wrap("  indented", 20), ["  indented"]);
        assert_eq!(wrap("", 20), [""]);
    }

    proptest! {
        #[test]
        fn what_is_cut_or_wrapped_fits_and_is_complete(text in "\\PC{0,40}", width in 4_usize..30) {
            let shown = escape::line(&text);
            prop_assert!(columns(&cut(&shown, width, "…")) <= width);
            let lines = wrap(&shown, width);
            for line in &lines {
                prop_assert!(columns(line) <= width || line.graphemes(true).count() == 1, "{line:?}");
            }
            let letters = |text: &str| text.replace(char::is_whitespace, "");
            prop_assert_eq!(letters(&lines.concat()), letters(&shown));
        }
    }
}
