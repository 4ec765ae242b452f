//! `convo watch --exec`: a command for each event, and its answers.

mod answer;
mod checkpoint;
mod child;
mod dispatch;
mod input;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::backend::Backend;
use crate::cli;
use crate::commands::context::Context;
use crate::commands::signals;
use crate::domain::{Direction, FeedFilter, FeedKind, FeedStart};
use crate::error::Error;
use answer::Answering;
use checkpoint::Checkpoint;
pub(super) use child::Program;
use dispatch::Dispatcher;

/// How old a text may be that is answered.
const MAX_AGE: Duration = Duration::from_secs(24 * 3_600);
/// How long a command may take.
const EXEC_TIMEOUT: Duration = Duration::from_secs(60);
/// What an unquoted character of `--exec` may not be: only a shell gives it a meaning.
const SHELL_ONLY: &str = "$|<>;&`";

/// Which command to run for each event, and what to do with its output.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Commands")]
pub(super) struct ExecArgs {
    /// Run this command once for each inbound message; no shell interprets it
    #[arg(long, value_name = "COMMAND", conflicts_with = "command", value_parser = words)]
    exec: Option<Words>,
    /// The same, as arguments of their own
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// Send what the command prints back to the contact, once
    #[arg(long, conflicts_with_all = ["kind", "direction", "status"])]
    reply: bool,
    /// Keep in this file how far everything is handled, and go on there
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// With --reply: pass over messages that are older than this [default: 24h]
    #[arg(long, value_name = "DURATION", value_parser = cli::duration, requires = "reply")]
    max_age: Option<Duration>,
    /// Give the command the last N messages of the conversation, too
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100))]
    history: Option<u64>,
    /// Handle so many contacts at the same time [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Run a command that failed so many times again, after a pause [default: 0]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100))]
    retries: Option<u32>,
    /// End a command that takes longer, with everything it started [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = cli::duration)]
    exec_timeout: Option<Duration>,
}

/// The words of a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Words(Vec<String>);

impl ExecArgs {
    /// The command to run for each event, if there is one.
    ///
    /// # Errors
    /// An option was given that means something only with a command.
    pub(super) fn program(&self) -> Result<Option<Program>, Error> {
        let words = match &self.exec {
            Some(Words(words)) => words,
            None => &self.command,
        };
        if let Some((name, arguments)) = words.split_first() {
            return Ok(Some(Program { name: name.clone(), arguments: arguments.to_vec() }));
        }
        let given = [
            ("--reply", self.reply),
            ("--checkpoint", self.checkpoint.is_some()),
            ("--history", self.history.is_some()),
            ("--jobs", self.jobs.is_some()),
            ("--retries", self.retries.is_some()),
            ("--exec-timeout", self.exec_timeout.is_some()),
        ];
        match given.iter().find(|(_, is_given)| *is_given) {
            Some((option, _)) => Err(Error::invalid(format!("{option} needs a command to run"))
                .hint("give one with --exec 'COMMAND', or after --")),
            None => Ok(None),
        }
    }

    /// Whether answers are sent, so that the database is written to.
    pub(super) fn replies(&self) -> bool {
        self.reply
    }

    /// The filter of the watch; without one of kind and direction, inbound messages.
    pub(super) fn filter(&self, given: FeedFilter) -> FeedFilter {
        if !given.kinds.is_empty() || given.direction.is_some() {
            return given;
        }
        let (kinds, direction) = (vec![FeedKind::Message], Some(Direction::Inbound));
        FeedFilter { kinds, direction, ..given }
    }

    /// Opens the checkpoint, and returns it with where to start: at its position, else where the watch
    /// would.
    ///
    /// # Errors
    /// The file cannot be used, or another watch uses it.
    pub(super) fn open_checkpoint(
        &self,
        context: &Context,
        start: FeedStart,
    ) -> Result<(Option<Checkpoint>, FeedStart), Error> {
        let Some(path) = &self.checkpoint else {
            input::warn(
                "without --checkpoint FILE, what happens while this is stopped is not handled",
            );
            return Ok((None, start));
        };
        let checkpoint = Checkpoint::open(context.directory.join(path))?;
        let start = checkpoint.position().map_or(start, FeedStart::After);
        Ok((Some(checkpoint), start))
    }

    /// Runs the command for each event until the watch is over.
    ///
    /// # Errors
    /// Those of the watch; a failure that concerns every message, such as a missing API key.
    pub(super) async fn run(
        &self,
        program: Program,
        backend: &Backend,
        events: super::WatchedEvents<'_>,
        checkpoint: Option<Checkpoint>,
    ) -> Result<(), Error> {
        let answering =
            self.reply.then(|| Answering::new(backend, self.max_age.unwrap_or(MAX_AGE)));
        let dispatcher = Dispatcher {
            program,
            backend,
            answering,
            history: self.history,
            jobs: self.jobs.unwrap_or(1).into(),
            retries: self.retries.unwrap_or(0),
            timeout: self.exec_timeout.unwrap_or(EXEC_TIMEOUT),
        };
        // Commands are in process groups of their own, so Ctrl-C at a terminal does not reach them.
        tokio::select! {
            ended = dispatcher.run(events, checkpoint) => ended,
            () = signals::requested() => Ok(()),
        }
    }
}

/// Splits the command of `--exec` into words, as a shell does, but gives nothing else a meaning.
fn words(text: &str) -> Result<Words, String> {
    if let Some(sign) = unquoted(text) {
        return Err(format!(
            "no shell runs it, so an unquoted {sign} has no meaning; quote it, or use: sh -c '…'"
        ));
    }
    match shlex::split(text) {
        Some(words) if !words.is_empty() => Ok(Words(words)),
        Some(_) => Err("give the command to run".to_owned()),
        None => Err("a quote in it is not closed".to_owned()),
    }
}

/// The first character outside quotes that only a shell gives a meaning; within double quotes, `$` and
/// backticks have one, too.
fn unquoted(text: &str) -> Option<char> {
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(sign) = characters.next() {
        match (quote, sign) {
            (None | Some('"'), '\\') => drop(characters.next()),
            (None, '\'' | '"') => quote = Some(sign),
            (Some(open), _) if open == sign => quote = None,
            (None, _) if SHELL_ONLY.contains(sign) => return Some(sign),
            (Some('"'), '$' | '`') => return Some(sign),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_into_words_without_a_shell() {
        for (text, expected) in [
            ("./answer.sh", &["./answer.sh"][..]),
            (
                "bot --say 'a $HOME; b' \"x | y\" z\\ z",
                &["bot", "--say", "a $HOME; b", "x | y", "z z"],
            ),
            ("sh -c 'cat | tr a b > \"$F\"'", &["sh", "-c", "cat | tr a b > \"$F\""]),
            ("say \\$5", &["say", "$5"]),
        ] {
            let expected = expected.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(words(text), Ok(Words(expected)), "{text}");
        }
        for text in ["a | b", "a > b", "a < b", "a; b", "a & b", "a $B", "a `b`", "a \"$B\""] {
            let refused = words(text).expect_err(text);
            assert!(refused.contains("sh -c"), "{refused}");
        }
        assert!(words("a 'b").is_err() && words("").is_err() && words("  ").is_err());
    }
}
