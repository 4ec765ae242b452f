//! Printing errors: the one place that does.

use std::io::{self, Write};

use serde::Serialize;

use super::{escape, json};
use crate::error::{Code, Error, Extra};

/// An error as a JSON object on standard error.
#[derive(Serialize)]
struct JsonError<'a> {
    code: Code,
    message: String,
    hint: Option<&'a str>,
    exit: u8,
    #[serde(flatten)]
    extra: &'a Extra,
}

/// Prints an error: `convo: <what>` and `hint: <what to do>`, or one JSON object.
///
/// # Errors
/// Writing failed.
pub fn print(out: &mut impl Write, error: &Error, as_json: bool) -> io::Result<()> {
    if as_json {
        let (code, exit) = (error.code(), error.exit_code());
        let (message, hint) = (error.to_string(), error.hint_text());
        return json::write_line(
            out,
            &JsonError { code, message, hint, exit, extra: error.extra() },
        );
    }
    let message = error.to_string();
    let detail = error.extra().detail.as_deref().filter(|detail| !message.contains(*detail));
    let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
    writeln!(out, "convo: {}", escape::line(&format!("{message}{detail}")))?;
    match (error.hint_text(), error.extra().retry_after) {
        (Some(hint), _) => writeln!(out, "hint: {}", escape::line(hint)),
        (None, Some(1)) => writeln!(out, "hint: try again in a second"),
        (None, Some(seconds)) => writeln!(out, "hint: try again in {seconds} seconds"),
        (None, None) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(error: &Error, as_json: bool) -> String {
        let mut out = Vec::new();
        print(&mut out, error, as_json).expect("a vector takes all");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_person_reads_what_happened_and_what_to_do() {
        let error = Error::new(Code::OptedOut, "the contact has opted out").hint("wait for START");
        assert_eq!(told(&error, false), "convo: the contact has opted out\nhint: wait for START\n");
        let limited = Error::new(Code::RateLimited, "Telnyx asks to slow down")
            .with(|extra| extra.retry_after = Some(30));
        assert_eq!(
            told(&limited, false),
            "convo: Telnyx asks to slow down\nhint: try again in 30 seconds\n"
        );
        let refused = Error::new(Code::TelnyxRefused, "Telnyx refused the message")
            .with(|extra| extra.detail = Some("Not\x1b[2J\na number".into()));
        assert_eq!(
            told(&refused, false),
            "convo: Telnyx refused the message: Not\\u{1b}[2J\\na number\n"
        );
    }

    #[test]
    fn a_program_reads_one_object() {
        let error = Error::new(Code::OptedOut, "the contact has opted out\u{202e}")
            .with(|extra| extra.telnyx_code = Some("40300".into()));
        assert_eq!(
            told(&error, true),
            "{\"code\":\"opted_out\",\"message\":\"the contact has opted out\\u202e\",\
             \"hint\":null,\"exit\":7,\"telnyx_code\":\"40300\"}\n"
        );
    }
}
