//! One conversation, written page by page.

use std::io::{self, Write};

use super::chat::{Chat, Earlier};
use super::{Format, Style, json, record};
use crate::domain::{Conversation, Message, Timestamp};

/// Prints a conversation. Nothing is written before the first page has been read.
#[derive(Debug)]
pub struct ThreadPrinter<'a, W: Write> {
    out: &'a mut W,
    style: Style,
    thread: &'a Conversation,
    earlier: Option<Earlier>,
    begun: bool,
    chat: Chat,
    array: json::Array,
}

impl<'a, W: Write> ThreadPrinter<'a, W> {
    /// A printer for one conversation; `earlier` messages that were left out are mentioned to people.
    pub fn new(
        out: &'a mut W,
        style: &Style,
        thread: &'a Conversation,
        earlier: Option<Earlier>,
    ) -> Self {
        let (chat, array) = (Chat::new(style), json::Array::default());
        Self { out, style: style.clone(), thread, earlier, begun: false, chat, array }
    }

    /// Mentions messages that were left out, unless something is printed already.
    pub fn leave_out(&mut self, earlier: Option<Earlier>) {
        self.earlier = earlier;
    }

    /// From now on, lines fit into so many columns.
    pub fn resize(&mut self, width: usize) {
        self.chat.resize(width);
    }

    /// Prints that a message has got another status: a line for people, for programs the message again.
    ///
    /// # Errors
    /// Writing failed.
    pub fn change(&mut self, message: &Message, at: Timestamp) -> io::Result<()> {
        match self.style.format {
            Format::Table => {
                self.begin()?;
                write_lines(self.out, &self.chat.change(message, at))?;
                self.out.flush()
            }
            // Its id is there already.
            Format::Ids => Ok(()),
            _ => {
                self.page(std::slice::from_ref(message))?;
                self.flush()
            }
        }
    }

    /// Prints what happened to the conversation, for people.
    ///
    /// # Errors
    /// Writing failed.
    pub fn notice(&mut self, words: &str, at: Timestamp) -> io::Result<()> {
        if self.style.format == Format::Table {
            self.begin()?;
            write_lines(self.out, &self.chat.notice(words, at))?;
        }
        self.out.flush()
    }

    /// Prints the next messages.
    ///
    /// # Errors
    /// Writing failed.
    pub fn page(&mut self, page: &[Message]) -> io::Result<()> {
        self.begin()?;
        match self.style.format {
            Format::Table => {
                for message in page {
                    write_lines(self.out, &self.chat.message(message))?;
                }
            }
            Format::Json => {
                for message in page {
                    self.array.element(self.out, message)?;
                }
            }
            format => record::write(self.out, format, page)?,
        }
        Ok(())
    }

    /// Shows what has been printed so far.
    ///
    /// # Errors
    /// Writing failed.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Ends the output.
    ///
    /// # Errors
    /// Writing failed.
    pub fn finish(&mut self) -> io::Result<()> {
        self.begin()?;
        if self.style.format == Format::Json {
            self.array.finish(self.out)?;
            self.out.write_all(b"}\n")?;
        }
        self.out.flush()
    }

    fn begin(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        match self.style.format {
            Format::Table => {
                write_lines(self.out, &self.chat.heading(self.thread, self.earlier.as_ref()))
            }
            Format::Json => {
                // The conversation's object, left open for its messages.
                let mut fields = Vec::new();
                json::write(&mut fields, self.thread)?;
                self.out.write_all(fields.strip_suffix(b"}").unwrap_or(&fields))?;
                self.out.write_all(b",\"messages\":")
            }
            format => record::header::<Message>(self.out, format),
        }
    }
}

/// A conversation that is shown as it happens, on a terminal. Every text ends with a line break.
#[derive(Debug)]
pub struct LiveThread(Chat);

impl LiveThread {
    /// With this style, whatever its format.
    #[must_use]
    pub fn new(style: &Style) -> Self {
        Self(Chat::new(style))
    }

    /// From now on, lines fit into so many columns.
    pub fn resize(&mut self, width: usize) {
        self.0.resize(width);
    }

    /// The contact, whether the contact has opted out, and where `earlier` messages are.
    #[must_use]
    pub fn heading(&self, thread: &Conversation, earlier: Option<&Earlier>) -> String {
        text(&self.0.heading(thread, earlier))
    }

    /// A message, preceded by the headings that are due.
    #[must_use]
    pub fn message(&mut self, message: &Message) -> String {
        text(&self.0.message(message))
    }

    /// That a message has got another status, with the beginning of its text.
    #[must_use]
    pub fn change(&self, message: &Message, at: Timestamp) -> String {
        text(&self.0.change(message, at))
    }

    /// What happened to the conversation.
    #[must_use]
    pub fn notice(&self, words: &str, at: Timestamp) -> String {
        text(&self.0.notice(words, at))
    }

