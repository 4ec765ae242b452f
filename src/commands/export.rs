//! `convo export`: everything, as JSON lines, CSV or a transcript.

mod media;

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum, ValueHint};
use clap_complete::engine::ArgValueCompleter;

use super::complete;
use super::context::Context;
use super::print::{PrintError, finish, stdout};
use crate::backend::Backend;
use crate::backend::export::ExportSource;
use crate::backend::media::MediaBackend;
use crate::cli::{BackendArgs, Group, HelpText, Moment, moment};
use crate::domain::{ExportFilter, ExportLine, Selector};
use crate::error::{Code, Error};
use crate::output::export::{CsvExport, Transcript};
use crate::output::{Zone, escape};
use crate::store::Purpose;
use media::ExportedMedia;

/// Export conversations as JSON lines, CSV or a transcript
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
#[command(mut_arg("contact", |arg| arg.add(ArgValueCompleter::new(complete::contacts))))]
pub(super) struct ExportArgs {
    /// Only the conversation with this contact: a number, a name or a full id
    #[arg(long, value_name = "CONTACT", value_parser = NonEmptyStringValueParser::new())]
    contact: Option<String>,
    /// Only messages since: 2h, 3d, today, yesterday, 09:00, a date or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Moment>,
    /// Only messages before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Moment>,
    /// Also the webhook events as they came
    #[arg(long)]
    raw: bool,
    /// Also save media files, those that are still kept, to this directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    media: Option<PathBuf>,
    /// Export as jsonl, csv or text [default: jsonl]
    #[arg(long, value_name = "FORMAT", hide_possible_values = true)]
    format: Option<ExportForm>,
    /// Short for --format jsonl; errors are printed as JSON, too
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Write to this new file, which only you can read, instead of standard output
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
    #[command(flatten)]
    pub backend: BackendArgs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ExportForm {
    #[default]
    Jsonl,
    Csv,
    Text,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo export --out conversations.jsonl
  convo export --since 2026-01-01 --format csv > 2026.csv
  convo export --contact +12125551234 --format text --out ada.txt --media pictures
  convo export --raw | gzip > all.jsonl.gz",
    description: "\
JSON lines lose nothing: convo import reads them back into any database, SQLite or PostgreSQL. They \
hold the conversations, the messages with everything that is known of them, their delivery reports, \
opt-outs, and the ids of merged messages; with --raw also the webhook events. Idempotency keys, the \
feed and the places of forwarding are not exported: convo copy takes those along.

The export is read page by page and needs little memory, however long it is. What changes meanwhile \
may or may not be in it. With --since or --until, only messages between those times are exported, \
and the conversations that have any. Opt-outs have no part in that: all of them are exported, or with \
--contact that of the contact. With --contact, --raw exports the events that name that number.

--media saves the media files of the exported messages that are kept (see convo media), each named by the \
id of its message and its number in it: 0190a1b2-c3d4-7000-8000-5e6f70819203-1.jpg. What is in the directory \
already is not saved again, so that an export can be continued. The exit code is 5 if a file could not be read.

With --server, the token must have the scope admin.",
    output: "\
jsonl is one JSON object a line. The first has the type convo_export and the version of the format, \
the last the type end and the number of lines before it; between them are opt_out, conversation, \
message, report, merged and event. docs/moving.md describes their fields.

csv has one message a line, below a header line:

  contact_number  created_at  direction  status  from  to  body  id
  conversation_id  telnyx_message_id  subject  media  recipients  cc
  segments  cost  currency  error

text is a transcript for reading, with times in the local time zone, or in UTC with --utc.",
};

impl ExportArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let format = self.format.unwrap_or_default();
        if self.raw && format != ExportForm::Jsonl {
            return Err(Error::invalid("--raw is for JSON lines only").hint("leave out --format"));
        }
        let style = context.style(None);
        let past = |moment: Option<Moment>| moment.map(|moment| moment.past(style.now, style.zone));
        let filter = ExportFilter {
            contact: self.contact.as_deref().map(Selector::new),
            since: past(self.since),
            until: past(self.until),
            raw: self.raw,
        };
        context.block_on(async {
            let backend = context.backend(Purpose::Read).await?;
            let is_terminal = context.terminal.stdout_is_terminal;
            let layout = ExportLayout { format, zone: style.zone, is_terminal };
            let ended = async {
                let mut media = self.media(context).await?;
                let exported =
                    self.export(&backend, filter, layout, &context.directory, &mut media).await;
                match media {
                    Some(media) => exported.and(media.end().await),
                    None => exported,
                }
            };
            let ended = ended.await;
            backend.close().await;
            ended
        })
    }

    async fn media(&self, context: &Context) -> Result<Option<ExportedMedia>, Error> {
        let Some(directory) = &self.media else { return Ok(None) };
        let backend = MediaBackend::open(&context.config).await?;
        ExportedMedia::new(backend, context.directory.join(directory)).map(Some)
    }

    async fn export(
        &self,
        backend: &Backend,
        filter: ExportFilter,
        layout: ExportLayout,
        directory: &Path,
        media: &mut Option<ExportedMedia>,
    ) -> Result<(), Error> {
        // First, so that no file is created for an unknown contact.
        let source = backend.export(filter).await?;
        let Some(path) = &self.out else {
            return finish(print(source, layout, stdout(), media).await);
        };
        let path = directory.join(path);
        let layout = ExportLayout { is_terminal: false, ..layout };
        let written = print(source, layout, BufWriter::new(create(&path)?), media).await;
        written.map_err(|error| {
            // Half an export must not be taken for a whole one.
            let _ = std::fs::remove_file(&path);
            match error {
                PrintError::Read(error) => error,
                PrintError::Write(error) => cannot_write(&path, &error),
            }
        })
    }
}

