//! A small table of plain texts: aligned columns for a person, TAB-separated fields for a program.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};

use super::tone::Tone;
use super::{Style, escape};

/// Blanks between two columns.
const GAP: u16 = 2;

/// Writes rows for a program, one a line.
///
/// # Errors
/// Writing to `out` failed.
pub fn lines<const N: usize>(
    out: &mut impl Write,
    mut rows: impl Iterator<Item = [String; N]>,
) -> io::Result<()> {
    rows.try_for_each(|row| {
        let cells = row.each_ref().map(|cell| escape::field(cell));
        writeln!(out, "{}", cells.join("\t"))
    })
}

/// Writes rows for a person below their headings. A cell that has no room is broken into several lines:
/// nothing is cut.
///
/// # Errors
/// Writing to `out` failed.
pub fn table<const N: usize>(
    out: &mut impl Write,
    headings: [&str; N],
    rows: &[[String; N]],
    style: &Style,
) -> io::Result<()> {
    write(out, Some(headings), rows, style)
}

/// Writes further rows of a table, without headings.
///
/// # Errors
/// Writing to `out` failed.
pub fn continued<const N: usize>(
    out: &mut impl Write,
    rows: &[[String; N]],
    style: &Style,
) -> io::Result<()> {
    write(out, None, rows, style)
}

fn write<const N: usize>(
    out: &mut impl Write,
    headings: Option<[&str; N]>,
    rows: &[[String; N]],
    style: &Style,
) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(style.width).unwrap_or(u16::MAX));
    let is_headed = headings.is_some();
    if let Some(headings) = headings {
        table.add_row(headings);
    }
    for row in rows {
        table.add_row(row.each_ref().map(|cell| escape::line(cell)));
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if at + 1 == N { 0 } else { GAP }));
    }
    for (at, line) in table.lines().enumerate() {
        let tone = if at == 0 && is_headed { Tone::Strong } else { Tone::Plain };
        writeln!(out, "{}", tone.paint(line.trim_end(), style.color))?;
    }
    Ok(())
}
