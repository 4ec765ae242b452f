//! What a typed line means.

/// A line that was typed or pasted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A text to send.
    Text(String),
    /// `/quit`.
    Quit,
    /// `/retry`.
    Retry,
    /// `/help`.
    Help,
    /// Another word with a slash in front, which is not sent.
    Unknown(String),
    /// A text with characters that could drive a terminal and that nobody has seen.
    Controls,
    /// Nothing but white space.
    Nothing,
}

impl Input {
    pub(super) fn parse(line: &str) -> Self {
        let line = line.trim_end();
        if line.trim_start().is_empty() {
            return Self::Nothing;
        }
        if line.contains(is_control) {
            return Self::Controls;
        }
        match line.strip_prefix('/') {
            None => Self::Text(line.to_owned()),
            Some(rest) if rest.starts_with('/') => Self::Text(rest.to_owned()),
            Some("quit") => Self::Quit,
            Some("retry") => Self::Retry,
            Some("help") => Self::Help,
            Some(rest) => {
                let word = rest.split_whitespace().next().unwrap_or_default();
                Self::Unknown(format!("/{word}"))
            }
        }
    }
}

/// Whether a character is neither shown nor moves the cursor as in a text.
pub(super) fn is_control(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_begins_a_command_and_two_a_text() {
        let text = |text: &str| Input::Text(text.to_owned());
        for (line, input) in [
            ("Hello ", text("Hello")),
            (" a/b", text(" a/b")),
            ("//quit now", text("/quit now")),
            ("one\ntwo\n", text("one\ntwo")),
            ("/quit", Input::Quit),
            ("/retry ", Input::Retry),
            ("/help", Input::Help),
            ("/quit now", Input::Unknown("/quit".to_owned())),
            ("/", Input::Unknown("/".to_owned())),
            (" \t", Input::Nothing),
            ("a\u{7}b", Input::Controls),
            ("/\u{9b}2J", Input::Controls),
        ] {
            assert_eq!(Input::parse(line), input, "{line:?}");
        }
    }
}
