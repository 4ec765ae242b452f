//! The arguments of `convo batch`.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueHint};

use super::hours::Hours;
use super::pace::Rate;
use super::results;
use crate::cli::{self, BackendArgs, Group, HelpText, JsonArgs, value};
use crate::commands::context::Context;
use crate::domain::BatchId;
use crate::error::Error;
use crate::output::escape;

/// Send a text to many, each once
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(in super::super) struct BatchArgs {
    /// The recipients: CSV with the names of its columns, or JSON lines; - for standard input
    #[arg(value_name = "FILE|-", value_parser = NonEmptyStringValueParser::new())]
    #[arg(value_hint = ValueHint::FilePath, allow_hyphen_values = true)]
    pub(super) file: String,
    /// The text, with columns of the file: 'Hi {name}'; without it, the column text
    #[arg(long, value_name = "TEMPLATE", value_parser = NonEmptyStringValueParser::new())]
    #[arg(allow_hyphen_values = true)]
    pub(super) text: Option<String>,
    /// The name of the batch, within which each row is sent once [default: by file and text]
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub(super) id: Option<String>,
    /// Send from this number of yours
    #[arg(long, value_name = "NUMBER", value_parser = NonEmptyStringValueParser::new())]
    pub(super) from: Option<String>,
    /// Send so many from each number: 6/min, 1/s, 300/h [default: by kind of number]
    #[arg(long, value_name = "RATE", value_parser = str::parse::<Rate>)]
    pub(super) rate: Option<Rate>,
    /// Send only between these hours: 09:00-20:00, or 09:00-20:00@Europe/Berlin
    #[arg(long, value_name = "HOURS", value_parser = str::parse::<Hours>)]
    pub(super) between: Option<Hours>,
    /// Send at most so many rows now
    #[arg(short = 'L', long, value_name = "N", value_parser = value::count)]
    pub(super) limit: Option<u64>,
    /// Where to write what became of each row, as CSV [default: FILE.result.csv]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) result: Option<PathBuf>,
    /// Wait until every status is final
    #[arg(long, conflicts_with = "dry_run")]
    pub(super) wait: bool,
    /// Wait no longer than this, for example 15m [default: 60s]
    #[arg(long, value_name = "DURATION", requires = "wait", value_parser = cli::duration)]
    pub(super) timeout: Option<Duration>,
    /// Do not ask
    #[arg(long)]
    pub(super) yes: bool,
    /// Only check the file, and send nothing
    #[arg(long, conflicts_with = "yes")]
    pub(super) dry_run: bool,
    /// Send even to contacts that have got CONVO_SEND_LIMIT texts (60) within the hour
    #[arg(long)]
    pub(super) despite_send_limit: bool,
    #[command(flatten)]
    pub(super) json: JsonArgs,
    #[command(flatten)]
    pub backend: BackendArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo batch customers.csv --text 'Hi {name}, your order {order} is ready' --dry-run
  convo batch customers.csv --text 'Hi {name}, your order {order} is ready'
  convo batch texts.jsonl --id december --rate 1/s --between 09:00-20:00 --yes
  mlr --csv filter '$due' all.csv | convo batch - --text 'Please call us' --yes",
    description: "\
The file has a row for each text: the recipient's number or whole name in the column to (or number, \
phone, contact), and if they are there, the text in the column text, a key of the row in key, and the sender in from. With \
--text, {name} stands for the value of a column, and {{ and }} for braces.

First the whole file is checked, and nothing is sent: numbers, missing columns and values, repeated \
rows, contacts that have opted out, what a batch sent to the same contact within the last 24 hours, \
how many segments it takes, and about what they cost. A file with a row that cannot be sent is refused \
(exit code 2). On a terminal convo then asks; elsewhere --yes is needed.

Then each row is sent once. A row is known by its key, or else by its contact and text, never by its \
line; a batch by --id, or else by its file and text. Run again, whatever ended it before, the same \
command goes on, and nobody gets a text twice; with --id, a changed file sends what is new in it. A \
batch that is finished is refused as long as it is unchanged (exit code 2).

Texts go out at the pace that Telnyx sends them from a number of that kind: 6 a minute from a long \
code, 20 a second from a toll-free number, 50 from a short code. Several numbers take turns, except \
that a contact gets its text from the one that it last wrote to. Where Telnyx asks for a slower pace, \
it is halved, and recovers. Ctrl-C lets what was begun end; then the same command goes on.

The result file has a line for each row as soon as it is known what became of it. docs/batch.md says more.",
    output: "\
One line for each row, its fields separated by TAB:

  row  key  to  id  status  error

row is the line in the file. status is that of the message, or double, opted_out, refused or not_sent. On \
a terminal only rows with an error are printed. With --json, one object a line with the same fields. The \
summary is on standard error. With --dry-run the fields are row, key, to, state (new, sent, double or \
opted_out), encoding and segments.

The exit code is that of the worst row, in this order: 9 the outcome is unknown, 4 not allowed, 5 not \
sent for now, 6 refused or failed, 8 no final status in time, 7 opted out, 0.",
};

impl BatchArgs {
    pub(super) fn check_arguments(&self, context: &Context) -> Result<(), Error> {
        let is_terminal = context.terminal.stdin_is_terminal;
        if self.file == "-" && is_terminal {
            return Err(Error::invalid("standard input is a terminal")
                .hint("name a file, or pipe the rows into convo batch -"));
        }
        if !self.yes && !self.dry_run && !is_terminal {
            return Err(Error::invalid("sending to many cannot be undone")
                .hint("look with --dry-run what would be sent, then give --yes"));
        }
        if self.wait && self.result_path(context).is_none() {
            return Err(Error::invalid("--wait needs a result file when standard input is read")
                .hint("name one with --result FILE"));
        }
        Ok(())
    }

    /// Where the results go; `None` for standard input without `--result`.
    pub(super) fn result_path(&self, context: &Context) -> Option<PathBuf> {
        match &self.result {
            Some(path) => Some(context.directory.join(path)),
            None if self.file == "-" => None,
            None => Some(results::beside(&context.directory.join(&self.file))),
        }
    }

    /// The command that goes on where this one has stopped.
    pub(super) fn command(&self, id: &BatchId) -> String {
        let mut words = vec!["batch".to_owned(), self.file.clone()];
        let mut option = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                words.extend([name.to_owned(), value]);
            }
        };
        option("--text", self.text.clone());
        option("--id", Some(id.to_string()));
        option("--from", self.from.clone());
        option("--rate", self.rate.map(|rate| rate.to_string()));
        option("--between", self.between.map(|hours| hours.to_string()));
        option("--result", self.result.as_ref().map(|path| path.display().to_string()));
        for (name, is_given) in
            [("--wait", self.wait), ("--despite-send-limit", self.despite_send_limit)]
        {
            words.extend(is_given.then(|| name.to_owned()));
        }
        // Only NUL cannot be quoted, which no argument contains.
        let quoted = shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default();
        format!("convo {}", escape::line(&quoted))
    }
}
