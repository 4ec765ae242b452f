//! `convo ask`: one text to one contact, and the text that the contact answers with.

mod search;
mod wait;

use std::io::Write;
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use clap_complete::engine::ArgValueCompleter;
use regex::{Regex, RegexBuilder};
use serde::Serialize;

use super::complete;
use super::context::Context;
use super::outcome::{Reporter, with_key};
use super::print::{finish_write, stdout};
use super::send::{check_settings, input};
use super::signals;
use crate::backend::Backend;
use crate::cli::{self, BackendArgs, Group, HelpText, JsonArgs};
use crate::domain::{CheckedRequest, Draft, IdempotencyKey, Message, Recipient, SendRequest};
use crate::error::Error;
use crate::output::{self, Format, Style, escape, json};
use crate::stdio;
use crate::store::Purpose;
use wait::Patience;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// The most memory that a compiled pattern may take, in bytes.
const PATTERN_LIMIT: usize = 1024 * 1024;

/// Send a question and print the answer
#[derive(Args, Clone, Debug)]
#[command(add = Group::More, add = HELP, after_help = HELP.examples)]
pub(super) struct AskArgs {
    /// The contact: a number with its country code, a whole name, or the full id of a conversation
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    #[arg(add = ArgValueCompleter::new(complete::contacts))]
    to: String,
    /// The question; - reads it from standard input
    #[arg(allow_hyphen_values = true)]
    text: String,
    /// Accept only an answer that matches this regular expression
    #[arg(long = "match", value_name = "REGEX", value_parser = pattern)]
    pattern: Option<Regex>,
    /// Wait no longer than this, for example 30s, 15m or 2h [default: 10m]
    #[arg(long, value_name = "DURATION", value_parser = cli::duration)]
    timeout: Option<Duration>,
    /// Send the question only once, even if this command is repeated with the same key
    #[arg(long, value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    idempotency_key: Option<String>,
    /// Send from this number of yours
    #[arg(long, value_name = "NUMBER", value_parser = NonEmptyStringValueParser::new())]
    #[arg(add = ArgValueCompleter::new(complete::own_numbers))]
    from: Option<String>,
    #[command(flatten)]
    json: JsonArgs,
    #[command(flatten)]
    pub backend: BackendArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  answer=$(convo ask +12125551234 --match '^(?i)(yes|no)$' \"Deploy? yes/no\")
  convo ask +12125551234 \"When will you be here?\" --timeout 2h
  convo ask +12125551234 \"Deploy 17?\" --idempotency-key deploy-17",
    description: "\
The answer is the contact's first text that is stored after the question, to whichever of your numbers. \
Messages without a text are passed over, and with --match also texts \
that do not match. White space around a text does not count for --match; (?i) at the beginning of the \
pattern ignores case. Several questions to one contact at the same time may get the same answer.

The exit code is 0 with an answer, 6 as soon as the question has failed, 7 if the contact opts out, 8 if \
there was no answer in time. If the outcome of the question was unknown, an answer settles it; without \
one, the exit code is 9. If the question was not sent at all, it is that of convo send. The timeout begins \
when Telnyx has accepted the question. Ctrl-C ends the wait.

Under the same --idempotency-key, the question is sent only once: a repeated command prints the answer \
that has come in the meantime, or goes on waiting, with a new timeout.",
    output: "\
The text of the answer: on a terminal as it is, in a pipe on one line, with \\\\, \\t and \\n for a \
backslash, a TAB and a line break. With --json, one object with both messages as in the REST API: \
question and answer. The id of the question and one line for people go to standard error.",
};

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Answered<'a> {
    question: &'a Message,
    answer: &'a Message,
}

/// Parses the argument of `--match`.
fn pattern(text: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(text).size_limit(PATTERN_LIMIT).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the pattern is too large".to_owned(),
        // The last line of a syntax error says what is wrong; those before draw the place.
        error => {
            let whole = error.to_string();
            let last = whole.lines().last().unwrap_or_default().trim();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        }
    })
}

