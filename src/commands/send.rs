//! `convo send`: one text to one contact, with an exit code that says what became of it.

mod editor;
pub(super) mod input;

use std::io::Write;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueHint};
use clap_complete::engine::ArgValueCompleter;
use uuid::Uuid;

use super::complete;
use super::context::Context;
use super::outcome::{Reporter, with_key};
use super::poll::{Goal, Wait};
use super::print::{finish_write, stdout};
use super::signals;
use super::status_news::StatusNews;
use crate::backend::Backend;
use crate::cli::{self, BackendArgs, Group, HelpText, JsonArgs, Moment};
use crate::config::Config;
use crate::domain::{
    CheckedRequest, Draft, IdempotencyKey, Recipient, SendRequest, Sent, Timestamp,
};
use crate::error::Error;
use crate::output::{self, Zone};
use crate::stdio;
use crate::store::Purpose;
use crate::threading::no_api_key;
use editor::EditedText;

/// Send a text message
#[derive(Args, Clone, Debug)]
#[command(add = Group::Send, add = HELP, after_help = HELP.examples)]
pub(super) struct SendArgs {
    /// The recipient: a number with its country code, in any common notation, or a contact's whole name
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    #[arg(add = ArgValueCompleter::new(complete::contacts))]
    to: String,
    /// The text; without it and without --media, it is read from standard input
    #[arg(allow_hyphen_values = true)]
    text: Option<String>,
    /// Write the text in an editor: $VISUAL, or else $EDITOR
    #[arg(long)]
    edit: bool,
    /// Send from this number of yours
    #[arg(long, value_name = "NUMBER", value_parser = NonEmptyStringValueParser::new())]
    #[arg(add = ArgValueCompleter::new(complete::own_numbers))]
    from: Option<String>,
    /// Attach the file at this URL, which makes it an MMS (may be repeated)
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    media: Vec<String>,
    /// The subject of an MMS
    #[arg(long)]
    subject: Option<String>,
    /// Have Telnyx send it later: 2h or 3d from now, 09:00, a date and time, or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = cli::moment)]
    at: Option<Moment>,
    /// Answer this inbound message of the recipient, once, even if this command is repeated
    #[arg(long, value_name = "ID", value_parser = cli::message_id)]
    reply_to: Option<Uuid>,
    /// Send the message only once, even if this command is repeated with the same key
    #[arg(long, value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    idempotency_key: Option<String>,
    /// Make only one attempt, without retries
    #[arg(long)]
    no_retry: bool,
    /// Show what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Wait until the status is final, or until it is sent or delivered
    #[arg(long, value_name = "STATUS", num_args = 0..=1, require_equals = true)]
    #[arg(conflicts_with = "dry_run", hide_possible_values = true)]
    wait: Option<Option<Goal>>,
    /// Wait no longer than this, for example 30s or 2m [default: 60s]
    #[arg(long, value_name = "DURATION", requires = "wait", value_parser = cli::duration)]
    timeout: Option<Duration>,
    /// Send it even if the contact has opted out, and let Telnyx decide
    #[arg(long)]
    despite_opt_out: bool,
    /// Send it even if the contact has got CONVO_SEND_LIMIT texts (60) within the hour
    #[arg(long)]
    despite_send_limit: bool,
    #[command(flatten)]
    json: JsonArgs,
    #[command(flatten)]
    pub backend: BackendArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo send +12125551234 \"Running late, 10 min\"
  convo send +12125551234 --dry-run < note.txt
  id=$(convo send +12125551234 \"Your code is 1234\") || echo \"exit $?\"
  convo send +12125551234 \"Fire!\" --wait=delivered --timeout 2m",
    description: "\
The message is stored before it is submitted to Telnyx, and the outcome afterwards. The exit \
code says what is known: 0 if Telnyx accepted it, 5 if it was definitely not sent and it is safe to \
try again, 9 if the outcome is unknown.

After exit 9, repeat the send only with the printed key: convo send --idempotency-key KEY. Under the \
same key, the same message is sent only once; a repeated send waits for one still in progress and \
has the same result.

With --reply-to, the message is the answer of a program to an inbound message. That message is answered \
once: a repeated send, by whichever program and with whichever text, sends nothing and reports the \
first answer; if its outcome was unknown, it is submitted again as it was. It goes out from the \
number that the message came to. A contact gets at most CONVO_REPLY_LIMIT answers (20) within an hour, \
so that two programs cannot answer each other without end; beyond that, the exit code is 5.

A contact gets at most CONVO_SEND_LIMIT texts (60) within an hour, which stops a script that has gone \
wild; beyond that, nothing is sent, and the exit code is 5. Texts that were certainly not sent do not \
count. --despite-send-limit sends one more.

With --wait, the exit code says how it ended: 0 if the status is final and not a failure, 6 if it \
failed, 8 if it timed out before the status was final, 9 if the outcome is unknown. \
--wait=sent ends as soon as the carrier has the message. --wait=delivered requires proof of delivery: \
if delivery was never confirmed, the exit code is 9. The timeout begins when Telnyx has accepted the \
message. Ctrl-C ends the wait; the message is still sent.

--at accepts a time: 2h or 3d from now, a time of day such as 09:00 (the next one), a date, a date \
and time, or RFC 3339. Without a time zone, it is local (with --utc, in UTC). Telnyx accepts 5 \
minutes to 5 days from now.

With TEXT, standard input is not read. Without it, the text is standard input without the line break \
at its end; with --media and no TEXT, the files are sent without a text. With --edit, an editor is \
opened on TEXT or on an empty file; if the text could not be sent, its file is kept. A TEXT that begins with a \
hyphen is a text unless it is, or is similar to, an option; after -- it is always a text.",
    output: "\
The id of the stored message, whatever the exit code, and before any waiting; with --json, the \
message as in the REST API, after any waiting; with --dry-run, the plan: from, to, conversation_id, \
encoding, segments, units and opted_out_at, one field per line, in a pipe with name and value \
separated by TAB. One line for people goes to standard error.",
};

/// A send as its arguments request it, validated.
#[derive(Clone, Debug)]
struct PreparedSend {
    recipient: Recipient,
    request: CheckedRequest,
    /// The caller's own key, or that of the answer.
    key: Option<IdempotencyKey>,
}

impl SendArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        if self.edit {
            return self.run_edited(context);
        }
        // First of all, because reading standard input may take arbitrarily long.
        let text = input::text(
            self.text.as_deref(),
            &self.to,
            !self.media.is_empty(),
            stdio::stdin(),
            &context.terminal,
        )?;
        self.run_with(text, context)
    }

    /// Has the text written in an editor, and keeps it in its file if it was not sent.
    fn run_edited(&self, context: &Context) -> Result<(), Error> {
        let draft = self.text.as_deref().unwrap_or_default();
        if !context.terminal.stdin_is_terminal || draft == "-" {
            return Err(Error::invalid("--edit needs a terminal on standard input")
                .hint("without a terminal, give the text as an argument or on standard input"));
        }
        let style = context.style(self.json.format());
        // Whatever else is wrong is better known before writing than after.
        self.prepare("text".to_owned(), style.now, style.zone)?;
        let edited = EditedText::write(context.terminal.editor.as_deref(), draft)?;
        let ended = self.run_with(edited.text.clone(), context);
        let is_stored = ended.as_ref().err().is_none_or(|error| error.exit_code() == 9);
        if let Some(path) = edited.close(is_stored && !self.dry_run) {
            // A closed standard error is ignored.
            let _ = writeln!(stdio::stderr(), "the text is kept in {}", path.display());
        }
        ended
    }

    fn run_with(&self, text: String, context: &Context) -> Result<(), Error> {
        let style = context.style(self.json.format());
        let prepared = self.prepare(text, style.now, style.zone)?;
        if self.dry_run && is_local(&context.config)? {
            context.config.numbers()?;
        } else if !self.dry_run {
            check_settings(&context.config)?;
        }
        let purpose = if self.dry_run { Purpose::Read } else { Purpose::Write };
        context.block_on(async {
            let backend = context.backend(purpose).await?;
            signals::cancel_at_signal(backend.interrupt());
            let (mut out, mut err) = (stdout(), stdio::stderr());
            let mut reporter = Reporter { out: &mut out, err: &mut err, style: &style };
            let ended = self.send_prepared(prepared, &backend, &mut reporter).await;
            if let (Some(path), true) = (backend.created_file(), ended.is_ok()) {
                // Perhaps another one was meant.
                reporter.say(&output::send::new_database(path));
            }
            backend.close().await;
            ended
        })
    }

    fn prepare(&self, text: String, now: Timestamp, zone: Zone) -> Result<PreparedSend, Error> {
        let request = SendRequest {
            in_reply_to: self.reply_to,
            message: Some(text).filter(|text| !text.is_empty()),
            media_urls: self.media.clone(),
            subject: self.subject.clone(),
            from: self.from.clone(),
            send_at: self.send_at(now, zone)?,
            despite_opt_out: self.despite_opt_out,
            despite_send_limit: self.despite_send_limit,
            batch: None,
            no_retry: self.no_retry,
        };
        let key = self.idempotency_key.as_deref().map(IdempotencyKey::parse).transpose()?;
        let recipient = Recipient::parse(&self.to)?;
        let request = CheckedRequest::new(request)?;
        let key = request.key(key.as_ref())?;
        // Under a known key the time may have passed: the repeat gets the earlier outcome.
        if key.is_none() {
            request.check_schedule(now)?;
        }
        Ok(PreparedSend { recipient, request, key })
    }

    /// When Telnyx is to send it. Under a key of the caller's, a repeat must be the same request,
    /// and a span would mean another time.
    fn send_at(&self, now: Timestamp, zone: Zone) -> Result<Option<Timestamp>, Error> {
        let Some(at) = self.at else { return Ok(None) };
        let time = at.future(now, zone);
        if self.idempotency_key.is_some() && at.is_span() {
            return Err(Error::invalid("with --idempotency-key, --at must be a fixed time")
                .hint(format!("a repeated command would mean a different time; use --at {time}")));
        }
        Ok(Some(time))
    }

    async fn send_prepared(
        &self,
        PreparedSend { recipient, request, key }: PreparedSend,
        backend: &Backend,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), Error> {
        let draft = request.to(backend.recipient(&recipient).await?);
        match self.dry_run {
            true => plan(&draft, backend, reporter).await,
            false => self.send(&draft, key.as_ref(), backend, reporter).await,
        }
    }

    async fn send(
        &self,
        draft: &Draft,
        key: Option<&IdempotencyKey>,
        backend: &Backend,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), Error> {
        match backend.send(draft, key).await {
            Ok(sent) => match self.wait {
                Some(goal) => {
                    report_after(Wait::new(goal, self.timeout), sent, backend, reporter).await
                }
                None => reporter.report(&sent, self.idempotency_key.is_some()),
            },
            Err(error) => {
                if let Some(id) = error.extra().message_id {
                    reporter.print_stored(id, backend).await;
                }
                Err(with_key(error, key))
            }
        }
    }
}

