//! `convo show --follow`: the conversation, then what comes.

use std::collections::HashMap;
use std::io::Write;

use uuid::Uuid;

use super::range::{self, Range};
use super::{Found, ShowArgs, find};
use crate::backend::Backend;
use crate::commands::context::Context;
use crate::commands::follow::{Follower, explain_expired};
use crate::commands::print::{Extent, PrintError, finish, stdout};
use crate::commands::read_marker::ReadMarker;
use crate::domain::{
    Conversation, Direction, FeedEvent, FeedFilter, FeedKind, FeedStart, Message, Selector, Status,
};
use crate::error::{Code, Error};
use crate::output::thread::ThreadPrinter;
use crate::output::{Format, Style, event, terminal};
use crate::stdio;
use crate::store::Purpose;

/// How many messages' statuses are remembered while following.
const REMEMBERED: usize = 4_096;

impl ShowArgs {
    pub(super) fn run_following(&self, context: &Context) -> Result<(), Error> {
        let format = match self.print.format() {
            // There is no end at which the document could be closed.
            Some(Format::Json) => Some(Format::Jsonl),
            format => format,
        };
        let style = context.style(format);
        let mut marker = self.marker(context, &style);
        context.block_on(async {
            let backend = context.backend(Purpose::Read).await?;
            let followed = tokio::select! {
                followed = self.follow(&backend, &style, &mut marker) => finish(followed),
                () = stdio::stdout_closed() => Ok(()),
            };
            if let Some(marker) = marker {
                marker.close().await;
            }
            backend.close().await;
            followed
        })
    }

    async fn follow(
        &self,
        backend: &Backend,
        style: &Style,
        marker: &mut Option<ReadMarker>,
    ) -> Result<(), PrintError> {
        let selector = Selector::new(&self.conversation);
        let mut out = stdout();
        match find(&selector, backend).await {
            Ok(Found::Conversation(conversation)) => {
                // Before the conversation is read, so that nothing comes in between.
                let mut follower = begin(backend, conversation.id.to_string(), style).await?;
                // Once more, because something may have come before that.
                let conversation =
                    backend.find(&Selector::new(&conversation.id.to_string())).await?;
                let mut printer = ThreadPrinter::new(&mut out, style, &conversation, None);
                let mut following = Following::new(&mut printer, &conversation, marker);
                self.print_before(&conversation, backend, style, &mut following).await?;
                following.seen().await?;
                following.run(&mut follower).await
            }
            Ok(Found::Message(_)) => {
                let what = "this is the id of a single message, which cannot be followed";
                let hint = "use the contact's number; convo wait waits for a message's status";
                Err(Error::invalid(what).hint(hint).into())
            }
            Err(error) => match contact_of(&selector, &error) {
                Some(contact) => first_contact(&contact, backend, style, marker, &mut out).await,
                None => Err(error.into()),
            },
        }
    }

    /// Prints what is there before it follows.
    async fn print_before<W: Write>(
        &self,
        conversation: &Conversation,
        backend: &Backend,
        style: &Style,
        following: &mut Following<'_, '_, W>,
    ) -> Result<(), PrintError> {
        let from = self.from(conversation.id, backend, style).await?;
        let range = Range { extent: Extent::new(&self.print, style), from, before: None };
        let fetch = async |window| backend.messages(conversation.id, window, false).await;
        let Following { printer, shown, .. } = following;
        let seen = |message: &Message| {
            shown.insert(message.id, message.status);
        };
        range::print_to(fetch, range, conversation, printer, style, seen).await?;
        printer.page(&[])?;
        Ok(printer.flush()?)
    }
}

/// A follower of one contact, which has begun.
async fn begin<'a>(
    backend: &'a Backend,
    contact: String,
    style: &Style,
) -> Result<Follower<'a>, Error> {
    let filter = FeedFilter { contact: Some(Selector::new(&contact)), ..FeedFilter::default() };
    let follower = Follower::new(backend, filter, FeedStart::Now);
    let mut follower = follower.telling(!style.format.is_json());
    follower.begin().await?;
    Ok(follower)
}