    /// A remark of the program, of one or several lines.
    #[must_use]
    pub fn note(&self, note: &str) -> String {
        text(&self.0.note(note))
    }
}

fn text(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

fn write_lines(out: &mut impl Write, lines: &[String]) -> io::Result<()> {
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}

#[cfg(test)]
mod tests {
    use super::super::TargetOptions;
    use super::super::escape::drives;
    use super::super::samples::{
        conversation, failed, inbound, number, outbound, style, time, with_history,
    };
    use super::super::width::columns;
    use super::*;
    use crate::domain::{Media, Status, Thread};
    use proptest::prelude::*;

    fn printed(style: &Style, thread: &Conversation, messages: &[Message], earlier: u64) -> String {
        let before = messages.first().map_or(thread.id, |message| message.id);
        let left_out = Earlier { count: Some(earlier), before, limit: None, start: None };
        let mut out = Vec::new();
        let mut printer =
            ThreadPrinter::new(&mut out, style, thread, (earlier > 0).then_some(left_out));
        printer.page(messages).expect("a vector takes all");
        printer.finish().expect("a vector takes all");
        String::from_utf8(out).expect("UTF-8")
    }

    fn talk() -> Vec<Message> {
        let long = "Hello from Telnyx! Yes, we are here every day from nine to five, and glad to \
                    help with your invoice.";
        let mut later = failed("Are you still there?");
        later.created_at = time("2026-06-19T09:05:00Z");
        let mut photo = inbound("");
        photo.created_at = time("2026-06-19T09:06:00Z");
        photo.media = vec![Media {
            content_type: Some("image/jpeg".into()),
            size: Some(48_213),
            ..Media::at("https://media.telnyx.com/a/very/long/path/that/goes/on/photo.jpeg")
        }];
        let mut other = outbound("Thanks", Status::Unknown);
        other.created_at = time("2026-06-19T09:07:00Z");
        other.from = number("+15557654321");
        let mut parts = outbound(long, Status::Delivered);
        parts.segments = Some(2);
        vec![inbound("Hi, is anyone there?\nI have a question."), parts, later, photo, other]
    }

    fn stopped() -> Conversation {
        let mut thread = conversation("Thanks");
        thread.opted_out_at = Some(time("2026-06-19T09:08:00Z"));
        thread.opted_out_number = Some(number("+15551234567"));
        thread
    }

    #[test]
    fn a_wide_window_reads_like_a_chat() {
        assert_eq!(printed(&style(Format::Table, 120, false), &stopped(), &talk(), 0), WIDE);
    }

    #[test]
    fn a_usual_window_reads_like_a_chat() {
        assert_eq!(printed(&style(Format::Table, 80, false), &conversation(""), &talk(), 7), USUAL);
    }

    #[test]
    fn a_narrow_window_reads_like_a_chat() {
        assert_eq!(printed(&style(Format::Table, 40, false), &stopped(), &talk(), 1), NARROW);
    }

    #[test]
    fn a_history_hangs_under_its_message() {
        let shown = printed(
            &style(Format::Table, 80, false),
            &conversation(""),
            &[with_history(failed("Hi"))],
            0,
        );
        let expected = "\
  14:31 → Hi
          ✗ not delivered: Blocked: as spam (Telnyx error 40002)
            hint: a spam filter blocked it; reword it and send it again
          18 Jun 2026, 14:31 UTC sent +12125551234
          18 Jun 2026, 14:31 UTC delivery_failed +12125551234: Blocked: as spam
          (Telnyx error 40002)
";
        assert!(shown.ends_with(expected), "{shown}");
    }

    #[test]
    fn a_history_says_which_message_was_answered() {
        let answer = Message {
            in_reply_to: Some(uuid::Uuid::from_u128(7)),
            ..outbound("Hi", Status::Delivered)
        };
        let shown = |message: Message| {
            let style = style(Format::Table, 80, false);
            printed(&style, &conversation(""), &[message], 0)
        };
        let told = "          in reply to 00000000-0000-0000-0000-000000000007\n          18 Jun";
        let with = shown(with_history(answer.clone()));
        assert!(with.contains(told), "{with}");
        assert!(!shown(answer).contains("in reply to"));
    }

    #[test]
    fn a_command_goes_on_where_the_conversation_is() {
        let target = TargetOptions::new(true, None, false);
        let play = Style { target, ..style(Format::Table, 80, false) };
        let shown = printed(&play, &conversation(""), &[outbound("Hi", Status::Unknown)], 1);
        assert!(shown.contains("convo --sandbox retry "), "{shown}");
        assert!(shown.contains("convo --sandbox show "), "{shown}");
    }

    #[test]
    fn colour_changes_no_word() {
        for width in [40, 80, 120] {
            let plain = printed(&style(Format::Table, width, false), &stopped(), &talk(), 3);
            let colored = printed(&style(Format::Table, width, true), &stopped(), &talk(), 3);
            assert_ne!(colored, plain);
            assert_eq!(anstream::adapter::strip_str(&colored).to_string(), plain);
        }
    }

    #[test]
    fn json_is_the_apis_thread() {
        for messages in [talk(), Vec::new()] {
            let text = printed(&style(Format::Json, 80, false), &stopped(), &messages, 0);
            let back: Thread = serde_json::from_str(&text).expect("a thread");
            assert_eq!(back, Thread { conversation: stopped(), messages });
        }
    }

    proptest! {
        #[test]
        fn whatever_was_written_stays_under_its_message(
            body in any::<String>(), width in 40_usize..=250, color: bool,
        ) {
            let message = inbound(&body);
            let shown = printed(&style(Format::Table, width, color), &conversation(""), &[message], 0);
            let plain = anstream::adapter::strip_str(&shown).to_string();
            prop_assert!(!plain.contains(|c| c != '\n' && drives(c)), "{plain:?}");
            for (at, line) in plain.lines().enumerate() {
                prop_assert!(columns(line) <= width, "{} > {width}: {line:?}", columns(line));
                prop_assert!(at < 3 || line.is_empty() || line.starts_with("  "), "{line:?}");
            }
            if !color {
                prop_assert_eq!(plain, shown);
            }
        }
    }

    const WIDE: &str = "\
+12125551234 · 4 messages · 01890000-0000-7000-8000-0000e6f70819
Opted out on 19 Jun 2026, 09:08 UTC to +15551234567. Nothing is sent to this contact until they send
START.

Thursday, 18 June 2026 UTC
  ← +12125551234   → us (+15551234567)
  14:29 ← Hi, is anyone there?
          I have a question.
  14:31 → Hello from Telnyx! Yes, we are here every day from nine to five, and glad to help with
          your invoice.                                                     ✓ delivered · 2 segments

Friday, 19 June 2026 UTC
  09:05 → Are you still there?
          ✗ not delivered: Blocked: as spam (Telnyx error 40002)
            hint: a spam filter blocked it; reword it and send it again
  09:06 ← https://media.telnyx.com/a/very/long/path/that/goes/on/photo.jpeg (image/jpeg, 49 kB)
  ← +12125551234   → us (+15557654321)
  09:07 → Thanks
          ? unknown: it may have been sent
            hint: a delivery report may still arrive; to retry the same request:
            convo retry 01890000-0000-7000-8000-000000000002
";
    const USUAL: &str = "\
+12125551234 · 4 messages · 01890000-0000-7000-8000-0000e6f70819
7 earlier messages not shown; --all shows all, and this shows more:
  convo show +12125551234 --before 01890000-0000-7000-8000-000000000001

Thursday, 18 June 2026 UTC
  ← +12125551234   → us (+15551234567)
  14:29 ← Hi, is anyone there?
          I have a question.
  14:31 → Hello from Telnyx! Yes, we are here every day from nine to five, and
          glad to help with your invoice.               ✓ delivered · 2 segments

Friday, 19 June 2026 UTC
  09:05 → Are you still there?
          ✗ not delivered: Blocked: as spam (Telnyx error 40002)
            hint: a spam filter blocked it; reword it and send it again
  09:06 ← https://media.telnyx.com/a/very/long/path/that/goes/on/photo.jpeg
          (image/jpeg, 49 kB)
  ← +12125551234   → us (+15557654321)
  09:07 → Thanks
          ? unknown: it may have been sent
            hint: a delivery report may still arrive; to retry the same request:
            convo retry 01890000-0000-7000-8000-000000000002
";
    const NARROW: &str = "\
+12125551234 · 4 messages · e6f70819
Opted out on 19 Jun 2026, 09:08 UTC to
+15551234567. Nothing is sent to this
contact until they send START.
1 earlier message not shown; --all shows
all, and this shows more:
  convo show +12125551234 --before 01890000-0000-7000-8000-000000000001

Thursday, 18 June 2026 UTC
  ← +12125551234   → us (+15551234567)
  14:29 ← Hi, is anyone there?
          I have a question.
  14:31 → Hello from Telnyx! Yes, we are
          here every day from nine to
          five, and glad to help with
          your invoice.
          ✓ delivered · 2 segments

Friday, 19 June 2026 UTC
  09:05 → Are you still there?
          ✗ not delivered: Blocked: as
          spam (Telnyx error 40002)
            hint: a spam filter blocked
            it; reword it and send it
            again
  09:06 ← https://media.telnyx.com/a/very/long/path/that/goes/on/photo.jpeg
          (image/jpeg, 49 kB)
  ← +12125551234   → us (+15557654321)
  09:07 → Thanks
          ? unknown: it may have been
          sent
            hint: a delivery report may
            still arrive; to retry the
            same request:
            convo retry 01890000-0000-7000-8000-000000000002
";
}
