//! The text of a message: an argument, or standard input.

use std::io::Read;

use crate::error::{Code, Error};
use crate::output::TerminalInfo;

/// The limit of the input in bytes. Anything longer was piped in by mistake.
const LIMIT: u64 = 1024 * 1024;

/// The text from the argument. Without one, or with `-`, it is read from standard input. Files need
/// no text, and a loop in a shell may have its next contact on standard input: with files, only `-`
/// reads it.
///
/// # Errors
/// `invalid_request` if there is no text, or the input is too long or not UTF-8.
pub(super) fn text(
    argument: Option<&str>,
    to: &str,
    has_media: bool,
    stdin: impl Read,
    terminal: &TerminalInfo,
) -> Result<String, Error> {
    match argument {
        Some(text) if text != "-" => Ok(text.to_owned()),
        None if has_media => Ok(String::new()),
        _ if terminal.stdin_is_terminal => Err(Error::invalid("there is no text to send")
            .hint(format!("write it after the number: convo send {to} \"Hello\", or pipe it in"))),
        _ => read(stdin, "standard input"),
    }
}

/// Reads a text to its end, without a byte order mark at its beginning and a line break at its end.
/// `name` is what it comes from.
pub(in crate::commands) fn read(source: impl Read, name: &str) -> Result<String, Error> {
    let mut bytes = Vec::new();
    source.take(LIMIT + 1).read_to_end(&mut bytes).map_err(|error| {
        Error::new(Code::Internal, format!("{name} could not be read: {error}"))
    })?;
    if bytes.len() as u64 > LIMIT {
        return Err(Error::invalid(format!("{name} is longer than any message"))
            .hint("give the text as an argument, or pipe in only the text"));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| {
        Error::invalid(format!("{name} is not valid UTF-8"))
            .hint("convert it first, for example with iconv -t UTF-8")
    })?;
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO: &str = "+12125551234";

    fn from_pipe(stdin: &[u8]) -> Result<String, Error> {
        text(None, TO, false, stdin, &TerminalInfo::default())
    }

    #[test]
    fn with_an_argument_standard_input_is_not_read() {
        struct Untouchable;
        impl Read for Untouchable {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                panic!("standard input was read");
            }
        }
        let pipe = TerminalInfo::default();
        let given = text(Some("Hi\n"), TO, false, Untouchable, &pipe);
        assert_eq!(given.expect("a text"), "Hi\n");
        let terminal = TerminalInfo { stdin_is_terminal: true, ..TerminalInfo::default() };
        for terminal in [pipe, terminal] {
            let with_media = text(None, TO, true, Untouchable, &terminal);
            assert_eq!(with_media.expect("no text is needed"), "");
        }
    }

    #[test]
    fn without_an_argument_it_is_read_to_its_end() {
        for (stdin, text) in [
            ("Hi", "Hi"),
            ("Hi\n", "Hi"),
            ("Hi\r\n", "Hi"),
            ("Hi\n\n", "Hi\n"),
            ("a\nb\r", "a\nb\r"),
        ] {
            assert_eq!(from_pipe(stdin.as_bytes()).expect("a text"), text, "{stdin:?}");
        }
    }

    #[test]
    fn input_that_is_not_a_text_is_wrong_usage() {
        let terminal = TerminalInfo { stdin_is_terminal: true, ..TerminalInfo::default() };
        let long = vec![b'a'; 1024 * 1024 + 1];
        for result in
            [text(None, TO, false, &b"Hi"[..], &terminal), from_pipe(b"\xff"), from_pipe(&long)]
        {
            let error = result.expect_err("not a text");
            assert_eq!(error.exit_code(), 2, "{error}");
            assert!(error.hint_text().is_some(), "{error}");
        }
    }
}
