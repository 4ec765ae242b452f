//! Records for programs: the same columns, separated by TABs or as CSV.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;

use super::{Format, escape, json};
use crate::domain::stats::StatsRow;
use crate::domain::{Conversation, Message, SearchHit};

/// A row of a listing.
pub trait Record: Serialize {
    /// The names of its columns. They are stable; more may be added at the end.
    const COLUMNS: &'static [&'static str];
    /// Those of them that hold numbers: counts and phone numbers.
    const NUMBERS: &'static [&'static str];

    /// What `ids` prints.
    fn id(&self) -> Option<Cow<'_, str>>;

    /// Its values in the order of the columns; a missing value is empty.
    fn values(&self) -> Vec<Cow<'_, str>>;
}

impl Record for Conversation {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "contact_number",
        "message_count",
        "last_message_at",
        "direction",
        "status",
        "opted_out_at",
        "body",
        "subject",
        "cc",
        "unread_count",
        "contact_name",
    ];
    const NUMBERS: &'static [&'static str] = &["contact_number", "message_count", "unread_count"];

    fn id(&self) -> Option<Cow<'_, str>> {
        Some(self.id.to_string().into())
    }

    fn values(&self) -> Vec<Cow<'_, str>> {
        let last = self.last_message.as_ref();
        vec![
            self.id.to_string().into(),
            self.contact_number.as_str().into(),
            self.message_count.to_string().into(),
            self.last_message_at.to_string().into(),
            last.map_or("", |last| last.direction.as_str()).into(),
            last.map_or("", |last| last.status.as_str()).into(),
            self.opted_out_at.map(|at| at.to_string()).unwrap_or_default().into(),
            last.map_or("", |last| &last.body).into(),
            last.and_then(|last| last.subject.as_deref()).unwrap_or_default().into(),
            last.map(|last| last.cc.join(" ")).unwrap_or_default().into(),
            self.unread_count.to_string().into(),
            self.contact_name.as_deref().unwrap_or_default().into(),
        ]
    }
}

impl Record for Message {
    const COLUMNS: &'static [&'static str] = &[
        "created_at",
        "direction",
        "status",
        "from",
        "to",
        "body",
        "id",
        "error",
        "media",
        "history",
        "subject",
        "cc",
    ];
    const NUMBERS: &'static [&'static str] = &["from", "to"];

    fn id(&self) -> Option<Cow<'_, str>> {
        Some(self.id.to_string().into())
    }

    fn values(&self) -> Vec<Cow<'_, str>> {
        let media: Vec<_> = self.media.iter().map(|media| media.url.as_str()).collect();
        let history = self.history.iter().flatten();
        let history: Vec<_> =
            history.map(|report| format!("{}@{}", report.status, report.occurred_at)).collect();
        vec![
            self.created_at.to_string().into(),
            self.direction.as_str().into(),
            self.status.as_str().into(),
            self.from.as_str().into(),
            self.to.as_str().into(),
            self.body.as_str().into(),
            self.id.to_string().into(),
            self.error.as_ref().map(ToString::to_string).unwrap_or_default().into(),
            media.join(" ").into(),
            history.join(" ").into(),
            self.subject.as_deref().unwrap_or_default().into(),
            self.cc.join(" ").into(),
        ]
    }
}

impl Record for SearchHit {
    const COLUMNS: &'static [&'static str] = &[
        "created_at",
        "direction",
        "status",
        "from",
        "to",
        "body",
        "id",
        "contact_number",
        "conversation_id",
        "subject",
        "cc",
        "contact_name",
    ];
    const NUMBERS: &'static [&'static str] = &["from", "to", "contact_number"];

    fn id(&self) -> Option<Cow<'_, str>> {
        Some(self.message.id.to_string().into())
    }

    fn values(&self) -> Vec<Cow<'_, str>> {
        let message = &self.message;
        vec![
            message.created_at.to_string().into(),
            message.direction.as_str().into(),
            message.status.as_str().into(),
            message.from.as_str().into(),
            message.to.as_str().into(),
            message.body.as_str().into(),
            message.id.to_string().into(),
            self.contact_number.as_str().into(),
            message.conversation_id.to_string().into(),
            message.subject.as_deref().unwrap_or_default().into(),
            message.cc.join(" ").into(),
            self.contact_name.as_deref().unwrap_or_default().into(),
        ]
    }
}

