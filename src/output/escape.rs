//! Escapes untrusted text, so that a terminal shows it and never acts on it.
//!
//! Two sets of characters matter. Those that *drive* a terminal (controls, bidi marks, line and
//! paragraph separators) are escaped wherever convo prints, also in records. Those that are merely
//! *invisible* are made visible for people only; in records they are part of the text.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

use super::joiners;

/// The most combining marks after one letter. No script needs more, and a taller stack paints over
/// the neighbouring lines.
const MOST_MARKS: usize = 4;

/// Whether a terminal acts on the character, or reorders the text around it.
#[must_use]
pub fn drives(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a text is printable ASCII alone, as most are: nothing in it drives a terminal.
pub(super) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Whether the character takes no space on a screen.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

fn is_pictograph(c: char) -> bool {
    matches!(c, '\u{2190}'..='\u{2bff}' | '\u{fe0f}' | '\u{1f000}'..='\u{1faff}')
}

/// The text as one line for a screen: line breaks become `\n`, driving and invisible characters
/// `\u{…}`.
///
/// Those that belong to the spelling of a word or flag (see `joiners.rs`) are kept. The joiners and
/// variation selectors of other emoji are left out instead: terminals disagree on their width, and
/// every part of the emoji still shows without them.
#[must_use]
pub fn line(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    let mut marks = MOST_MARKS;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let after = &text[at + c.len_utf8()..];
        let joins = c == '\u{200d}' && after.chars().next().is_some_and(is_pictograph);
        if is_emoji_detail(before, c, joins) {
            before = c;
            continue;
        }
        if is_invisible(c) && joiners::is_spelling(&text[..at], c, after) {
            shown.push(c);
            before = c;
            continue;
        }
        let is_mark = !is_invisible(c) && c.width() == Some(0);
        marks = if is_mark { marks + 1 } else { 0 };
        if drives(c) || is_invisible(c) || marks > MOST_MARKS {
            push_escaped(&mut shown, c);
        } else {
            shown.push(c);
        }
        before = c;
    }
    shown
}

fn is_emoji_detail(before: char, c: char, joins: bool) -> bool {
    let selects = matches!(c, '\u{fe0e}' | '\u{fe0f}') && !before.is_whitespace();
    selects || (joins && is_pictograph(before))
}

/// The lines of a text for a screen. Lines end at `\n` or `\r\n`; all else is as in [`line()`].
pub fn lines(text: &str) -> impl Iterator<Item = String> {
    text.split('\n').map(|part| line(part.strip_suffix('\r').unwrap_or(part)))
}

