//! Statistics: a summary and bar charts for people, one group a line for programs.

use std::io::{self, Write};

use super::tone::Tone;
use super::width::{columns, cut, wrap};
use super::{Format, Style, escape, json, record, status};
use crate::domain::stats::{MessageCounts, Stats, StatsBy, StatsRow};
use crate::domain::{Cost, Status};

/// Blanks before a line below a heading, and between its parts.
const INDENT: usize = 2;
const GAP: usize = 2;
/// The least and the most columns of a bar.
const LEAST_BAR: usize = 4;
const MOST_BAR: usize = 50;

/// Prints statistics.
///
/// # Errors
/// Writing to `out` failed.
pub fn print(out: &mut impl Write, stats: &Stats, style: &Style) -> io::Result<()> {
    match style.format {
        Format::Json => json::write_line(out, stats),
        Format::Table => screen(out, stats, style),
        format => {
            record::header::<StatsRow>(out, format)?;
            record::write(out, format, &stats.rows)
        }
    }
}

fn screen(out: &mut impl Write, stats: &Stats, style: &Style) -> io::Result<()> {
    let total = &stats.total;
    if total.inbound + total.outbound == 0 {
        return line(out, "No message matches.", Tone::Plain, style);
    }
    heading(out, "Messages", style)?;
    let facts = summary(total);
    let labels = facts.iter().map(|(label, _)| columns(label)).max().unwrap_or_default();
    for (label, value) in &facts {
        let text = format!("{:INDENT$}{label:labels$}{:GAP$}{value}", "", "");
        line(out, &text, Tone::Plain, style)?;
    }
    let times = total.delivery_times.buckets();
    if times.iter().any(|(_, count)| *count > 0) {
        heading(out, "\nTime to delivery", style)?;
        let bars = times.map(|(label, count)| ChartBar::new(label.to_owned(), count));
        chart(out, &bars, style)?;
    }
    errors(out, stats, style)?;
    groups(out, stats, style)
}

/// The figures of all messages, with their names.
fn summary(total: &MessageCounts) -> Vec<(&'static str, String)> {
    let decided = total.delivered + total.unconfirmed + total.failed;
    let delivered = match percent(total) {
        Some(rate) => format!("{} of {decided} ({rate})", total.delivered),
        None => "-".to_owned(),
    };
    let mut facts = vec![
        ("in", total.inbound.to_string()),
        ("out", total.outbound.to_string()),
        ("delivered", delivered),
    ];
    let rare = [
        ("unconfirmed", total.unconfirmed),
        ("failed", total.failed),
        ("cancelled", total.cancelled),
        ("open", total.open),
    ];
    let rare = rare.into_iter().filter(|(_, count)| *count > 0);
    facts.extend(rare.map(|(label, count)| (label, count.to_string())));
    facts.push(("segments", total.segments.to_string()));
    if !total.cost.is_empty() {
        facts.push(("cost", cost(&total.cost)));
    }
    facts
}

/// The delivery rate, rounded down to a tenth of a percent.
fn percent(counts: &MessageCounts) -> Option<String> {
    let decided = counts.delivered + counts.unconfirmed + counts.failed;
    let tenths = (counts.delivered * 1_000).checked_div(decided)?;
    Some(format!("{}.{} %", tenths / 10, tenths % 10))
}

fn cost(sums: &[Cost]) -> String {
    let sums = sums.iter().map(|cost| format!("{} {}", cost.amount, cost.currency));
    sums.collect::<Vec<_>>().join(", ")
}

fn errors(out: &mut impl Write, stats: &Stats, style: &Style) -> io::Result<()> {
    if stats.errors.is_empty() {
        return Ok(());
    }
    heading(out, "\nErrors", style)?;
    for error in &stats.errors {
        let code = error.code.as_deref().unwrap_or("-");
        let text = format!("{:INDENT$}{} {} {}", "", error.messages, code, error.title);
        line(out, &text, Tone::Plain, style)?;
        let room = style.width.saturating_sub(2 * INDENT).max(1);
        for part in error.hint.iter().flat_map(|hint| wrap(hint, room)) {
            let text = format!("{:width$}{part}", "", width = 2 * INDENT);
            line(out, &text, Tone::Quiet, style)?;
        }
    }
    Ok(())
}

