//! What is known of the terminal, and what follows from it.

use std::io::IsTerminal;

use super::{ColorChoice, Format, Look, Zone};
use crate::domain::Timestamp;

/// The width when nobody can tell it.
const USUAL_WIDTH: usize = 80;
/// Narrower than this nothing is readable; the terminal may break the lines instead.
const LEAST_WIDTH: usize = 30;

/// Facts about the terminal and the user's wishes for it, found out once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Whether standard output goes to a person.
    pub stdout_is_terminal: bool,
    /// Whether standard input comes from a person.
    pub stdin_is_terminal: bool,
    /// Columns of the terminal, when there is one.
    pub width: Option<u16>,
    /// Whether `NO_COLOR` is set and not empty.
    pub no_color: bool,
    /// Whether `CLICOLOR_FORCE` is set, not empty and not `0`.
    pub clicolor_force: bool,
    /// `TERM`.
    pub term: Option<String>,
}

impl Facts {
    /// Looks at the standard streams; the variables come from whoever reads the environment.
    #[must_use]
    pub fn gather(no_color: bool, clicolor_force: bool, term: Option<String>) -> Self {
        Self {
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stdin_is_terminal: std::io::stdin().is_terminal(),
            width: terminal_size::terminal_size().map(|(width, _)| width.0),
            no_color,
            clicolor_force,
            term,
        }
    }

    /// How to print, for a format that was asked for or none.
    #[must_use]
    pub fn look(&self, asked: Option<Format>, color: ColorChoice, now: Timestamp) -> Look {
        let usual = if self.stdout_is_terminal { Format::Table } else { Format::Lines };
        Look {
            format: asked.unwrap_or(usual),
            brief: asked.is_none() && self.stdout_is_terminal,
            width: self.columns(),
            color: self.color(color),
            now,
            zone: Zone::Local,
        }
    }

    fn columns(&self) -> usize {
        let known = self.width.filter(|_| self.stdout_is_terminal).map(usize::from);
        known.filter(|width| *width > 0).unwrap_or(USUAL_WIDTH).max(LEAST_WIDTH)
    }

    /// An option beats `NO_COLOR`, which beats `CLICOLOR_FORCE`, which beats what the terminal is.
    fn color(&self, choice: ColorChoice) -> bool {
        match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if self.no_color => false,
            ColorChoice::Auto if self.clicolor_force => true,
            ColorChoice::Auto => self.stdout_is_terminal && self.term.as_deref() != Some("dumb"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal() -> Facts {
        Facts { stdout_is_terminal: true, width: Some(120), ..Facts::default() }
    }

    fn look(facts: &Facts, asked: Option<Format>, color: ColorChoice) -> Look {
        facts.look(asked, color, Timestamp::from_micros(0))
    }

    #[test]
    fn a_terminal_gets_a_brief_table_and_a_pipe_all_lines() {
        let shown = look(&terminal(), None, ColorChoice::Auto);
        assert_eq!((shown.format, shown.brief, shown.width), (Format::Table, true, 120));
        let asked = look(&terminal(), Some(Format::Table), ColorChoice::Auto);
        assert_eq!((asked.format, asked.brief), (Format::Table, false));
        let piped = look(&Facts::default(), None, ColorChoice::Auto);
        assert_eq!((piped.format, piped.brief, piped.width), (Format::Lines, false, 80));
    }

    #[test]
    fn colour_follows_option_then_variables_then_terminal() {
        let color = |facts: &Facts, choice| look(facts, None, choice).color;
        let no_color = Facts { no_color: true, clicolor_force: true, ..terminal() };
        let dumb = Facts { term: Some("dumb".into()), ..terminal() };
        let forced = Facts { clicolor_force: true, ..Facts::default() };
        assert!(color(&terminal(), ColorChoice::Auto));
        assert!(!color(&terminal(), ColorChoice::Never));
        assert!(!color(&Facts::default(), ColorChoice::Auto));
        assert!(!color(&no_color, ColorChoice::Auto));
        assert!(color(&no_color, ColorChoice::Always));
        assert!(!color(&dumb, ColorChoice::Auto));
        assert!(color(&forced, ColorChoice::Auto));
    }

    #[test]
    fn a_width_of_nothing_is_no_width() {
        let facts = Facts { width: Some(0), ..terminal() };
        assert_eq!(look(&facts, None, ColorChoice::Auto).width, 80);
    }
}
