//! The commands, one file each: its arguments, its help and examples, and its `run`.

mod ask;
mod backup;
mod batch;
mod cancel;
mod chat;
mod complete;
mod completion;
mod config;
mod confirm;
mod contact;
mod context;
mod copy;
mod csv_lines;
mod doctor;
mod export;
mod follow;
mod forget;
mod forward;
pub mod generate;
mod health;
mod help;
mod import;
mod list;
mod listen;
mod man;
mod mark;
mod media;
mod migrate;
mod openapi;
mod outcome;
mod poll;
mod print;
mod progress;
mod prune;
mod read_marker;
mod restore;
mod retry;
mod sandbox;
mod search;
mod send;
mod serve;
mod setup;
mod show;
mod signals;
mod stats;
mod status_news;
mod sync;
#[cfg(test)]
mod tests;
mod wait;
mod watch;
mod webhook;

use clap::{Parser, Subcommand};

use crate::cli::{BackendArgs, GlobalArgs, HelpText, PROGRAM, STYLES};
use crate::config::Flags;
use crate::error::Error;
pub(crate) use complete::answered;
use context::Context;
pub(crate) use print::print_help;

/// The whole command line.
#[derive(Clone, Debug, Parser)]
#[command(
    name = PROGRAM,
    bin_name = PROGRAM,
    version = env!("CONVO_VERSION"),
    about = "SMS conversations over the Telnyx Messaging API",
    add = HELP,
    styles = STYLES,
    max_term_width = 100,
    disable_help_subcommand = true,
    subcommand_value_name = "COMMAND",
    subcommand_help_heading = "Commands",
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What is given before the command, which must accept it.
    #[command(flatten)]
    backend: BackendArgs,
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    List(list::ListArgs),
    Show(show::ShowArgs),
    Search(search::SearchArgs),
    Watch(watch::WatchArgs),
    Send(send::SendArgs),
    Ask(ask::AskArgs),
    Chat(chat::ChatArgs),
    Wait(wait::WaitArgs),
    Retry(retry::RetryArgs),
    Batch(batch::BatchArgs),
    Cancel(cancel::CancelArgs),
    Mark(mark::MarkArgs),
    Serve(serve::ServeArgs),
    Sync(sync::SyncArgs),
    Media(media::MediaArgs),
    Contact(contact::ContactArgs),
    /// Name a contact; short for contact name
    #[command(hide = true)]
    Name(contact::ContactNameArgs),
    Stats(stats::StatsArgs),
    Forward(forward::ForwardArgs),
    Webhook(webhook::WebhookArgs),
    Migrate(migrate::MigrateArgs),
    Forget(forget::ForgetArgs),
    Prune(prune::PruneArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Copy(copy::CopyArgs),
    Export(export::ExportArgs),
    Import(import::ImportArgs),
    Sandbox(sandbox::SandboxArgs),
    Health(health::HealthArgs),
    Doctor(doctor::DoctorArgs),
    Setup(setup::SetupArgs),
    Config(config::ConfigArgs),
    Openapi(openapi::OpenapiArgs),
    Completion(completion::CompletionArgs),
    Help(help::HelpArgs),
    Generate(generate::GenerateArgs),
}

impl Cli {
    /// Runs the command. `json` says whether its errors are printed as JSON.
    pub(crate) fn run(self, json: bool) -> Result<(), Error> {
        let Self { backend, global, command } = self;
        let flags = merged(command.flags(), backend.flags());
        let target = flags.target();
        let ended = command.run(|| Context::new(global, flags, json));
        // Here, because hints come from everywhere, and some from a server.
        ended.map_err(|error| match error.hint_text().map(|hint| target.add_to(hint)) {
            Some(hint) => error.hint(hint),
            None => error,
        })
    }
}

