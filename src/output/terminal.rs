//! Facts about the terminal, and the style and pager that follow from them.

use std::io::{IsTerminal, Write};

use super::pager::{self, Pager};
use super::time_zone;
use super::{ColorChoice, Format, Glyphs, Style, TargetOptions, Zone, escape};
use crate::domain::Timestamp;

/// The width when it is unknown.
const USUAL_WIDTH: usize = 80;
/// The least width used: in a narrower window the terminal breaks the lines.
const LEAST_WIDTH: usize = 30;

/// The present width of the terminal on standard output; `None` if that is not a terminal.
#[must_use]
pub fn stdout_columns() -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(std::io::stdout())?;
    Some(usize::from(width.0)).filter(|width| *width > 0).map(|width| width.max(LEAST_WIDTH))
}

/// The standard streams and the variables that concern the terminal, read once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TerminalInfo {
    /// Whether standard output is a terminal.
    pub stdout_is_terminal: bool,
    /// Whether standard input is a terminal.
    pub stdin_is_terminal: bool,
    /// Columns and rows of the terminal, if there is one.
    pub size: Option<(u16, u16)>,
    /// `COLUMNS`: the width of a table that does not go to a terminal.
    pub columns: Option<u16>,
    /// Whether `NO_COLOR` is set and not empty.
    pub no_color: bool,
    /// Whether `CLICOLOR_FORCE` is set, not empty and not `0`.
    pub clicolor_force: bool,
    /// Whether `TERM` is `dumb`: no colour, no pager, ASCII symbols.
    pub is_dumb: bool,
    /// `CONVO_PAGER`, else `PAGER`, as typed.
    pub pager: Option<String>,
    /// Whether `LESS` is set.
    pub has_less_options: bool,
    /// `VISUAL`, else `EDITOR`.
    pub editor: Option<String>,
    /// `TZ`, if it names no time zone that is known here.
    pub unknown_zone: Option<String>,
}