/// A field of a TAB-separated record. Lossless: backslash, TAB, LF and CR become `\\`, `\t`, `\n` and
/// `\r`, any other character that would drive a terminal `\u{hex}`.
#[must_use]
pub fn field(text: &str) -> Cow<'_, str> {
    let acts = |c: char| c == '\\' || drives(c);
    if (is_plain(text) && !text.contains('\\')) || !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if acts(c) {
            push_escaped(&mut escaped, c);
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// A field of a CSV file. Line breaks and TABs stay (CSV quotes them), anything else that would
/// drive a terminal is escaped as in [`field`]; a field that a spreadsheet would take for a formula
/// gets an apostrophe in front. A phone number does not: a spreadsheet takes it for a number.
#[must_use]
pub fn cell(text: &str) -> Cow<'_, str> {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'])
        && !is_number(text);
    let acts = |c: char| drives(c) && !matches!(c, '\n' | '\t');
    if !formula && (is_plain(text) || !text.contains(acts)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::from(if formula { "'" } else { "" });
    for c in text.chars() {
        if acts(c) {
            push_escaped(&mut shown, c);
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Whether a text is a count, or a phone number in E.164, and nothing more.
pub(super) fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+');
    let is_short_enough =
        digits.is_none_or(|digits| digits.len() <= 15 && !digits.starts_with('0'));
    let digits = digits.unwrap_or(text);
    is_short_enough && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Appends one character as an escape sequence.
fn push_escaped(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        '\\' => out.push_str("\\\\"),
        _ => out.extend(c.escape_unicode()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_would_act_is_shown() {
        for (text, shown) in [
            ("\x1b[31mred\x1b[0m", "\\u{1b}[31mred\\u{1b}[0m"),
            ("\x1b]52;c;aGk=\x07", "\\u{1b}]52;c;aGk=\\u{7}"),
            ("a\rb\tc\nd", "a\\rb\\tc\\nd"),
            ("\u{9b}2J\u{7f}", "\\u{9b}2J\\u{7f}"),
            ("abc\u{202e}fed", "abc\\u{202e}fed"),
            ("pay\u{200b}pal\u{feff}", "pay\\u{200b}pal\\u{feff}"),
            ("a\u{2028}b\u{e0041}", "a\\u{2028}b\\u{e0041}"),
            ("می\u{200c}خواهم", "می\u{200c}خواهم"),
            ("pay\u{200c}pal", "pay\\u{200c}pal"),
            ("plain \\ text", "plain \\ text"),
        ] {
            assert_eq!(line(text), shown);
        }
    }

    #[test]
    fn emoji_stay_emoji() {
        assert_eq!(line("❤\u{fe0f}!"), "❤!");
        assert_eq!(line("👩\u{200d}🚀"), "👩🚀");
        assert_eq!(line("👩\u{1f3fd}\u{200d}❤\u{fe0f}\u{200d}👨"), "👩\u{1f3fd}❤👨");
        assert_eq!(line("a\u{200d}b \u{fe0f}"), "a\\u{200d}b \\u{fe0f}");
    }

    #[test]
    fn marks_pile_up_only_so_high() {
        assert_eq!(line("e\u{301}"), "e\u{301}");
        assert_eq!(line("\u{301}e"), "\\u{301}e");
        let pile = format!("z{}", "\u{301}".repeat(6));
        assert_eq!(line(&pile), format!("z{}\\u{{301}}\\u{{301}}", "\u{301}".repeat(4)));
    }

    #[test]
    fn lines_part_where_the_writer_parted_them() {
        let shown: Vec<_> = lines("one\r\ntwo\n\nfour\rfive").collect();
        assert_eq!(shown, ["one", "two", "", "four\\rfive"]);
    }

    #[test]
    fn spreadsheets_see_no_formulas() {
        for (text, kept) in [
            ("=1+1", "'=1+1"),
            ("+12125551234", "+12125551234"),
            ("+1212555123 4", "'+1212555123 4"),
            ("-5", "'-5"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "'\tx"),
            ("\rx", "'\\rx"),
            ("a=b\nc", "a=b\nc"),
            ("a\x1bb", "a\\u{1b}b"),
        ] {
            assert_eq!(cell(text), kept);
        }
    }

    /// Undoes [`field`], as a script would.
    fn unescape(field: &str) -> String {
        let mut text = String::new();
        let mut rest = field.chars();
        while let Some(c) = rest.next() {
            match (c, if c == '\\' { rest.next() } else { None }) {
                (_, Some('t')) => text.push('\t'),
                (_, Some('n')) => text.push('\n'),
                (_, Some('r')) => text.push('\r'),
                (_, Some('u')) => {
                    let hex: String = rest.by_ref().skip(1).take_while(|c| *c != '}').collect();
                    let code = u32::from_str_radix(&hex, 16).expect("hexadecimal");
                    text.push(char::from_u32(code).expect("a character"));
                }
                (_, Some(other)) => text.push(other),
                (plain, None) => text.push(plain),
            }
        }
        text
    }

    proptest! {
        #[test]
        fn no_text_drives_a_screen(text in any::<String>()) {
            let shown = line(&text);
            prop_assert!(!shown.contains(drives), "{shown:?}");
            for (at, c) in shown.char_indices().filter(|(_, c)| is_invisible(*c)) {
                let after = &shown[at + c.len_utf8()..];
                prop_assert!(joiners::is_spelling(&shown[..at], c, after), "{shown:?}");
            }
        }

        #[test]
        fn a_field_is_one_field_and_loses_nothing(text in "[\\\\\t\r\na\u{0}-\u{ff}\u{2000}-\u{2070}]{0,30}") {
            let escaped = field(&text);
            prop_assert!(!escaped.contains(drives), "{escaped:?}");
            prop_assert_eq!(unescape(&escaped), text);
        }
    }
}
