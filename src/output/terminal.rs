//! What is known of the terminal, and what follows from it.

use std::io::IsTerminal;

use super::pager::{self, Pager};
use super::{ColorChoice, Format, Glyphs, Look, Zone};
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
    /// Columns and rows of the terminal, when there is one.
    pub size: Option<(u16, u16)>,
    /// `COLUMNS`: how wide a table is to be that goes to no terminal.
    pub columns: Option<u16>,
    /// Whether `NO_COLOR` is set and not empty.
    pub no_color: bool,
    /// Whether `CLICOLOR_FORCE` is set, not empty and not `0`.
    pub clicolor_force: bool,
    /// Whether `TERM` is `dumb`: the terminal prints what it gets, and can do nothing else.
    pub is_dumb: bool,
    /// `CONVO_PAGER`, else `PAGER`, as typed.
    pub pager: Option<String>,
    /// Whether `LESS` has options for less.
    pub has_less_options: bool,
}

impl Facts {
    /// Looks at the standard streams; the variables come from whoever reads the environment, and
    /// only those of a pager are ever empty.
    #[must_use]
    pub fn gather(variable: impl Fn(&str) -> Option<String>) -> Self {
        let size = terminal_size::terminal_size();
        Self {
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stdin_is_terminal: std::io::stdin().is_terminal(),
            size: size.map(|(width, height)| (width.0, height.0)),
            columns: variable("COLUMNS")
                .and_then(|columns| columns.parse().ok())
                .filter(|columns| *columns > 0),
            no_color: variable("NO_COLOR").is_some(),
            clicolor_force: variable("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            is_dumb: variable("TERM").as_deref() == Some("dumb"),
            pager: variable("CONVO_PAGER").or_else(|| variable("PAGER")),
            has_less_options: variable("LESS").is_some(),
        }
    }

    /// How to print, for a format that was asked for or none.
    #[must_use]
    pub fn look(
        &self,
        asked: Option<Format>,
        color: ColorChoice,
        zone: Zone,
        now: Timestamp,
    ) -> Look {
        let usual = if self.stdout_is_terminal { Format::Table } else { Format::Lines };
        Look {
            format: asked.unwrap_or(usual),
            brief: asked.is_none() && self.stdout_is_terminal,
            width: self.columns(),
            color: self.color(color),
            glyphs: if self.is_dumb { Glyphs::PLAIN } else { Glyphs::RICH },
            now,
            zone,
            sandbox: false,
        }
    }

    /// The pager for what is printed so, when it goes to a person who wants one and can have it.
    #[must_use]
    pub fn pager(&self, look: &Look) -> Option<Pager> {
        let rows = self.size.map(|(_, rows)| usize::from(rows)).filter(|rows| *rows > 0)?;
        let readable = self.stdout_is_terminal && look.format == Format::Table && !self.is_dumb;
        let command = self.pager.as_deref().unwrap_or(pager::USUAL);
        readable.then(|| Pager::parse(command, self.has_less_options, look.width, rows)).flatten()
    }

    fn columns(&self) -> usize {
        let of_terminal = self.size.filter(|_| self.stdout_is_terminal).map(|(width, _)| width);
        let known = of_terminal.filter(|width| *width > 0).or(self.columns).map(usize::from);
        known.unwrap_or(USUAL_WIDTH).max(LEAST_WIDTH)
    }

    /// An option beats `NO_COLOR`, which beats `CLICOLOR_FORCE`, which beats what the terminal is.
    fn color(&self, choice: ColorChoice) -> bool {
        match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if self.no_color => false,
            ColorChoice::Auto if self.clicolor_force => true,
            ColorChoice::Auto => self.stdout_is_terminal && !self.is_dumb,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal() -> Facts {
        Facts { stdout_is_terminal: true, size: Some((120, 24)), ..Facts::default() }
    }

    fn look(facts: &Facts, asked: Option<Format>, color: ColorChoice) -> Look {
        facts.look(asked, color, Zone::UTC, Timestamp::from_micros(0))
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
        let dumb = Facts { is_dumb: true, ..terminal() };
        let forced = Facts { clicolor_force: true, ..Facts::default() };
        assert!(color(&terminal(), ColorChoice::Auto));
        assert!(!color(&terminal(), ColorChoice::Never));
        assert!(!color(&Facts::default(), ColorChoice::Auto));
        assert!(!color(&no_color, ColorChoice::Auto));
        assert!(color(&no_color, ColorChoice::Always));
        assert!(!color(&dumb, ColorChoice::Auto));
        assert!(color(&forced, ColorChoice::Auto));
        assert_eq!(look(&dumb, None, ColorChoice::Auto).glyphs, Glyphs::PLAIN);
    }

    #[test]
    fn the_width_is_the_terminals_else_the_users_else_the_usual() {
        let width = |facts: Facts| look(&facts, None, ColorChoice::Auto).width;
        let nothing = Facts { size: Some((0, 0)), ..terminal() };
        assert_eq!(width(nothing), 80);
        assert_eq!(width(Facts { columns: Some(200), ..terminal() }), 120);
        assert_eq!(width(Facts { columns: Some(200), ..Facts::default() }), 200);
        assert_eq!(width(Facts { columns: Some(2), ..Facts::default() }), LEAST_WIDTH);
    }

    #[test]
    fn only_what_a_person_reads_is_paged() {
        let paged =
            |facts: &Facts, asked| facts.pager(&look(facts, asked, ColorChoice::Auto)).is_some();
        assert!(paged(&terminal(), None) && paged(&terminal(), Some(Format::Table)));
        assert!(!paged(&terminal(), Some(Format::Csv)));
        assert!(!paged(&Facts { stdout_is_terminal: false, ..terminal() }, Some(Format::Table)));
        assert!(!paged(&Facts { is_dumb: true, ..terminal() }, None));
        assert!(!paged(&Facts { size: None, ..terminal() }, None));
        for none in ["", " ", "cat", "/bin/cat", "less 'unbalanced"] {
            assert!(!paged(&Facts { pager: Some(none.into()), ..terminal() }, None), "{none}");
        }
    }

    #[test]
    fn variables_are_asked_for_by_name() {
        let facts = |given: &[(&str, &str)]| {
            let find = |name: &str| given.iter().find(|(given, _)| *given == name);
            Facts::gather(|name| find(name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(facts(&[("PAGER", "more")]).pager.as_deref(), Some("more"));
        assert_eq!(facts(&[("PAGER", "more"), ("CONVO_PAGER", "")]).pager.as_deref(), Some(""));
        assert!(facts(&[("TERM", "dumb")]).is_dumb && !facts(&[("TERM", "xterm")]).is_dumb);
        assert!(facts(&[("CLICOLOR_FORCE", "1")]).clicolor_force);
        assert!(!facts(&[("CLICOLOR_FORCE", "0")]).clicolor_force);
        assert_eq!(facts(&[("COLUMNS", "132")]).columns, Some(132));
    }
}
