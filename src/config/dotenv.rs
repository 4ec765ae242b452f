//! The format of files of settings: one `NAME=value` a line, as shells, systemd and Docker have it.
//!
//! dotenvy reads each line: a value may be in single quotes, which keep everything as it is, or in double
//! quotes, in which `\` escapes. Outside single quotes, `$NAME` and `${NAME}` refer to an earlier line of
//! the same file, and to nothing else: a file must not be able to put somebody's secret into an address.
//!
//! The file may belong to other programs, too. Their lines need not make sense.

use std::collections::HashMap;

use super::variables::is_ours;

/// A line that cannot be read, with what is wrong with it. The line itself may hold a secret.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    /// Counted from 1; 0 for the file as a whole.
    pub line: usize,
    pub why: &'static str,
    pub hint: &'static str,
}

/// What is wrong, and what to do.
type Reason = (&'static str, &'static str);

const NOT_ASSIGNED: Reason =
    ("is not NAME=value", "write the name, =, and the value; quote a value that contains spaces");
const SYNTAX: Reason =
    ("is not NAME=value", "put a value that contains spaces, quotes or \\ in single quotes");
const NOT_UTF8: Reason = ("is not UTF-8", "save the file as UTF-8");
const UNKNOWN_NAME: Reason = (
    "has $ before a name that is not set earlier in this file",
    "put the value in single quotes to keep the $ as it is",
);

/// The values of our variables.
pub(super) fn parse(bytes: &[u8]) -> Result<HashMap<String, String>, Malformed> {
    let text = decode(bytes)?;
    let mut ours = HashMap::new();
    let mut all = HashMap::new();
    for (number, line) in (1..).zip(lines(&text)) {
        let Some(name) = name_on(line) else { continue };
        let known = is_ours(&name);
        match value_on(line, &all) {
            Ok(value) => {
                if known && !value.is_empty() {
                    ours.insert(name.clone(), value.clone());
                }
                all.insert(name, value);
            }
            Err((why, hint)) if known => return Err(Malformed { line: number, why, hint }),
            Err(_) => {}
        }
    }
    Ok(ours)
}

/// The bytes of the text without a byte order mark. Windows writes UTF-16.
fn decode(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let whole = |(why, hint)| Malformed { line: 0, why, hint };
    let units = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<_> = rest.as_chunks::<2>().0.iter().map(|pair| unit(*pair)).collect();
        String::from_utf16(&units).map(String::into_bytes).map_err(|_| whole(NOT_UTF8))
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => Ok(rest.to_vec()),
        [0xff, 0xfe, rest @ ..] => units(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => units(rest, u16::from_be_bytes),
        [_, 0, ..] => units(bytes, u16::from_le_bytes),
        [0, _, ..] => units(bytes, u16::from_be_bytes),
        bytes if bytes.contains(&0) => Err(whole(NOT_UTF8)),
        bytes => Ok(bytes.to_vec()),
    }
}

/// The lines, which may end as on any system.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut previous = 0;
    let is_end = move |byte: &u8| {
        let is_second_half = previous == b'\r' && *byte == b'\n';
        previous = *byte;
        matches!(byte, b'\n' | b'\r') && !is_second_half
    };
    text.split(is_end)
}

/// The name that a line assigns to; `None` for a comment or an empty line.
fn name_on(line: &[u8]) -> Option<String> {
    let line = line.trim_ascii();
    let exported = line.strip_prefix(b"export").filter(|rest| rest.starts_with(b" "));
    let line = exported.unwrap_or(line).trim_ascii_start();
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let end = line.iter().position(|byte| !is_of_name(byte)).unwrap_or(line.len());
    (end > 0).then(|| String::from_utf8_lossy(&line[..end]).into_owned())
}

/// As [`name_on`], of a line of text.
pub(super) fn assigned_name(line: &str) -> Option<String> {
    name_on(line.as_bytes())
}

/// The value that a line assigns.
fn value_on(line: &[u8], earlier: &HashMap<String, String>) -> Result<String, Reason> {
    let line = str::from_utf8(line).map_err(|_| NOT_UTF8)?;
    if !line.contains('=') {
        return Err(NOT_ASSIGNED);
    }
    // At the end of a text without a line end, dotenvy refuses trailing blanks.
    let resolved = resolve(line, earlier)? + "\n";
    let mut read = dotenvy::from_read_iter(resolved.as_bytes());
    let (_, value) = read.next().and_then(Result::ok).ok_or(SYNTAX)?;
    Ok(value)
}

/// Replaces the references on a line by the values that they stand for, so that dotenvy, which would
/// prefer the environment's, finds none.
fn resolve(line: &str, earlier: &HashMap<String, String>) -> Result<String, Reason> {
    let mut resolved = String::new();
    let (mut single_quoted, mut double_quoted) = (false, false);
    let mut rest = line;
    while let Some(next) = rest.chars().next() {
        rest = &rest[next.len_utf8()..];
        match next {
            '$' if !single_quoted => {
                let (value, after) = reference(rest, earlier)?;
                value.chars().for_each(|c| escape(c, &mut resolved));
                rest = after;
                continue;
            }
            '\'' if !double_quoted => single_quoted = !single_quoted,
            '"' if !single_quoted => double_quoted = !double_quoted,
            // A comment, which dotenvy leaves out.
            '#' if !single_quoted && !double_quoted && ends_in_blank(&resolved) => break,
            _ => {}
        }
        resolved.push(next);
        if next == '\\' && !single_quoted {
            let escaped = rest.chars().next().map_or(0, char::len_utf8);
            resolved.push_str(&rest[..escaped]);
            rest = &rest[escaped..];
        }
    }
    Ok(resolved)
}

