//! Invisible characters that are part of how a word or an emoji is written.
//!
//! The rules follow Unicode: joiners in the contexts of UAX #31, section 2.3; tags in the sequences
//! of UTS #51, section 1.4.9; variation selectors after the bases that have variation sequences.
//! The same characters anywhere else hide something.

use icu_properties::CodePointMapData;
use icu_properties::props::{CanonicalCombiningClass, GeneralCategory, JoiningType, Script};

/// Zero width non-joiner.
const ZWNJ: char = '\u{200c}';
/// Zero width joiner.
const ZWJ: char = '\u{200d}';
/// Zero width space, between words of scripts that are written without spaces.
const ZWSP: char = '\u{200b}';
/// The base of a tag sequence: the flag of a part of a country.
const BLACK_FLAG: char = '\u{1f3f4}';
const CANCEL_TAG: char = '\u{e007f}';
/// Combining marks that may stand between a letter and a joiner; more are not a word.
const MOST_MARKS: usize = 4;
/// Tags of one flag: `gbeng`, at most six letters and digits.
const MOST_TAGS: usize = 6;

/// Whether the invisible character at a place in a text is part of its spelling: `before` is the
/// text that precedes it, `after` the text that follows it.
pub(super) fn is_spelling(before: &str, c: char, after: &str) -> bool {
    match c {
        ZWNJ | ZWJ => joins(before, after),
        ZWSP => last(before).is_some_and(is_unspaced) && next(after).is_some_and(is_unspaced),
        '\u{e0020}'..=CANCEL_TAG => is_tag(before, c, after),
        '\u{180b}'..='\u{180d}' | '\u{180f}' => ends_with_script(before, Script::Mongolian),
        '\u{180e}' => {
            ends_with_script(before, Script::Mongolian)
                && next(after).is_some_and(|c| script(c) == Script::Mongolian)
        }
        '\u{fe00}'..='\u{fe02}' | '\u{e0100}'..='\u{e01ef}' => {
            ends_with_script(before, Script::Han)
        }
        _ => false,
    }
}

/// A joiner beside a virama, or between two letters that join.
fn joins(before: &str, after: &str) -> bool {
    let (Some(left), Some(right)) = (before.chars().next_back(), after.chars().next()) else {
        // A half form may end a word: Malayalam writes its chillu letters so.
        return before.chars().next_back().is_some_and(is_virama);
    };
    if is_virama(left) {
        return true;
    }
    if is_virama(right) {
        return last(before).is_some_and(char::is_alphabetic);
    }
    last(before).is_some_and(is_joining) && next(after).is_some_and(is_joining)
}

/// A tag within a whole sequence: the flag, one to six tags, the end.
fn is_tag(before: &str, c: char, after: &str) -> bool {
    let is_letter = |c: &char| matches!(c, '\u{e0030}'..='\u{e0039}' | '\u{e0061}'..='\u{e007a}');
    let preceding = before.chars().rev().take_while(is_letter).take(MOST_TAGS + 1).count();
    let base = before.chars().rev().nth(preceding);
    if base != Some(BLACK_FLAG) || preceding > MOST_TAGS {
        return false;
    }
    if c == CANCEL_TAG {
        return preceding > 0;
    }
    let following = after.chars().take_while(is_letter).take(MOST_TAGS + 1).count();
    let total = preceding + 1 + following;
    is_letter(&c) && total <= MOST_TAGS && after.chars().nth(following) == Some(CANCEL_TAG)
}

/// The last character before a place that is not a combining mark.
fn last(before: &str) -> Option<char> {
    before.chars().rev().take(MOST_MARKS + 1).find(|c| !is_mark(*c))
}

/// The first character after a place that is not a combining mark.
fn next(after: &str) -> Option<char> {
    after.chars().take(MOST_MARKS + 1).find(|c| !is_mark(*c))
}

fn is_mark(c: char) -> bool {
    matches!(
        CodePointMapData::<GeneralCategory>::new().get(c),
        GeneralCategory::NonspacingMark | GeneralCategory::SpacingMark
    )
}

fn is_virama(c: char) -> bool {
    CodePointMapData::<CanonicalCombiningClass>::new().get(c) == CanonicalCombiningClass::Virama
}

/// Whether the letter joins its neighbours, as in Arabic.
fn is_joining(c: char) -> bool {
    matches!(
        CodePointMapData::<JoiningType>::new().get(c),
        JoiningType::DualJoining | JoiningType::LeftJoining | JoiningType::RightJoining
    )
}

/// Whether the letter's script puts no spaces between words.
fn is_unspaced(c: char) -> bool {
    matches!(script(c), Script::Khmer | Script::Lao | Script::Myanmar | Script::Thai)
}

fn ends_with_script(before: &str, wanted: Script) -> bool {
    before.chars().next_back().is_some_and(|c| script(c) == wanted)
}

fn script(c: char) -> Script {
    CodePointMapData::<Script>::new().get(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether every invisible character of a text is part of its spelling.
    fn is_spelled(text: &str) -> bool {
        text.char_indices()
            .filter(|(_, c)| super::super::escape::is_invisible(*c))
            .all(|(at, c)| is_spelling(&text[..at], c, &text[at + c.len_utf8()..]))
    }

    #[test]
    fn words_and_flags_are_spelled_with_them() {
        for text in [
            "می\u{200c}خواهم",
            "خانه\u{200c}هایِ\u{200c}ما",
            "आ\u{200d}\u{94d}य",
            "गर\u{94d}\u{200d}यो",
            "क\u{94d}\u{200c}ष",
            "ন\u{9cd}\u{200d}",
            "র\u{200d}\u{9cd}যাব",
            "ශ\u{dca}\u{200d}රී ලංකා",
            "ന\u{d4d}\u{200d} നല്ല",
            "ខ្ញុំ\u{200b}ទៅ",
            "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
            "葛\u{e0100}飾区",
            "ᠮᠣᠩᠭᠣᠯ\u{180e}ᠠ",
        ] {
            assert!(is_spelled(text), "{}", text.escape_unicode());
        }
    }

    #[test]
    fn anywhere_else_they_hide_something() {
        for text in [
            "pay\u{200c}pal",
            "pay\u{200d}pal",
            "pay\u{200b}pal",
            "\u{200c}می",
            "می\u{200c}",
            "می\u{200c}\u{200c}خواهم",
            "می\u{200c} خواهم",
            "می\u{200c}a",
            "a\u{e0067}\u{e007f}",
            "\u{1f3f4}\u{e0067}\u{e0062}",
            "\u{1f3f4}\u{e007f}",
            "\u{1f3f4}\u{e0041}\u{e007f}",
            "\u{1f3f4}\u{e0061}\u{e0061}\u{e0061}\u{e0061}\u{e0061}\u{e0061}\u{e0061}\u{e007f}",
            "a\u{e0100}",
            "5\u{200d}5",
            "!\u{200d}\u{94d}",
        ] {
            assert!(!is_spelled(text), "{}", text.escape_unicode());
        }
    }
}
