//! `convo show`: one conversation, oldest message first, or one message.

mod follow;
mod range;

use std::io::Write;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use clap_complete::engine::ArgValueCompleter;
use uuid::Uuid;

use super::complete;
use super::context::Context;
use super::print::{Extent, PrintError};
use super::read_marker::ReadMarker;
use crate::backend::Backend;
use crate::cli::{self, BackendArgs, Before, Group, HelpText, Moment, PrintArgs};
use crate::domain::{Conversation, Message, Place, Selector, Window, message};
use crate::error::{Code, Error};
use crate::output::pager::Start;
use crate::output::thread::ThreadPrinter;
use crate::output::{Format, Style, json};
use range::{Range, RangeStart};

/// Show the conversation with a contact, or one message
#[derive(Args, Clone, Debug)]
#[command(add = Group::Read, add = HELP, after_help = HELP.examples)]
pub(super) struct ShowArgs {
    /// The contact's number, its name or a part of it, the conversation's id or a part of it, or a message's id
    #[arg(value_name = "CONTACT|ID", value_parser = NonEmptyStringValueParser::new())]
    #[arg(add = ArgValueCompleter::new(complete::contacts_and_ids))]
    conversation: String,
    /// Only messages since: 2h, 3d, today, yesterday, 09:00, a date or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = cli::moment)]
    since: Option<Moment>,
    /// Only messages before this time
    #[arg(long, value_name = "TIME", value_parser = cli::moment)]
    until: Option<Moment>,
    /// Only messages after this one
    #[arg(long, value_name = "ID", value_parser = cli::message_id, conflicts_with = "since")]
    after: Option<Uuid>,
    /// Only messages before this one, or before a time
    #[arg(long, value_name = "ID|TIME", value_parser = cli::before, conflicts_with = "until")]
    before: Option<Before>,
    /// Go on with what comes: new messages, and new statuses of those you sent
    #[arg(short, long, conflicts_with_all = ["until", "before", "history"])]
    follow: bool,
    /// Also show each message's delivery reports, and which message it answers
    #[arg(long)]
    history: bool,
    /// Leave unread what is printed
    #[arg(long, conflicts_with = "mark_read")]
    keep_unread: bool,
    /// Mark read what is printed, also in a pipe
    #[arg(long, conflicts_with_all = ["until", "before"])]
    mark_read: bool,
    #[command(flatten)]
    pub backend: BackendArgs,
    #[command(flatten)]
    print: PrintArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo show +12125551234
  convo show e6f70819 --before 2026-06-18 --limit 20
  convo show +12125551234 --follow
  convo show '+1 (212) 555-1234' --format csv > conversation.csv",
    description: "\
On a terminal, prints the newest 50 messages as a chat, the newest at the bottom; the line above the \
oldest contains the command that shows earlier ones. In a pipe, or with a format, prints all \
messages in chronological order as they are read.

--since and --until accept a time: 2h or 3d ago, today, yesterday, a time of day such as 09:00, a \
date, a date and time, or RFC 3339. A date means 00:00. Without a time zone, a time is local \
(with --utc, in UTC). --after and --before accept the id of a message; --before also \
accepts a time. On a terminal, the newest of the remaining messages are shown; in a pipe, all of \
them.

A chat longer than the screen is shown in a pager; less starts at its end.

--follow does not use a pager and goes on with what comes: new messages, and on a line of its own each new status of a message from you. A contact without a conversation is given by its number. While the server or the database cannot be reached, it tries again until it can, and misses nothing. Ctrl-C ends it, as it ends tail -f; it also ends if the conversation is removed.

On a terminal, what is printed is read from then on, up to the newest message: with --follow what comes, \
too. It stays unread with --keep-unread, --until or --before, and silently where you may only read. In a \
pipe, or with another format, nothing is marked without --mark-read.

An arrow to the left marks a message from the contact and an arrow to the right one from you. A \
failed or unknown status is followed by its reason and a hint.

A conversation is given by the contact's number in any common notation, by the contact's name or a part \
of it without regard to letter case, by its id, or by at least 4 hex digits at the beginning or end of \
the id. A part must be of one conversation only; a whole name or id comes before it. Given the full id of a \
message, as convo send prints it, convo shows that message with its delivery reports.",
    output: "\
In a pipe, one message per line, its fields separated by TAB:

  created_at  direction  status  from  to  body  id  error  media
  history  subject  cc

media holds the URLs of the files, separated by spaces. history, which is empty without --history, \
holds the reports as status@time, separated by spaces. json is the conversation with its messages, \
as in the REST API; jsonl has one message per line; csv has the fields above below a header line; \
ids prints the ids of the messages. With --follow, a message whose status changes is printed again (with \
ids, it is not), and json is the same as jsonl. For a single message, json is that message as in the REST API.",
};