impl Record for StatsRow {
    const COLUMNS: &'static [&'static str] = &[
        "key",
        "inbound",
        "outbound",
        "delivered",
        "unconfirmed",
        "failed",
        "cancelled",
        "open",
        "delivery_rate",
        "segments",
        "cost",
        "within_5s",
        "within_15s",
        "within_1m",
        "within_5m",
        "within_1h",
        "later",
    ];
    const NUMBERS: &'static [&'static str] = Self::COLUMNS;

    fn id(&self) -> Option<Cow<'_, str>> {
        Some(self.key.as_str().into())
    }

    fn values(&self) -> Vec<Cow<'_, str>> {
        let counts = &self.counts;
        let cost = counts.cost.iter().map(|cost| format!("{} {}", cost.amount, cost.currency));
        let mut values: Vec<Cow<'_, str>> = vec![self.key.as_str().into()];
        let leading = [
            counts.inbound,
            counts.outbound,
            counts.delivered,
            counts.unconfirmed,
            counts.failed,
            counts.cancelled,
            counts.open,
        ];
        values.extend(leading.map(|count| count.to_string().into()));
        values.push(counts.delivery_rate.map(|rate| rate.to_string()).unwrap_or_default().into());
        values.push(counts.segments.to_string().into());
        values.push(cost.collect::<Vec<_>>().join(", ").into());
        values.extend(counts.delivery_times.buckets().map(|(_, count)| count.to_string().into()));
        values
    }
}

/// Writes one page of records, one a line (in CSV one a row).
///
/// # Errors
/// Writing to `out` failed.
pub fn write<R: Record>(out: &mut impl Write, format: Format, page: &[R]) -> io::Result<()> {
    match format {
        // Not all of Telnyx's ids are UUIDs.
        Format::Ids => {
            page.iter().filter_map(R::id).try_for_each(|id| writeln!(out, "{}", escape::field(&id)))
        }
        Format::Jsonl => page.iter().try_for_each(|record| json::write_line(out, record)),
        Format::Csv => page.iter().try_for_each(|record| csv(out, record)),
        Format::Lines | Format::Table | Format::Json => {
            page.iter().try_for_each(|record| line(out, &record.values()))
        }
    }
}

/// Writes the header line, where the format has one.
///
/// # Errors
/// Writing to `out` failed.
pub fn header<R: Record>(out: &mut impl Write, format: Format) -> io::Result<()> {
    match format {
        Format::Csv => writeln!(out, "{}", R::COLUMNS.join(",")),
        _ => Ok(()),
    }
}