fn groups(out: &mut impl Write, stats: &Stats, style: &Style) -> io::Result<()> {
    if stats.rows.is_empty() {
        return Ok(());
    }
    heading(out, &format!("\nBy {}", stats.by), style)?;
    let bars: Vec<_> = stats.rows.iter().map(|row| bar_of(stats.by, row)).collect();
    chart(out, &bars, style)?;
    if stats.more {
        let which = if stats.by == StatsBy::Day { "last" } else { "largest" };
        let text = format!("Only the {which} {} are shown; --limit shows more.", stats.rows.len());
        line(out, &text, Tone::Quiet, style)?;
    }
    Ok(())
}

fn bar_of(by: StatsBy, row: &StatsRow) -> ChartBar {
    let counts = &row.counts;
    let label = match by {
        StatsBy::Status => Status::parse(&row.key).map(status::word).unwrap_or(&row.key),
        _ => &row.key,
    };
    let mut note = match (counts.inbound, counts.outbound) {
        (inbound, 0) => format!("{inbound} in"),
        (0, outbound) => format!("{outbound} out"),
        (inbound, outbound) => format!("{inbound} in, {outbound} out"),
    };
    if by != StatsBy::Status && by != StatsBy::Error {
        note.extend(percent(counts).map(|rate| format!(", {rate} delivered")));
    }
    ChartBar { label: label.to_owned(), value: counts.inbound + counts.outbound, note }
}

/// A line of a chart.
struct ChartBar {
    label: String,
    value: u64,
    note: String,
}

impl ChartBar {
    fn new(label: String, value: u64) -> Self {
        Self { label, value, note: value.to_string() }
    }
}

/// Draws bars between their labels and their notes; where there is no room for bars, only these.
fn chart(out: &mut impl Write, bars: &[ChartBar], style: &Style) -> io::Result<()> {
    let labels: Vec<_> = bars.iter().map(|bar| escape::line(&bar.label)).collect();
    let widest = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or_default();
    let label_width = widest(&mut labels.iter().map(|label| columns(label)));
    let note_width = widest(&mut bars.iter().map(|bar| columns(&bar.note)));
    let room = style.width.saturating_sub(INDENT + label_width + note_width + 2 * GAP);
    let room = if room < LEAST_BAR { 0 } else { room.min(MOST_BAR) };
    let most = bars.iter().map(|bar| bar.value).max().unwrap_or_default().max(1);
    for (bar, label) in bars.iter().zip(&labels) {
        let blanks = label_width - columns(label);
        let mut text = format!("{:INDENT$}{label}{:blanks$}{:GAP$}", "", "", "");
        if room > 0 {
            let length = bar_length(bar.value, most, room);
            text.push_str(&style.glyphs.bar.repeat(length));
            text.push_str(&" ".repeat(room - length + GAP));
        }
        text.push_str(&bar.note);
        line(out, &text, Tone::Plain, style)?;
    }
    Ok(())
}

/// How long a bar is. Whatever is not nothing can be seen.
fn bar_length(value: u64, most: u64, room: usize) -> usize {
    let length = u128::from(value) * room as u128 / u128::from(most);
    let length = usize::try_from(length).unwrap_or(room);
    if value > 0 { length.max(1) } else { 0 }
}

fn heading(out: &mut impl Write, text: &str, style: &Style) -> io::Result<()> {
    if let Some(text) = text.strip_prefix('\n') {
        writeln!(out)?;
        return line(out, text, Tone::Strong, style);
    }
    line(out, text, Tone::Strong, style)
}