/// Whether a blank that is not escaped comes last.
fn ends_in_blank(line: &str) -> bool {
    let before = line.trim_end_matches([' ', '\t']);
    before.len() < line.len() && !before.ends_with('\\')
}

/// The value of the name behind a `$`, and what follows it. A `$` before anything else is just that.
fn reference<'a>(
    rest: &'a str,
    earlier: &'a HashMap<String, String>,
) -> Result<(&'a str, &'a str), Reason> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (name, after) = match rest.strip_prefix('{') {
        Some(braced) => braced.split_once('}').ok_or(SYNTAX)?,
        None => rest.split_at(rest.find(|c| !is_of_name(c)).unwrap_or(rest.len())),
    };
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(("$", rest));
    }
    Ok((earlier.get(name).ok_or(UNKNOWN_NAME)?, after))
}

/// Adds a character so that it is read as itself, inside and outside double quotes.
fn escape(c: char, line: &mut String) {
    match c {
        '\n' => line.push_str("\\n"),
        '\\' | '\'' | '"' | '$' | ' ' => line.extend(['\\', c]),
        _ => line.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: impl AsRef<[u8]>) -> Result<Option<String>, Malformed> {
        parse(text.as_ref()).map(|mut values| values.remove("CONVO_LOG"))
    }

    fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        format!("\u{feff}{text}").encode_utf16().flat_map(unit).collect()
    }

    #[test]
    fn a_value_is_read_as_a_shell_reads_it() {
        for (line, expected) in [
            ("CONVO_LOG=debug", "debug"),
            ("  export CONVO_LOG = debug  # all of it", "debug"),
            ("CONVO_LOG='a b $c \\ \"'", "a b $c \\ \""),
            ("CONVO_LOG=\"a b \\\"\\$c\\\" \\\\ # '\"", "a b \"$c\" \\ # '"),
            ("CONVO_LOG=a#b", "a#b"),
            ("CONVO_LOG=a # see ${DOCS", "a"),
            ("CONVO_LOG=a\\ #b", "a #b"),
            ("CONVO_LOG=a \t", "a"),
            ("CONVO_LOG=a\\ b'c d'\"e\"", "a bc de"),
            ("CONVO_LOG=a=b", "a=b"),
            ("CONVO_LOG=5$", "5$"),
            ("CONVO_LOG=$5", "$5"),
            ("HOST=h.example\nCONVO_LOG=https://$HOST/${HOST}x", "https://h.example/h.examplex"),
            // The environment has another PATH.
            ("PATH='a \"b\" \\ #c'\nCONVO_LOG=\"$PATH\"-$PATH", "a \"b\" \\ #c-a \"b\" \\ #c"),
            ("CONVO_LOG=first\rCONVO_LOG=second\r\n", "second"),
        ] {
            assert_eq!(value(line), Ok(Some(expected.to_owned())), "{line}");
        }
        for line in
            ["CONVO_LOG=", "CONVO_LOG=''", "#CONVO_LOG=x", "CONVO_LOG= # none", "PATH=/evil"]
        {
            assert_eq!(value(line), Ok(None), "{line}");
        }
    }

    #[test]
    fn utf_8_and_utf_16_are_understood() {
        let text = "# café\r\nCONVO_LOG=dé\r\n";
        let encodings = [
            text.as_bytes().to_vec(),
            format!("\u{feff}{text}").into_bytes(),
            utf16(text, u16::to_le_bytes),
            utf16(text, u16::to_be_bytes),
        ];
        for bytes in encodings {
            assert_eq!(value(bytes), Ok(Some("dé".to_owned())));
        }
        let unmarked: Vec<_> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(value(unmarked), Ok(Some("dé".to_owned())));
        assert_eq!(value(b"CONVO_LOG=a\0").expect_err("no text").why, NOT_UTF8.0);
        assert_eq!(value(b"NAME=caf\xe9\nCONVO_LOG=a"), Ok(Some("a".to_owned())), "not our line");
    }

    #[test]
    fn a_malformed_line_of_ours_is_named_by_its_number() {
        for (line, why) in [
            (&b"CONVO_LOG=a b"[..], SYNTAX.0),
            (b"CONVO_LOG=it's", SYNTAX.0),
            (b"CONVO_LOG=\"a", SYNTAX.0),
            (b"CONVO_LOG: a", NOT_ASSIGNED.0),
            (b"export CONVO_LOG", NOT_ASSIGNED.0),
            (b"CONVO_LOG=\xe9", NOT_UTF8.0),
            (b"CONVO_LOG=C:\\Users", SYNTAX.0),
            (b"CONVO_LOG=${HOME}", UNKNOWN_NAME.0),
            (b"CONVO_LOG=a$LATER", UNKNOWN_NAME.0),
        ] {
            let text = [b"# first\r\n", line, b"\r\nLATER=x\n"].concat();
            let error = value(text).expect_err("malformed");
            assert_eq!((error.line, error.why), (2, why), "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn lines_of_other_programs_need_make_no_sense() {
        let text = "APP_NAME=My Shop\nFOO=it's\nBAR={\"a\": 1}\nWIN=C:\\Users\\x\nFOO-BAR=1\nFOO\n\
                    =x\n-----BEGIN KEY-----\nCONVO_LOG=debug\n";
        assert_eq!(value(text), Ok(Some("debug".to_owned())));
    }
}