impl TerminalInfo {
    /// Inspects the standard streams. `variable` reads the environment; only the pager variables may
    /// be empty.
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
            editor: variable("VISUAL").or_else(|| variable("EDITOR")),
            unknown_zone: variable("TZ").filter(|zone| !time_zone::is_known(zone)),
        }
    }

    /// Says that local times are not local, if the time zone is unknown.
    pub fn warn_of_unknown_zone(&self) {
        if let Some(zone) = &self.unknown_zone {
            let zone = escape::line(zone);
            let _ = writeln!(
                std::io::stderr(),
                "convo: the time zone TZ={zone} is unknown; times are shown in {}\n\
                 hint: use a name such as Europe/Berlin, which needs the system's tzdata, or --utc",
                chrono::Local::now().format("UTC%:z")
            );
        }
    }

    /// The style for the format that was asked for, or for the default one.
    #[must_use]
    pub fn style(
        &self,
        asked: Option<Format>,
        color: ColorChoice,
        zone: Zone,
        now: Timestamp,
    ) -> Style {
        let usual = if self.stdout_is_terminal { Format::Table } else { Format::Lines };
        Style {
            format: asked.unwrap_or(usual),
            brief: asked.is_none() && self.stdout_is_terminal,
            width: self.columns(),
            color: self.color(color),
            glyphs: if self.is_dumb { Glyphs::PLAIN } else { Glyphs::RICH },
            now,
            zone,
            target: TargetOptions::default(),
        }
    }

    /// The pager for this style; `None` for records, without a terminal, or where none is wanted.
    #[must_use]
    pub fn pager(&self, style: &Style) -> Option<Pager> {
        let rows = self.size.map(|(_, rows)| usize::from(rows)).filter(|rows| *rows > 0)?;
        let readable = self.stdout_is_terminal && style.format == Format::Table && !self.is_dumb;
        let command = self.pager.as_deref().unwrap_or(pager::USUAL);
        readable.then(|| Pager::parse(command, self.has_less_options, style.width, rows)).flatten()
    }

    fn columns(&self) -> usize {
        let of_terminal = self.size.filter(|_| self.stdout_is_terminal).map(|(width, _)| width);
        let known = of_terminal.filter(|width| *width > 0).or(self.columns).map(usize::from);
        known.unwrap_or(USUAL_WIDTH).max(LEAST_WIDTH)
    }

    /// `--color` beats `NO_COLOR`, which beats `CLICOLOR_FORCE`, which beats the terminal's type.
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

    fn terminal() -> TerminalInfo {
        TerminalInfo { stdout_is_terminal: true, size: Some((120, 24)), ..TerminalInfo::default() }
    }

    fn style(facts: &TerminalInfo, asked: Option<Format>, color: ColorChoice) -> Style {
        facts.style(asked, color, Zone::UTC, Timestamp::from_micros(0))
    }

    #[test]
    fn a_terminal_gets_a_brief_table_and_a_pipe_all_lines() {
        let shown = style(&terminal(), None, ColorChoice::Auto);
        assert_eq!((shown.format, shown.brief, shown.width), (Format::Table, true, 120));
        let asked = style(&terminal(), Some(Format::Table), ColorChoice::Auto);
        assert_eq!((asked.format, asked.brief), (Format::Table, false));
        let piped = style(&TerminalInfo::default(), None, ColorChoice::Auto);
        assert_eq!((piped.format, piped.brief, piped.width), (Format::Lines, false, 80));
    }

    #[test]
    fn colour_follows_option_then_variables_then_terminal() {
        let color = |facts: &TerminalInfo, choice| style(facts, None, choice).color;
        let no_color = TerminalInfo { no_color: true, clicolor_force: true, ..terminal() };
        let dumb = TerminalInfo { is_dumb: true, ..terminal() };
        let forced = TerminalInfo { clicolor_force: true, ..TerminalInfo::default() };
        assert!(color(&terminal(), ColorChoice::Auto));
        assert!(!color(&terminal(), ColorChoice::Never));
        assert!(!color(&TerminalInfo::default(), ColorChoice::Auto));
        assert!(!color(&no_color, ColorChoice::Auto));
        assert!(color(&no_color, ColorChoice::Always));
        assert!(!color(&dumb, ColorChoice::Auto));
        assert!(color(&forced, ColorChoice::Auto));
        assert_eq!(style(&dumb, None, ColorChoice::Auto).glyphs, Glyphs::PLAIN);
    }

    #[test]
    fn the_width_is_the_terminals_else_the_users_else_the_usual() {
        let width = |facts: TerminalInfo| style(&facts, None, ColorChoice::Auto).width;
        let nothing = TerminalInfo { size: Some((0, 0)), ..terminal() };
        assert_eq!(width(nothing), 80);
        assert_eq!(width(TerminalInfo { columns: Some(200), ..terminal() }), 120);
        assert_eq!(width(TerminalInfo { columns: Some(200), ..TerminalInfo::default() }), 200);
        assert_eq!(
            width(TerminalInfo { columns: Some(2), ..TerminalInfo::default() }),
            LEAST_WIDTH
        );
    }

    #[test]
    fn only_what_a_person_reads_is_paged() {
        let paged = |facts: &TerminalInfo, asked| {
            facts.pager(&style(facts, asked, ColorChoice::Auto)).is_some()
        };
        assert!(paged(&terminal(), None) && paged(&terminal(), Some(Format::Table)));
        assert!(!paged(&terminal(), Some(Format::Csv)));
        assert!(!paged(
            &TerminalInfo { stdout_is_terminal: false, ..terminal() },
            Some(Format::Table)
        ));
        assert!(!paged(&TerminalInfo { is_dumb: true, ..terminal() }, None));
        assert!(!paged(&TerminalInfo { size: None, ..terminal() }, None));
        for none in ["", " ", "cat", "/bin/cat", "less 'unbalanced"] {
            assert!(
                !paged(&TerminalInfo { pager: Some(none.into()), ..terminal() }, None),
                "{none}"
            );
        }
    }

    #[test]
    fn variables_are_asked_for_by_name() {
        let facts = |given: &[(&str, &str)]| {
            let find = |name: &str| given.iter().find(|(given, _)| *given == name);
            TerminalInfo::gather(|name| find(name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(facts(&[("PAGER", "more")]).pager.as_deref(), Some("more"));
        assert_eq!(facts(&[("PAGER", "more"), ("CONVO_PAGER", "")]).pager.as_deref(), Some(""));
        assert!(facts(&[("TERM", "dumb")]).is_dumb && !facts(&[("TERM", "xterm")]).is_dumb);
        assert!(facts(&[("CLICOLOR_FORCE", "1")]).clicolor_force);
        assert!(!facts(&[("CLICOLOR_FORCE", "0")]).clicolor_force);
        assert_eq!(facts(&[("COLUMNS", "132")]).columns, Some(132));
    }
}