fn line(out: &mut impl Write, text: &str, tone: Tone, style: &Style) -> io::Result<()> {
    let text = escape::line(text);
    let text = cut(text.trim_end(), style.width, style.glyphs.cut);
    writeln!(out, "{}", tone.paint(&text, style.color))
}

#[cfg(test)]
mod tests {
    use super::super::{ColorChoice, TerminalInfo, Zone};
    use super::*;
    use crate::domain::Timestamp;
    use crate::domain::stats::{DeliveryTimes, ErrorCount};

    fn counts(inbound: u64, outbound: u64) -> MessageCounts {
        MessageCounts {
            inbound,
            outbound,
            delivered: outbound,
            segments: outbound,
            cost: vec![Cost { amount: "0.0051".into(), currency: "USD".into() }],
            delivery_times: DeliveryTimes { within_5s: outbound, ..DeliveryTimes::default() },
            ..MessageCounts::default()
        }
    }

    fn stats() -> Stats {
        let row = |key: &str, inbound, outbound| StatsRow {
            key: key.into(),
            counts: counts(inbound, outbound),
        };
        Stats {
            since: None,
            until: None,
            complete: true,
            total: counts(3, 8),
            errors: vec![ErrorCount {
                code: Some("40002".into()),
                title: "Blocked \u{1b}[31mas spam".into(),
                hint: Some("a spam filter blocked it; reword it and send it again".into()),
                messages: 2,
            }],
            by: StatsBy::Day,
            rows: vec![row("2026-11-29", 3, 0), row("2026-11-30", 0, 8)],
            more: true,
        }
    }

    fn printed(width: usize, format: Option<Format>, dumb: bool) -> String {
        let terminal = TerminalInfo { stdout_is_terminal: true, ..TerminalInfo::default() };
        let now = Timestamp::from_micros(0);
        let style = terminal.style(format, ColorChoice::Never, Zone::UTC, now);
        let glyphs = if dumb { super::super::Glyphs::PLAIN } else { super::super::Glyphs::RICH };
        let style = Style { width, glyphs, ..style };
        let mut out = Vec::new();
        print(&mut out, &stats(), &style).expect("a vector takes all");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn charts_fit_any_width() {
        for width in 1..120 {
            for dumb in [false, true] {
                let text = printed(width, Some(Format::Table), dumb);
                assert!(text.lines().all(|line| columns(line) <= width), "{width}:\n{text}");
                assert!(!text.contains('\u{1b}'), "{text}");
                assert!(!dumb || text.is_ascii(), "{text}");
            }
        }
        let text = printed(80, Some(Format::Table), true);
        assert!(text.contains("  delivered  8 of 8 (100.0 %)\n"), "{text}");
        assert!(text.contains("  cost       0.0051 USD\n"), "{text}");
        assert!(text.contains("##  8 out, 100.0 % delivered\n"), "{text}");
        assert!(text.contains("reword it"), "{text}");
        assert!(text.ends_with("Only the last 2 are shown; --limit shows more.\n"), "{text}");
    }

    #[test]
    fn programs_get_one_group_a_line() {
        assert_eq!(
            printed(80, Some(Format::Lines), false).lines().last(),
            Some("2026-11-30\t0\t8\t8\t0\t0\t0\t0\t\t8\t0.0051 USD\t8\t0\t0\t0\t0\t0")
        );
        let csv = printed(80, Some(Format::Csv), false);
        assert!(csv.starts_with("key,inbound,outbound,delivered,"), "{csv}");
        assert!(csv.contains("\n\"2026-11-29\",3,0,"), "{csv}");
        let json: Stats =
            serde_json::from_str(&printed(80, Some(Format::Json), false)).expect("JSON");
        assert_eq!(json, stats());
    }

    #[test]
    fn what_is_not_nothing_can_be_seen() {
        assert_eq!(bar_length(0, 100, 10), 0);
        assert_eq!(bar_length(1, 1_000, 10), 1);
        assert_eq!(bar_length(500, 1_000, 10), 5);
        assert_eq!(bar_length(u64::MAX, u64::MAX, 10), 10);
    }
}
