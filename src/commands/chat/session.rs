//! A chat from its beginning to its end.

use std::collections::HashMap;
use std::io::Write;
use std::pin::pin;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use uuid::Uuid;

use super::editor::LineEditor;
use super::input::Input;
use super::outbox::{self, Outgoing, SentText};
use crate::backend::Backend;
use crate::commands::follow::Follower;
use crate::commands::print::BRIEF;
use crate::commands::signals;
use crate::domain::{
    Direction, Draft, FeedEvent, FeedFilter, FeedKind, FeedStart, Message, PhoneNumber, ReadUpTo,
    Selector, Status, Window, verdict,
};
use crate::error::{Code, Error};
use crate::output::chat::Earlier;
use crate::output::thread::LiveThread;
use crate::output::{Style, event, terminal};
use crate::stdio;

const HELP: &str = "\
Enter sends the line. Commands:
/retry  repeat the last text, if it was not sent or its outcome is unknown
/quit   end the chat, as Ctrl-D does
/help   this list
//TEXT  send a text that begins with a slash";

pub(super) struct Session<'a> {
    backend: &'a Backend,
    contact: PhoneNumber,
    thread: LiveThread,
    /// What happens in the conversation; `None` once it cannot be read any more.
    follower: Option<Follower<'a>>,
    /// What the follower tells about itself.
    remarks: UnboundedReceiver<String>,
    editor: LineEditor,
    outbox: UnboundedSender<Outgoing>,
    ended: UnboundedReceiver<SentText>,
    /// How many texts are on their way.
    underway: usize,
    /// Outbound messages that came while texts were on their way: one of them may be the text.
    held: Vec<Message>,
    /// The messages that are on the screen already, with the status that was told last.
    on_screen: HashMap<Uuid, Option<Status>>,
    /// What `/retry` does.
    again: Option<Outgoing>,
}

impl<'a> Session<'a> {
    /// Prints the newest messages. The feed's position is taken before, so that nothing is missed in
    /// between; what is in both is printed once.
    ///
    /// # Errors
    /// The database or the server cannot be reached, or the terminal cannot be used.
    pub(super) async fn begin(
        backend: &'a Backend,
        contact: PhoneNumber,
        style: &Style,
    ) -> Result<Self, Error> {
        let (tell, remarks) = unbounded_channel();
        let follower = begin_following(backend, &contact, tell).await?;
        let mut thread = LiveThread::new(style);
        let (shown, on_screen) = newest(backend, &contact, &mut thread).await?;
        let mut out = stdio::stdout();
        // A terminal that is gone is noticed by the editor.
        let _ = out.write_all(shown.as_bytes()).and_then(|()| out.flush());
        let editor = LineEditor::start()?;
        let (outbox, ended) = outbox::start(backend.clone());
        Ok(Self {
            backend,
            contact,
            thread,
            follower: Some(follower),
            remarks,
            editor,
            outbox,
            ended,
            underway: 0,
            held: Vec::new(),
            on_screen,
            again: None,
        })
    }

    /// Until the person or a signal ends it; what was entered before is still sent.
    pub(super) async fn run(mut self, draft: impl Fn(&str) -> Result<Draft, Error>) {
        let mut signal = pin!(signals::requested());
        loop {
            tokio::select! {
                biased;
                Some((sent, result)) = self.ended.recv() => self.sent(sent, &result),
                line = self.editor.lines.recv() => match line {
                    None | Some(Input::Quit) => break,
                    Some(input) => self.input(input, &draft),
                },
                Some(remark) = self.remarks.recv() => self.tell(&remark),
                event = next(&mut self.follower) => match event {
                    Ok(event) => self.event(&event),
                    Err(error) => self.lost(&error).await,
                },
                () = &mut signal => {
                    self.editor.abandon();
                    self.backend.interrupt().cancel();
                    break;
                }
            }
        }
        signals::cancel_at_signal(self.backend.interrupt());
        while self.underway > 0
            && let Some((sent, result)) = self.ended.recv().await
        {
            self.sent(sent, &result);
        }
    }

    fn input(&mut self, input: Input, draft: &impl Fn(&str) -> Result<Draft, Error>) {
        match input {
            Input::Text(text) => match draft(&text) {
                Ok(draft) => self.send(Outgoing::new(draft)),
                Err(error) => self.tell_error("not sent", &error),
            },
            Input::Retry => match self.again.take() {
                Some(again) => self.send(again),
                None => self.tell("there is nothing to repeat"),
            },
            Input::Help => self.tell(HELP),
            Input::Unknown(word) => {
                self.tell(&format!("{word} is not a command; to send it, begin with //"));
            }
            Input::Controls => {
                self.tell("not sent: it contains control characters, which are not shown");
            }
            Input::Quit | Input::Nothing => {}
        }
    }

    fn send(&mut self, outgoing: Outgoing) {
        let size = outgoing.draft.size();
        if size.segments > 1 {
            self.tell(&format!("{} segments ({})", size.segments, size.encoding));
        }
        self.again = None;
        self.underway += 1;
        // The task that receives it lives as long as this.
        let _ = self.outbox.send(outgoing);
    }