impl AskArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let style = context.style(self.json.format());
        let text = self.text(context)?;
        let key = self.idempotency_key.as_deref().map(IdempotencyKey::parse).transpose()?;
        // Whatever is wrong is found before a database is opened.
        let recipient = Recipient::parse(&self.to)?;
        let question = self.question(text)?;
        check_settings(&context.config)?;
        context.block_on(async {
            let backend = context.backend(Purpose::Write).await?;
            signals::cancel_at_signal(backend.interrupt());
            let (mut out, mut err) = (stdout(), stdio::stderr());
            let mut reporter = Reporter { out: &mut out, err: &mut err, style: &style };
            let asked = async {
                let draft = question.to(backend.recipient(&recipient).await?);
                self.ask(&draft, key.as_ref(), &backend, &mut reporter).await
            };
            let ended = asked.await;
            if let (Some(path), true) = (backend.created_file(), ended.is_ok()) {
                reporter.say(&output::send::new_database(path));
            }
            backend.close().await;
            ended
        })
    }

    fn text(&self, context: &Context) -> Result<String, Error> {
        if self.text != "-" {
            return Ok(self.text.clone());
        }
        if context.terminal.stdin_is_terminal {
            return Err(Error::invalid("there is no question to send")
                .hint("write it after the number, or pipe it in"));
        }
        input::read(stdio::stdin(), "standard input")
    }

    fn question(&self, text: String) -> Result<CheckedRequest, Error> {
        let request = SendRequest {
            message: Some(text).filter(|text| !text.is_empty()),
            from: self.from.clone(),
            ..SendRequest::default()
        };
        CheckedRequest::new(request)
    }

    async fn ask(
        &self,
        draft: &Draft,
        key: Option<&IdempotencyKey>,
        backend: &Backend,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), Error> {
        let sent = backend.send(draft, key).await.map_err(|error| {
            if let Some(id) = error.extra().message_id {
                reporter.say(&format!("the question is stored as {id}"));
            }
            with_key(error, key)
        })?;
        let told = output::send::told(&sent.message, reporter.style.zone);
        reporter.say(&format!("{}: {told}", sent.message.id));
        let patience = Patience::new(self.timeout.unwrap_or(DEFAULT_TIMEOUT));
        let (question, answer) = patience.wait(sent, self.pattern.as_ref(), backend).await?;
        finish_write(print(reporter.out, &question, &answer, reporter.style))
    }
}

fn print(
    mut out: &mut dyn Write,
    question: &Message,
    answer: &Message,
    style: &Style,
) -> std::io::Result<()> {
    match style.format {
        format if format.is_json() => json::write_line(&mut out, &Answered { question, answer })?,
        Format::Table => {
            for line in escape::lines(&answer.body) {
                writeln!(out, "{line}")?;
            }
        }
        _ => writeln!(out, "{}", escape::field(&answer.body))?,
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Status;
    use crate::output::samples::{inbound, outbound, style};

    #[test]
    fn an_invalid_pattern_is_explained_in_one_line() {
        assert!(pattern("^(?i)(yes|no)$").expect("a good pattern").is_match("YES"));
        let unclosed = pattern("(yes").expect_err("a bad pattern");
        assert_eq!(unclosed, "unclosed group");
        let large = pattern(r"(\w{1000}){1000}").expect_err("too large");
        assert_eq!(large, "the pattern is too large");
    }

    #[test]
    fn an_answer_is_one_line_in_a_pipe_and_drives_no_terminal() {
        let printed = |format| {
            let mut out = Vec::new();
            let answer = inbound("one\n\x1b[31mtwo\\");
            let question = outbound("Well?", Status::Sent);
            print(&mut out, &question, &answer, &style(format, 80, false)).expect("a vector");
            String::from_utf8(out).expect("UTF-8")
        };
        assert_eq!(printed(Format::Lines), "one\\n\\u{1b}[31mtwo\\\\\n");
        assert_eq!(printed(Format::Table), "one\n\\u{1b}[31mtwo\\\n");
        let both: serde_json::Value = serde_json::from_str(&printed(Format::Json)).expect("JSON");
        assert_eq!(both["question"]["body"], "Well?");
        assert_eq!(both["answer"]["body"], "one\n\x1b[31mtwo\\");
    }
}