/// The number of a contact that has no conversation yet.
fn contact_of(selector: &Selector, error: &Error) -> Option<String> {
    let is_number = |number: &String| {
        let digits = number.strip_prefix('+').unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    selector
        .numbers()
        .pop()
        .filter(is_number)
        .filter(|_| error.code() == Code::ConversationNotFound)
}

/// Follows a contact whose conversation begins with its first message.
async fn first_contact(
    contact: &str,
    backend: &Backend,
    style: &Style,
    marker: &mut Option<ReadMarker>,
    out: &mut impl Write,
) -> Result<(), PrintError> {
    let mut follower = begin(backend, contact.to_owned(), style).await?;
    if style.format == Format::Table {
        writeln!(out, "No messages with {contact} yet.")?;
    }
    out.flush()?;
    loop {
        let event = follower.next().await.map_err(explain_expired)?;
        let Some(id) = event.conversation_id.filter(|_| event.message.is_some()) else { continue };
        let conversation = match backend.find(&Selector::new(&id.to_string())).await {
            Ok(conversation) => conversation,
            Err(error) if error.code() == Code::ConversationNotFound => continue,
            Err(error) => return Err(error.into()),
        };
        let mut printer = ThreadPrinter::new(out, style, &conversation, None);
        let mut following = Following::new(&mut printer, &conversation, marker);
        following.event(&event).await?;
        return following.run(&mut follower).await;
    }
}

/// What has been printed of a conversation, and what comes.
struct Following<'p, 'a, W: Write> {
    printer: &'p mut ThreadPrinter<'a, W>,
    /// The statuses that were printed last.
    shown: HashMap<Uuid, Status>,
    conversation: &'p Conversation,
    marker: &'p mut Option<ReadMarker>,
}

impl<'p, 'a, W: Write> Following<'p, 'a, W> {
    fn new(
        printer: &'p mut ThreadPrinter<'a, W>,
        conversation: &'p Conversation,
        marker: &'p mut Option<ReadMarker>,
    ) -> Self {
        Self { printer, shown: HashMap::new(), conversation, marker }
    }

    /// What was there before has been printed.
    async fn seen(&mut self) -> Result<(), Error> {
        match self.marker {
            Some(marker) => marker.seen(self.conversation).await,
            None => Ok(()),
        }
    }

    /// Prints events until the conversation is removed.
    async fn run(&mut self, follower: &mut Follower<'_>) -> Result<(), PrintError> {
        // Some of them are about what was just printed; all that is known of it is needed until then.
        while let Some(event) = follower.next_stored().await? {
            self.event(&event).await?;
            if event.kind == FeedKind::Removed {
                return Ok(());
            }
        }
        loop {
            if self.shown.len() > REMEMBERED {
                self.shown.retain(|_, status| !status.is_final());
            }
            let event = follower.next().await.map_err(explain_expired)?;
            if let Some(width) = terminal::stdout_columns() {
                self.printer.resize(width);
            }
            self.event(&event).await?;
            if event.kind == FeedKind::Removed {
                return Ok(());
            }
        }
    }

    async fn event(&mut self, event: &FeedEvent) -> Result<(), PrintError> {
        self.print(event)?;
        let inbound = event.message.as_ref().filter(|one| one.direction == Direction::Inbound);
        match (event.kind, inbound, &mut self.marker) {
            (FeedKind::Message, Some(message), Some(marker)) => {
                Ok(marker.came(self.conversation, message.id).await?)
            }
            _ => Ok(()),
        }
    }

    fn print(&mut self, event: &FeedEvent) -> std::io::Result<()> {
        let Some(message) = &event.message else {
            return self.printer.notice(&event::words(event).0, event.at);
        };
        let before = self.shown.get(&message.id).copied();
        let is_shown = match event.kind {
            FeedKind::Message => before.is_some(),
            _ => before == Some(message.status),
        };
        if is_shown {
            return Ok(());
        }
        self.shown.insert(message.id, message.status);
        match event.kind {
            FeedKind::Message => {
                self.printer.page(std::slice::from_ref(message))?;
                self.printer.flush()
            }
            _ => self.printer.change(message, event.at),
        }
    }
}