fn line(out: &mut impl Write, values: &[Cow<'_, str>]) -> io::Result<()> {
    for (at, value) in values.iter().enumerate() {
        let separator: &[u8] = if at == 0 { b"" } else { b"\t" };
        out.write_all(separator)?;
        out.write_all(escape::field(value).as_bytes())?;
    }
    out.write_all(b"\n")
}

/// Writes one row of CSV. Text is quoted, so that a program with another separator does not split
/// it; counts and phone numbers in their columns are not, so that they are numbers everywhere.
fn csv<R: Record>(out: &mut impl Write, record: &R) -> io::Result<()> {
    for (at, (column, value)) in R::COLUMNS.iter().zip(record.values()).enumerate() {
        let separator = if at == 0 { "" } else { "," };
        if R::NUMBERS.contains(column) && escape::is_number(&value) {
            write!(out, "{separator}{value}")?;
        } else {
            write!(out, "{separator}\"{}\"", escape::cell(&value).replace('"', "\"\""))?;
        }
    }
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::super::samples::{conversation, failed, inbound, with_history};
    use super::*;
    use proptest::prelude::*;

    fn written<R: Record>(format: Format, page: &[R]) -> String {
        let mut out = Vec::new();
        header::<R>(&mut out, format).expect("a vector takes all");
        write(&mut out, format, page).expect("a vector takes all");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_pipe_gets_one_line_with_escaped_fields() {
        assert_eq!(
            written(Format::Lines, &[conversation("a\tb\nc\\d\x1b[2J")]),
            "01890000-0000-7000-8000-0000e6f70819\t+12125551234\t4\t2026-06-18T14:30:00.000000Z\t\
             inbound\treceived\t\ta\\tb\\nc\\\\d\\u{1b}[2J\t\t\t0\t\n"
        );
        assert_eq!(
            written(Format::Lines, &[failed("Hi")]),
            "2026-06-18T14:31:00.000000Z\toutbound\tdelivery_failed\t+15551234567\t+12125551234\t\
             Hi\t01890000-0000-7000-8000-000000000002\tBlocked: as spam (Telnyx error 40002)\t\t\t\t\n"
        );
    }

    #[test]
    fn a_history_is_one_field() {
        let line = written(Format::Lines, &[with_history(failed("Hi"))]);
        let expected =
            "sent@2026-06-18T14:31:01.000000Z delivery_failed@2026-06-18T14:31:02.000000Z";
        assert_eq!(line.trim_end().rsplit('\t').next(), Some(expected));
    }

    #[test]
    fn csv_names_its_columns_and_defuses_formulas() {
        assert_eq!(
            written(Format::Csv, &[inbound("=1+1, \"two\"\nlines")]),
            "created_at,direction,status,from,to,body,id,error,media,history,subject,cc\n\
             \"2026-06-18T14:29:00.000000Z\",\"inbound\",\"received\",+12125551234,+15551234567,\
             \"'=1+1, \"\"two\"\"\nlines\",\"01890000-0000-7000-8000-000000000001\",\
             \"\",\"\",\"\",\"\",\"\"\n"
        );
        let line = |body: &str| written(Format::Csv, &[conversation(body)]);
        for (body, cell) in [
            ("hi;=cmd|' /C calc'!A0", "\"hi;=cmd|' /C calc'!A0\""),
            ("a\t=1+1", "\"a\t=1+1\""),
            ("-2+3", "\"'-2+3\""),
            ("@SUM(1)", "\"'@SUM(1)\""),
            ("+1+1", "\"'+1+1\""),
            ("+12125551234", "\"+12125551234\""),
            ("+12125551234+1", "\"'+12125551234+1\""),
            ("+0123456789", "\"'+0123456789\""),
            ("123", "\"123\""),
            ("\"", "\"\"\"\""),
        ] {
            let (lines, count) = (line(body), format!(",{},", conversation(body).message_count));
            assert!(lines.contains(&format!(",{cell},")), "{lines}");
            assert!(lines.contains("\",+12125551234,") && lines.contains(&count), "{lines}");
        }
        let mut named = conversation("Hi");
        named.contact_number = crate::domain::PhoneNumber::from_stored("=ACME".into());
        assert!(written(Format::Csv, &[named]).contains(",\"'=ACME\","));
    }

    proptest! {
        #[test]
        fn csv_reads_back(body in "[a-z0-9=+@;, \"\t\n-]{0,20}") {
            let text = written(Format::Csv, &[inbound(&body)]);
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            let rows: Vec<_> = reader.records().map(|row| row.expect("a row")).collect();
            let safe = escape::cell(&body).into_owned();
            prop_assert_eq!(rows.len(), 1);
            prop_assert_eq!(rows[0].len(), Message::COLUMNS.len());
            prop_assert_eq!(&rows[0][5], safe.as_str());
            prop_assert_eq!(&rows[0][3], "+12125551234");
        }
    }

    #[test]
    fn columns_and_values_are_as_many() {
        assert_eq!(conversation("x").values().len(), Conversation::COLUMNS.len());
        assert_eq!(inbound("x").values().len(), Message::COLUMNS.len());
    }

    #[test]
    fn ids_and_json_lines() {
        let page = [inbound("a\u{202e}"), failed("b")];
        assert_eq!(
            written(Format::Ids, &page),
            "01890000-0000-7000-8000-000000000001\n01890000-0000-7000-8000-000000000002\n"
        );
        let lines = written(Format::Jsonl, &page);
        assert!(lines.contains("\"a\\u202e\""), "{lines}");
        let back: Vec<Message> =
            lines.lines().map(|line| serde_json::from_str(line).expect("a message")).collect();
        assert_eq!(back, page);
    }
}
