//! A licence text, split into copyright lines and what all its copies share.

/// Only here are copyright lines split off: further down, they belong to the text, such as the
/// template at the end of Apache-2.0.
const HEAD_LINES: usize = 10;

#[derive(Debug, PartialEq)]
pub(crate) struct Text {
    /// The copyright lines at the head.
    pub(crate) copyright: Vec<String>,
    /// The rest, without trailing white space and repeated blank lines.
    pub(crate) body: String,
}

impl Text {
    pub(crate) fn parse(text: &str) -> Self {
        let mut copyright = Vec::new();
        let mut body: Vec<&str> = Vec::new();
        for (number, line) in text.lines().map(str::trim_end).enumerate() {
            if number < HEAD_LINES && line.trim_start().starts_with("Copyright ") {
                copyright.push(line.trim_start().to_owned());
            } else if !line.is_empty() || body.last().is_some_and(|above| !above.is_empty()) {
                body.push(line);
            }
        }
        Self { copyright, body: body.join("\n").trim_end().to_owned() }
    }

    /// Equal for texts that differ only in white space and copyright lines.
    pub(crate) fn key(&self) -> String {
        self.body.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_that_differ_in_copyright_and_white_space_have_one_key() {
        let one =
            Text::parse("MIT License\n\nCopyright (c) 2018 A\n\nPermission is\nhereby granted\n");
        let other = Text::parse(
            "\r\nMIT License\r\n\r\n  Copyright 2020 B\r\nCopyright C\r\n\r\n\r\nPermission is hereby\r\ngranted",
        );
        assert_eq!(one.key(), other.key());
        assert_eq!(one.body, "MIT License\n\nPermission is\nhereby granted");
        assert_eq!(other.copyright, ["Copyright 2020 B", "Copyright C"]);
    }

    #[test]
    fn a_copyright_line_within_the_text_stays_there() {
        let text = format!("{}Copyright [yyyy] [name]", "terms\n".repeat(HEAD_LINES));
        assert_eq!(Text::parse(&text), Text { copyright: Vec::new(), body: text });
    }
}
