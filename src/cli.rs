//! The command line: what may be typed, and nothing about what it does.
//!
//! These types are the one definition from which the parser, `--help`, the shell completions and
//! the manual pages are made. The environment is not read here; `config` combines both.

mod filter;
mod help;
mod moment;
mod parse;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueHint};
use url::Url;
use uuid::Uuid;

use crate::domain::Timestamp;
use crate::output::{ColorChoice, Format};

pub use filter::FilterArgs;
pub use help::{Page, page};
pub use moment::{Before, Moment};
pub use parse::{Refusal, parse};

/// The whole command line.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "convo",
    bin_name = "convo",
    version,
    about = "SMS threads over the Telnyx Messaging API",
    help_template = help::TEMPLATE,
    styles = help::STYLES,
    max_term_width = 100,
    disable_help_subcommand = true,
    subcommand_value_name = "COMMAND",
    subcommand_help_heading = "Commands",
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Play with a simulated Telnyx and a database of its own, sandbox.db
    #[arg(long, global = true)]
    pub sandbox: bool,
    /// Ask this convo server instead of opening the database [env: CONVO_SERVER]
    #[arg(long, global = true, value_name = "URL", value_hint = ValueHint::Url)]
    #[arg(value_parser = web_address)]
    pub server: Option<String>,
    /// Use colour: auto, always or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    #[arg(hide_possible_values = true, hide_default_value = true)]
    pub color: ColorChoice,
    /// Show times to people in UTC, not in the local time zone
    #[arg(long, global = true)]
    pub utc: bool,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// List the threads, most recently active first
    #[command(after_help = help::LIST.examples)]
    List(ListArgs),
    /// Show the thread with a contact
    #[command(after_help = help::SHOW.examples)]
    Show(ShowArgs),
    /// Send a text message
    #[command(after_help = help::SEND.examples)]
    Send(SendArgs),
    /// Send a message again whose outcome is unknown
    #[command(after_help = help::RETRY.examples)]
    Retry(RetryArgs),
    /// Receive Telnyx's webhooks and serve the REST API
    #[command(after_help = help::SERVE.examples)]
    Serve(ServeArgs),
    /// Settle what dead processes and lost answers left open
    #[command(after_help = help::SETTLE.examples)]
    Settle,
    /// Create the database's tables, or bring them up to date
    #[command(after_help = help::MIGRATE.examples)]
    Migrate,
    /// Copy a whole database into another, of either kind
    #[command(after_help = help::COPY.examples)]
    Copy(CopyArgs),
    /// Run a simulated Telnyx by itself, for any program to talk to
    #[command(after_help = help::SANDBOX.examples)]
    Sandbox(SandboxArgs),
    /// Print the OpenAPI document of the REST API
    #[command(after_help = help::OPENAPI.examples)]
    Openapi,
    /// Write the generated files of the repository below a directory
    #[command(hide = true)]
    Generate(GenerateArgs),
}

/// How much to print, and in which form.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct PrintArgs {
    /// Print at most the N newest [on a terminal: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    #[arg(conflicts_with = "all")]
    pub limit: Option<u64>,
    /// Print all [in a pipe, or with a format: always]
    #[arg(long)]
    pub all: bool,
    /// Print as table, json, jsonl, csv or ids
    #[arg(long, value_name = "FORMAT", hide_possible_values = true)]
    pub format: Option<Format>,
    /// The same as --format json; errors are told in JSON, too
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Never start a pager, however long the table or chat is
    #[arg(long)]
    pub no_pager: bool,
}

impl PrintArgs {
    /// The form that was asked for, if any.
    #[must_use]
    pub fn asked(&self) -> Option<Format> {
        if self.json { Some(Format::Json) } else { self.format }
    }
}

/// Arguments of `list`.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// Which threads, and in which order.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// How much, and how.
    #[command(flatten)]
    pub print: PrintArgs,
}

/// Arguments of `show`.
#[derive(Args, Clone, Debug)]
pub struct ShowArgs {
    /// The contact's number, or the thread's id, its beginning or its end
    #[arg(value_name = "CONTACT|ID", value_parser = NonEmptyStringValueParser::new())]
    pub thread: String,
    /// Only what came before this message (its id) or time (2h, 3d, a date, RFC 3339)
    #[arg(long, value_name = "ID|TIME", value_parser = moment::before)]
    pub before: Option<Before>,
    /// Also show what was reported about each message, and when
    #[arg(long)]
    pub history: bool,
    /// How much, and how.
    #[command(flatten)]
    pub print: PrintArgs,
}