impl ShowArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        if self.follow {
            return self.run_following(context);
        }
        context.print(&self.print, Start::End, async |backend, out, style| {
            match find(&Selector::new(&self.conversation), backend).await? {
                Found::Conversation(conversation) => {
                    self.print_conversation(&conversation, backend, out, style).await?;
                    let Some(mut marker) = self.marker(context, style) else { return Ok(()) };
                    let marked = marker.seen(&conversation).await;
                    marker.close().await;
                    Ok(marked?)
                }
                Found::Message(message) => self.print_message(*message, backend, out, style).await,
            }
        })
    }

    /// What marks the conversation read; `None` if it is to stay as it is.
    fn marker(&self, context: &Context, style: &Style) -> Option<ReadMarker> {
        let is_read = context.terminal.stdout_is_terminal && style.format == Format::Table;
        let is_end = self.until.is_none() && self.before.is_none();
        let marks = self.mark_read || (is_read && is_end && !self.keep_unread);
        marks.then(|| ReadMarker::new(context.config.clone(), self.mark_read))
    }

    async fn print_conversation(
        &self,
        conversation: &Conversation,
        backend: &Backend,
        out: &mut impl Write,
        style: &Style,
    ) -> Result<(), PrintError> {
        let range = Range {
            extent: Extent::new(&self.print, style),
            from: self.from(conversation.id, backend, style).await?,
            before: self.before(style),
        };
        let fetch = async |window| backend.messages(conversation.id, window, self.history).await;
        range::print(fetch, range, conversation, out, style).await
    }

    /// Where the messages to show begin.
    async fn from(
        &self,
        conversation: Uuid,
        backend: &Backend,
        style: &Style,
    ) -> Result<Option<RangeStart>, Error> {
        if let Some(since) = self.since {
            let time = since.past(style.now, style.zone);
            let window = Window::Newest { before: Some(Place::Time(time)), limit: 1 };
            let earlier = backend.messages(conversation, window, false).await?;
            return Ok(Some(RangeStart::since(
                time,
                earlier.rows.last().map(|message| message.id),
            )));
        }
        let Some(after) = self.after else { return Ok(None) };
        let message = backend.message(after).await?;
        if message.conversation_id != conversation {
            return Err(message::not_found());
        }
        Ok(Some(RangeStart::after(&message)))
    }

    /// The place at which the messages to show end.
    fn before(&self, style: &Style) -> Option<Place> {
        let time = |until: Moment| Place::Time(until.past(style.now, style.zone));
        let place = |before: Before| before.resolve(style.now, style.zone);
        self.until.map(time).or(self.before.map(place))
    }

    async fn print_message(
        &self,
        message: Message,
        backend: &Backend,
        out: &mut impl Write,
        style: &Style,
    ) -> Result<(), PrintError> {
        if self.since.or(self.until).is_some() || self.after.is_some() || self.before.is_some() {
            let what = "this is the id of a single message, which cannot be limited to a range";
            let hint =
                "leave out --since, --until, --after and --before, or use the contact's number";
            return Err(Error::invalid(what).hint(hint).into());
        }
        if self.mark_read {
            let what = "this is the id of a single message, which is not marked read by itself";
            return Err(Error::invalid(what).hint("leave out --mark-read").into());
        }
        let conversation = Selector::new(&message.conversation_id.to_string());
        let conversation = backend.find(&conversation).await?;
        if style.format == Format::Json {
            return Ok(json::write_line(out, &message)?);
        }
        let mut printer = ThreadPrinter::new(out, style, &conversation, None);
        printer.page(&[message])?;
        Ok(printer.finish()?)
    }
}

/// What a name on the command line stands for.
enum Found {
    Conversation(Box<Conversation>),
    Message(Box<Message>),
}

/// The conversation that was named, or else the message that has this full id.
async fn find(selector: &Selector, backend: &Backend) -> Result<Found, Error> {
    let error = match backend.find(selector).await {
        Ok(conversation) => return Ok(Found::Conversation(Box::new(conversation))),
        Err(error) => error,
    };
    match selector.id().filter(|_| error.code() == Code::ConversationNotFound) {
        Some(id) => match backend.message(id).await {
            Ok(message) => Ok(Found::Message(Box::new(message))),
            Err(failure) if failure.code() == Code::MessageNotFound => Err(error),
            Err(failure) => Err(failure),
        },
        None => Err(error),
    }
}