    fn sent(&mut self, sent: Outgoing, result: &Result<Message, Error>) {
        self.underway -= 1;
        match result {
            Ok(message) => {
                self.on_screen.entry(message.id).or_default();
                if let Err(error) = verdict(message) {
                    self.tell_error("unknown", &error);
                }
            }
            Err(error) => {
                if let Some(id) = error.extra().message_id {
                    self.on_screen.entry(id).or_default();
                }
                let is_unknown = error.code() == Code::OutcomeUnknown;
                self.tell_error(if is_unknown { "unknown" } else { "not sent" }, error);
            }
        }
        if let Some(again) = sent.again(result) {
            self.again = Some(again);
            self.tell("/retry repeats it");
        }
        if self.underway == 0 {
            for message in std::mem::take(&mut self.held) {
                self.message(&message);
            }
        }
    }

    fn event(&mut self, event: &FeedEvent) {
        match (event.kind, &event.message) {
            (FeedKind::Message, Some(message)) => {
                let is_ours = message.direction == Direction::Outbound;
                match is_ours && self.underway > 0 {
                    true => self.held.push(message.clone()),
                    false => self.message(message),
                }
            }
            (FeedKind::Status, Some(message)) => {
                let status = event.status.unwrap_or(message.status);
                self.status(&Message { status, ..message.clone() }, event);
            }
            _ => {
                let notice = self.thread.notice(&event::words(event).0, event.at);
                self.print(notice);
            }
        }
    }

    fn message(&mut self, message: &Message) {
        if !self.on_screen.contains_key(&message.id) {
            self.resize();
            let lines = self.thread.message(message);
            self.print(lines);
        }
        if message.direction == Direction::Inbound {
            mark_read(self.backend, &self.contact, ReadUpTo::Message(message.id));
        }
    }

    fn status(&mut self, message: &Message, event: &FeedEvent) {
        let before = self.on_screen.insert(message.id, Some(message.status)).flatten();
        // Those before `sent` are passed within a moment.
        if message.status >= Status::Sent && before != Some(message.status) {
            self.resize();
            let line = self.thread.change(message, event.at);
            self.print(line);
        }
    }

    /// The feed failed for a reason that does not pass by itself.
    async fn lost(&mut self, error: &Error) {
        self.follower = None;
        self.tell_error("cannot follow the conversation", error);
        if error.code() == Code::CursorExpired {
            let (tell, remarks) = unbounded_channel();
            self.remarks = remarks;
            self.follower = begin_following(self.backend, &self.contact, tell).await.ok();
        }
        match self.follower.is_some() {
            true => self.tell("some messages may be missing above; new ones are shown again"),
            false => self.tell("what comes in is not shown any more; texts can still be sent"),
        }
    }

    fn tell_error(&mut self, what: &str, error: &Error) {
        let hint = error.hint_text().map(|hint| format!("\nhint: {hint}"));
        self.tell(&format!("{what}: {error}{}", hint.unwrap_or_default()));
    }

    fn tell(&mut self, note: &str) {
        self.resize();
        let lines = self.thread.note(note);
        self.print(lines);
    }

    fn resize(&mut self) {
        if let Some(width) = terminal::stdout_columns() {
            self.thread.resize(width);
        }
    }

    fn print(&mut self, lines: String) {
        self.editor.print(lines);
    }
}

/// A follower of the contact, which has begun.
async fn begin_following<'a>(
    backend: &'a Backend,
    contact: &PhoneNumber,
    tell: UnboundedSender<String>,
) -> Result<Follower<'a>, Error> {
    let contact = Some(Selector::new(contact.as_str()));
    let filter = FeedFilter { contact, ..FeedFilter::default() };
    // Nobody listens any more once the chat has ended.
    let tell = move |remark: &str| drop(tell.send(remark.to_owned()));
    let mut follower = Follower::new(backend, filter, FeedStart::Now).telling_by(tell);
    follower.begin().await?;
    Ok(follower)
}

/// The next event; never without a follower. Cancel safe.
async fn next(follower: &mut Option<Follower<'_>>) -> Result<FeedEvent, Error> {
    match follower {
        Some(follower) => follower.next().await,
        None => std::future::pending().await,
    }
}

/// Marks read what is on the screen, beside everything else; silently not, where that is not allowed.
fn mark_read(backend: &Backend, contact: &PhoneNumber, up_to: ReadUpTo) {
    let (backend, contact) = (backend.clone(), Selector::new(contact.as_str()));
    tokio::spawn(async move { drop(backend.mark_read(&contact, up_to).await) });
}

/// The conversation as it stands: its heading and the newest messages.
async fn newest(
    backend: &Backend,
    contact: &PhoneNumber,
    thread: &mut LiveThread,
) -> Result<(String, HashMap<Uuid, Option<Status>>), Error> {
    let conversation = match backend.find(&Selector::new(contact.as_str())).await {
        Ok(conversation) => conversation,
        Err(error) if error.code() == Code::ConversationNotFound => {
            let note = format!("no messages with {contact} yet; /help lists the commands");
            return Ok((thread.note(&note), HashMap::new()));
        }
        Err(error) => return Err(error),
    };
    let window = Window::Newest { before: None, limit: BRIEF };
    let page = backend.messages(conversation.id, window, false).await?;
    if conversation.unread_count > 0 {
        mark_read(backend, contact, ReadUpTo::Arrived(conversation.arrived));
    }
    let count = conversation.message_count.saturating_sub(page.rows.len() as u64);
    let first = page.rows.first().filter(|_| page.next.is_some());
    let earlier = first.map(|message| Earlier {
        count: Some(count),
        before: message.id,
        limit: None,
        start: None,
    });
    let mut shown = thread.heading(&conversation, earlier.as_ref());
    for message in &page.rows {
        shown.push_str(&thread.message(message));
    }
    let told = page.rows.iter().map(|message| (message.id, Some(message.status)));
    Ok((shown, told.collect()))
}