fn create(path: &Path) -> Result<File, Error> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Error::invalid(format!("{} exists already", path.display()))
                .hint("give the name of a new file")
        }
        _ => Error::invalid(format!("cannot create {}: {error}", path.display()))
            .hint("check the directory and its permissions"),
    })
}

fn cannot_write(path: &Path, error: &io::Error) -> Error {
    Error::new(Code::Internal, format!("cannot write to {}: {error}", path.display()))
        .hint("the file was removed, because it was incomplete")
}

/// How an export is printed.
#[derive(Clone, Copy, Debug)]
struct ExportLayout {
    format: ExportForm,
    zone: Zone,
    is_terminal: bool,
}

/// What prints the lines of an export.
enum Printer<W: Write> {
    /// As they come.
    Bytes(W),
    /// The same for a terminal, which nothing that a server sends may control.
    Escaped(W),
    Csv(CsvExport<W>),
    Text(Transcript<W>),
}

async fn print<W: Write>(
    mut source: ExportSource,
    layout: ExportLayout,
    mut out: W,
    media: &mut Option<ExportedMedia>,
) -> Result<(), PrintError> {
    let mut printer = match layout.format {
        ExportForm::Jsonl if layout.is_terminal => Printer::Escaped(&mut out),
        ExportForm::Jsonl => Printer::Bytes(&mut out),
        ExportForm::Csv => Printer::Csv(CsvExport::begin(&mut out)?),
        ExportForm::Text => Printer::Text(Transcript::new(&mut out, layout.zone)),
    };
    let mut rest: Vec<u8> = Vec::new();
    let mut is_whole = false;
    while let Some(bytes) = source.next().await? {
        if let Printer::Bytes(out) = &mut printer {
            out.write_all(&bytes)?;
        }
        rest.extend_from_slice(&bytes);
        let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else { continue };
        let lines: Vec<u8> = rest.drain(..=end).collect();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            is_whole = line.starts_with(END);
            match &mut printer {
                Printer::Bytes(_) => {}
                Printer::Escaped(out) => {
                    writeln!(out, "{}", escape::line(&String::from_utf8_lossy(line)))?;
                }
                Printer::Csv(csv) => csv.line(&parse(line)?)?,
                Printer::Text(text) => text.line(&parse(line)?)?,
            }
            if let Some(media) = media {
                media.add(line).await?;
            }
        }
    }
    drop(printer);
    out.flush()?;
    if is_whole { Ok(()) } else { Err(unreadable("it has no last line").into()) }
}

/// The beginning of the last line.
const END: &[u8] = br#"{"type":"end""#;

fn parse(line: &[u8]) -> Result<ExportLine, Error> {
    ExportLine::parse(line).map_err(|error| unreadable(&error.to_string()))
}

fn unreadable(why: &str) -> Error {
    Error::new(Code::ServerMismatch, format!("the server's export cannot be read: {why}"))
        .hint("use the version of convo that the server runs")
}