impl Command {
    fn flags(&self) -> Flags {
        match self {
            Self::List(args) => args.backend.flags(),
            Self::Show(args) => args.backend.flags(),
            Self::Search(args) => args.backend.flags(),
            Self::Watch(args) => args.backend.flags(),
            Self::Send(args) => args.backend.flags(),
            Self::Ask(args) => args.backend.flags(),
            Self::Chat(args) => args.backend.flags(),
            Self::Wait(args) => args.backend.flags(),
            Self::Retry(args) => args.backend.flags(),
            Self::Batch(args) => args.backend.flags(),
            Self::Cancel(args) => args.backend.flags(),
            Self::Mark(args) => args.backend.flags(),
            Self::Serve(args) => args.flags(),
            Self::Sync(args) => args.backend.flags(),
            Self::Media(args) => args.backend.flags(),
            Self::Contact(args) => args.flags(),
            Self::Name(args) => args.backend.flags(),
            Self::Stats(args) => args.backend.flags(),
            Self::Forward(args) => args.backend.flags(),
            Self::Webhook(args) => args.flags(),
            Self::Migrate(args) => args.flags(),
            Self::Forget(args) => args.backend.flags(),
            Self::Prune(args) => args.flags(),
            Self::Backup(args) => args.flags(),
            Self::Restore(args) => args.flags(),
            Self::Copy(args) => args.local.flags(),
            Self::Doctor(args) => args.backend.flags(),
            Self::Export(args) => args.backend.flags(),
            Self::Import(args) => args.flags(),
            Self::Config(args) => args.backend.flags(),
            Self::Sandbox(_)
            | Self::Health(_)
            | Self::Setup(_)
            | Self::Openapi(_)
            | Self::Completion(_)
            | Self::Help(_)
            | Self::Generate(_) => Flags::default(),
        }
    }

    fn run(self, context: impl FnOnce() -> Result<Context, Error>) -> Result<(), Error> {
        match self {
            Self::List(args) => args.run(&context()?),
            Self::Show(args) => args.run(&context()?),
            Self::Search(args) => args.run(&context()?),
            Self::Watch(args) => args.run(&context()?),
            Self::Send(args) => args.run(&context()?),
            Self::Ask(args) => args.run(&context()?),
            Self::Chat(args) => args.run(&context()?),
            Self::Wait(args) => args.run(&context()?),
            Self::Retry(args) => args.run(&context()?),
            Self::Batch(args) => args.run(&context()?),
            Self::Cancel(args) => args.run(&context()?),
            Self::Mark(args) => args.run(&context()?),
            Self::Serve(args) => args.run(&context()?),
            Self::Sync(args) => args.run(&context()?),
            Self::Media(args) => args.run(&context()?),
            Self::Contact(args) => args.run(&context()?),
            Self::Name(args) => args.run(&context()?),
            Self::Stats(args) => args.run(&context()?),
            Self::Forward(args) => args.run(&context()?),
            Self::Webhook(args) => args.run(&context()?),
            Self::Migrate(args) => args.run(&context()?),
            Self::Forget(args) => args.run(&context()?),
            Self::Prune(args) => args.run(&context()?),
            Self::Backup(args) => args.run(&context()?),
            Self::Restore(args) => args.run(&context()?),
            Self::Copy(args) => args.run(&context()?),
            Self::Export(args) => args.run(&context()?),
            Self::Import(args) => args.run(&context()?),
            Self::Sandbox(args) => args.run(&context()?),
            Self::Health(args) => args.run(&context()?),
            Self::Doctor(args) => args.run(&context()?),
            Self::Setup(args) => args.run(&context()?),
            Self::Config(args) => args.run(&context()?),
            Self::Openapi(args) => args.run(),
            Self::Completion(args) => args.run(),
            Self::Help(args) => args.run(),
            Self::Generate(args) => args.run(),
        }
    }
}

/// The options behind the command, and those before it.
fn merged(behind: Flags, before: Flags) -> Flags {
    Flags {
        sandbox: behind.sandbox || before.sandbox,
        server: behind.server.or(before.server),
        local: behind.local || before.local,
        ..behind
    }
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo serve --sandbox
  convo send +12125551234 \"Hello\"
  convo show +12125551234",
    description: "\
convo groups inbound and outbound SMS by contact into lasting conversations. convo serve receives \
Telnyx's webhooks and serves a REST API; the other commands read and write the same conversations, \
directly in the database or through a server given with --server. Options of a command may also \
be given before it: convo --sandbox list.",
    output: "\
Data goes to standard output, messages for people to standard error. On a terminal, convo prints \
tables and chats that fit its width, with times in the local time zone. Text from other people is \
displayed, never interpreted: a character that would control the terminal is shown as \\u{HEX}. The \
parts of a composed emoji are shown side by side, because terminals disagree on its width.

In a pipe, each record is one line with fields separated by TAB, times in RFC 3339 and UTC, nothing \
truncated and no header. In a field, \\\\ represents a backslash, \\t a TAB, \\n and \\r line \
breaks, and \\u{HEX} any other control or text-direction character.

csv shows those characters in the same way, except for line breaks and TABs, and quotes all text; a \
value that begins with = + - or @ and is not a phone number is prefixed with an apostrophe, so that \
a spreadsheet does not execute it. JSON escapes them as \\uXXXX and loses nothing.",
};
