//! What `convo doctor` found, as people see it: a symbol and the name of each check, what was seen, and
//! below it what to do.

use std::io::{self, Write};

use super::tone::Tone;
use super::width::{columns, wrap};
use super::{Style, escape};

/// How a check ended, which decides symbol and colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingTone {
    /// All is well.
    Good,
    /// Something may be wrong.
    Doubt,
    /// Something is wrong.
    Bad,
    /// It was not checked.
    Quiet,
}

/// One check, in words.
#[derive(Clone, Copy, Debug)]
pub struct FindingRow<'a> {
    /// Its name.
    pub check: &'a str,
    /// How it ended, as a word.
    pub verdict: &'a str,
    /// The same as a tone.
    pub tone: FindingTone,
    /// What was seen.
    pub seen: &'a str,
    /// What to do; empty if there is nothing.
    pub mend: &'a str,
}

/// Blanks between two columns.
const GAP: usize = 2;
/// What comes before what to do.
const MEND: &str = "mend: ";
/// The least width for what was seen.
const LEAST: usize = 20;

/// Writes the findings for a person. Long texts are broken into several lines: nothing is cut.
///
/// # Errors
/// Writing to `out` failed.
pub fn table(out: &mut impl Write, rows: &[FindingRow<'_>], style: &Style) -> io::Result<()> {
    let widest = |texts: &mut dyn Iterator<Item = &str>| texts.map(columns).max().unwrap_or(0);
    let verdicts = widest(&mut rows.iter().map(|row| row.verdict));
    let checks = widest(&mut rows.iter().map(|row| row.check));
    // The symbol and a blank stand before the verdict.
    let indent = 2 + verdicts + GAP + checks + GAP;
    let width = style.width.saturating_sub(indent).max(LEAST);
    for row in rows {
        let (glyph, tone) = appearance(row.tone, style);
        let verdict = tone.paint(&format!("{glyph} {:<verdicts$}", row.verdict), style.color);
        let head = format!("{verdict}  {:<checks$}  ", row.check);
        let seen = escape::line(row.seen);
        for (at, line) in wrap(&seen, width).iter().enumerate() {
            let head = if at == 0 { head.clone() } else { " ".repeat(indent) };
            writeln!(out, "{}", format!("{head}{line}").trim_end())?;
        }
        if row.mend.is_empty() {
            continue;
        }
        for (at, line) in wrap(&escape::line(row.mend), width - MEND.len()).iter().enumerate() {
            let head = if at == 0 { MEND } else { "      " };
            let line = Tone::Strong.paint(&format!("{head}{line}"), style.color);
            writeln!(out, "{}{line}", " ".repeat(indent))?;
        }
    }
    Ok(())
}

fn appearance(tone: FindingTone, style: &Style) -> (&'static str, Tone) {
    match tone {
        FindingTone::Good => (style.glyphs.good(), Tone::Good),
        FindingTone::Doubt => ("!", Tone::Doubt),
        FindingTone::Bad => (style.glyphs.bad(), Tone::Bad),
        FindingTone::Quiet => ("-", Tone::Quiet),
    }
}