/// Arguments of `send`.
#[derive(Args, Clone, Debug)]
pub struct SendArgs {
    /// The recipient's number with its country code, in any usual writing
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub to: String,
    /// The text; without it and without --media, standard input is read to its end
    #[arg(allow_hyphen_values = true)]
    pub text: Option<String>,
    /// Send from this one of our numbers
    #[arg(long, value_name = "NUMBER", value_parser = NonEmptyStringValueParser::new())]
    pub from: Option<String>,
    /// Send a file along, which makes it an MMS (may be repeated)
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub media: Vec<String>,
    /// The subject of an MMS
    #[arg(long)]
    pub subject: Option<String>,
    /// Let Telnyx send it later, 5 minutes to 5 days from now (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub at: Option<Timestamp>,
    /// Name this send: repeated under the same key, it goes out once
    #[arg(long, value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    pub idempotency_key: Option<String>,
    /// Offer it to Telnyx only once, whatever happens
    #[arg(long)]
    pub no_retry: bool,
    /// Tell what would be sent, and send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Wait until it is final, or until it is sent or delivered
    #[arg(long, value_name = "STATUS", num_args = 0..=1, require_equals = true)]
    #[arg(conflicts_with = "dry_run", hide_possible_values = true)]
    pub wait: Option<Option<Goal>>,
    /// Wait no longer than this, for example 30s or 2m [default: 60s]
    #[arg(long, value_name = "TIME", requires = "wait", value_parser = timeout)]
    pub timeout: Option<Duration>,
    /// Offer it although the contact has opted out, and let Telnyx decide
    #[arg(long)]
    pub despite_opt_out: bool,
    /// Print the message as a JSON object; errors are told in JSON, too
    #[arg(long)]
    pub json: bool,
}

/// What `send --wait` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Goal {
    /// The carrier has it
    Sent,
    /// It reached the recipient's phone
    Delivered,
}

/// Arguments of `retry`.
#[derive(Args, Clone, Debug)]
pub struct RetryArgs {
    /// The message's id, as send prints it
    #[arg(value_parser = message_id)]
    pub id: Uuid,
    /// Also after 24 hours, when Telnyx no longer knows it: if it was sent, it is sent twice
    #[arg(long)]
    pub force: bool,
    /// Print the message as a JSON object; errors are told in JSON, too
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Listen on this address [default: 127.0.0.1:5000] [env: CONVO_LISTEN]
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    pub listen: Option<String>,
}

/// Arguments of `copy`.
#[derive(Args, Clone, Debug)]
pub struct CopyArgs {
    /// The database to copy, as DATABASE_URL names one
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub from: String,
    /// The empty database that gets it all [default: the one of DATABASE_URL]
    #[arg(value_parser = NonEmptyStringValueParser::new(), conflicts_with = "release")]
    pub to: Option<String>,
    /// Give the copy up, or the old database back: let FROM take changes again
    #[arg(long)]
    pub release: bool,
    /// Print a JSON object; errors are told in JSON, too
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `sandbox`.
#[derive(Args, Clone, Debug)]
pub struct SandboxArgs {
    /// Listen on this address [default: 127.0.0.1:5001]
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    pub listen: Option<String>,
    /// Post the signed webhooks here
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, value_parser = web_address)]
    pub webhook_url: Option<String>,
    /// Keep the signing key in this file, so that it outlives the run
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub key_file: Option<PathBuf>,
}

/// Arguments of `generate`.
#[derive(Args, Clone, Debug)]
pub struct GenerateArgs {
    /// The directory that gets completions/, man/ and docs/openapi.json
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}

impl Cli {
    /// Whether failures are to be told as JSON.
    #[must_use]
    pub fn json_errors(&self) -> bool {
        match &self.command {
            Command::List(list) => list.print.asked().is_some_and(Format::is_json),
            Command::Show(show) => show.print.asked().is_some_and(Format::is_json),
            Command::Send(send) => send.json,
            Command::Retry(retry) => retry.json,
            Command::Copy(copy) => copy.json,
            _ => false,
        }
    }
}

/// The whole id of a message.
fn message_id(text: &str) -> Result<Uuid, String> {
    Uuid::try_parse(text).map_err(|_| "that is no whole id of a message".to_owned())
}

/// An instant that names its zone: without one, a message would go out hours off.
fn instant(text: &str) -> Result<Timestamp, String> {
    let wish = "write it as RFC 3339 with its zone, for example 2026-11-22T15:00:00+02:00";
    let time = chrono::DateTime::parse_from_rfc3339(text).map_err(|_| wish.to_owned())?;
    Ok(time.to_utc().into())
}

/// How long to wait; a number alone is seconds, as for `sleep`.
fn timeout(text: &str) -> Result<Duration, String> {
    let seconds = || text.parse().ok().map(Duration::from_secs);
    let wish = "write it with its unit, for example 30s, 2m or 1h";
    parse::time_span(text).or_else(seconds).ok_or_else(|| wish.to_owned())
}

/// The address of a web server, without a final slash.
fn web_address(text: &str) -> Result<String, String> {
    let wish = "write it with its scheme, for example http://127.0.0.1:5000";
    let url = Url::parse(text).map_err(|_| wish.to_owned())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wish.to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// An address to listen on: a name or an IP address, and a port.
fn host_and_port(text: &str) -> Result<String, String> {
    let parts = text.rsplit_once(':');
    let bare_ipv6 = |host: &str| host.contains(':') && !host.starts_with('[');
    match parts {
        Some((host, port))
            if !host.is_empty() && !bare_ipv6(host) && port.parse::<u16>().is_ok() =>
        {
            Ok(text.to_owned())
        }
        _ => Err("write it as HOST:PORT, for example 127.0.0.1:5000 or [::1]:5000".to_owned()),
    }
}