/// Makes sure that there is what a send needs, before a database is created.
pub(super) fn check_settings(config: &Config) -> Result<(), Error> {
    match is_local(config)? && config.telnyx()?.api_key.is_none() {
        true => Err(no_api_key()),
        false => Ok(()),
    }
}

/// Whether this process sends, to the real Telnyx.
fn is_local(config: &Config) -> Result<bool, Error> {
    Ok(!config.is_sandbox() && config.remote()?.is_none())
}

async fn plan(draft: &Draft, backend: &Backend, reporter: &mut Reporter<'_>) -> Result<(), Error> {
    let plan = backend.plan(draft).await?;
    let style = reporter.style;
    reporter.say(&output::send::planned(&plan, draft.request(), style.zone));
    finish_write(output::send::plan(&mut reporter.out, &plan, style))
}

/// Waits, then reports how it ended. The id is printed before, so that a script has it in any case;
/// the JSON object, of which there is only one, after.
async fn report_after(
    wait: Wait,
    sent: Sent,
    backend: &Backend,
    reporter: &mut Reporter<'_>,
) -> Result<(), Error> {
    let is_json = reporter.style.format.is_json();
    let before = if is_json { Ok(()) } else { reporter.print(&sent.message) };
    let news = StatusNews::follow(backend, Some(sent.message.conversation_id));
    let key = Some(&sent.idempotency_key);
    let (message, result) = wait.run(backend, &news, sent.message, key).await;
    drop(news);
    let after = if is_json { reporter.print(&message) } else { Ok(()) };
    reporter.finish(&message, before.and(after), result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{Cli, Command};
    use crate::error::Code;
    use crate::output::samples::time;

    const TO: &str = "+12125551234";

    fn args(line: &[&str]) -> SendArgs {
        let line = ["convo", "send"].iter().chain(line).copied();
        match cli::parse::<Cli>(line).expect("a good command line").cli.command {
            Command::Send(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_text_may_begin_with_a_hyphen_and_options_still_work() {
        for (line, text) in [
            (&[TO, "Hello"][..], "Hello"),
            (&[TO, "- milk\n- eggs"], "- milk\n- eggs"),
            (&[TO, "-1"], "-1"),
            (&[TO, "--"], ""),
            (&[TO, "--hello"], "--hello"),
            (&[TO, "-- cut here --"], "-- cut here --"),
            (&[TO, "--", "--json"], "--json"),
            (&["--", TO, "--dryrun"], "--dryrun"),
        ] {
            let args = args(line);
            assert_eq!(args.text.as_deref().unwrap_or_default(), text, "{line:?}");
            assert!(args.to == TO && !args.dry_run && !args.json.json, "{args:?}");
        }
        for line in
            [[TO, "--dry-run", "-x y"], [TO, "-x y", "--dry-run"], ["--dry-run", TO, "-x y"]]
        {
            let args = args(&line);
            assert_eq!((args.dry_run, args.text.as_deref()), (true, Some("-x y")), "{line:?}");
        }
    }

    #[test]
    fn every_option_arrives() {
        let line = [
            TO,
            "Hi",
            "--from",
            "+15551234567",
            "--media",
            "https://a/1",
            "--media",
            "https://a/2",
            "--subject",
            "s",
            "--at",
            "2026-11-22T15:00:00+02:00",
            "--idempotency-key",
            "k",
            "--no-retry",
            "--despite-opt-out",
            "--despite-send-limit",
            "--json",
        ];
        let args = args(&line);
        assert_eq!(args.media, ["https://a/1", "https://a/2"]);
        let now = time("2026-11-22T12:00:00Z");
        let at = args.send_at(now, Zone::UTC).expect("a time");
        assert_eq!(at, Timestamp::parse("2026-11-22T13:00:00Z"));
        assert_eq!(
            (args.from.as_deref(), args.subject.as_deref()),
            (Some("+15551234567"), Some("s"))
        );
        assert_eq!(args.idempotency_key.as_deref(), Some("k"));
        assert!(args.no_retry && args.despite_opt_out && args.despite_send_limit);
        assert!(args.json.json && !args.dry_run);
    }

    #[test]
    fn an_invalid_send_is_wrong_usage() {
        let prepare = |line: &[&str], text: &str| {
            let now = time("2026-06-18T14:33:00Z");
            args(line)
                .prepare(text.to_owned(), now, Zone::UTC)
                .map(|prepared| prepared.request.text().to_owned())
        };
        for (line, text, code) in [
            (&[TO][..], "", Code::InvalidRequest),
            (&["2125551234"], "Hi", Code::InvalidNumber),
            (&[TO, "--idempotency-key", "a b"], "Hi", Code::InvalidRequest),
            (&[TO, "--at", "2026-06-18T14:34:00Z"], "Hi", Code::InvalidRequest),
            (&[TO, "--at", "4m"], "Hi", Code::InvalidRequest),
            (&[TO, "--at", "yesterday"], "Hi", Code::InvalidRequest),
            (&[TO, "--at", "2h", "--idempotency-key", "k"], "Hi", Code::InvalidRequest),
        ] {
            let error = prepare(line, text).expect_err("an invalid send");
            assert_eq!((error.code(), error.exit_code()), (code, 2), "{line:?}: {error}");
        }
        assert_eq!(prepare(&[TO], "Hi").expect("a draft"), "Hi");
        let line = [TO, "--media", "https://example.com/a.png"];
        assert_eq!(prepare(&line, "").expect("a file needs no text"), "");
        for at in ["2h", "09:00", "2026-06-20", "2026-06-18 15:00"] {
            assert_eq!(prepare(&[TO, "--at", at], "Hi").expect("a draft"), "Hi", "{at}");
        }
        let line = [TO, "--at", "2026-06-18T14:34:00Z", "--idempotency-key", "k"];
        assert_eq!(prepare(&line, "Hi").expect("the earlier outcome may be requested"), "Hi");
    }
}
