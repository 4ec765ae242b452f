//! `convo chat`: a conversation on the screen, with a line to type in below what comes in.

mod editor;
mod input;
mod outbox;
mod session;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use clap_complete::engine::ArgValueCompleter;

use super::complete;
use super::context::Context;
use super::send::check_settings;
use crate::backend::Backend;
use crate::cli::{BackendArgs, Group, HelpText};
use crate::domain::{CheckedRequest, Recipient, SendRequest};
use crate::error::Error;
use crate::output::{Format, Style};
use crate::store::Purpose;
use session::Session;

/// Chat with a contact
#[derive(Args, Clone, Debug)]
#[command(add = Group::Send, add = HELP, after_help = HELP.examples)]
pub(super) struct ChatArgs {
    /// The contact: a number with its country code, a whole name, or the full id of a conversation
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    #[arg(add = ArgValueCompleter::new(complete::contacts))]
    contact: String,
    /// Send from this number of yours
    #[arg(long, value_name = "NUMBER", value_parser = NonEmptyStringValueParser::new())]
    #[arg(add = ArgValueCompleter::new(complete::own_numbers))]
    from: Option<String>,
    #[command(flatten)]
    pub backend: BackendArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo chat +12125551234
  convo --server http://localhost:5000 chat +12125551234",
    description: "\
Shows the newest messages of the conversation, then each new one as it comes in, above a line to type \
in. Enter sends the line. Several lines that are pasted are sent as one text, after a question. What \
becomes of a text is told in a line of its own.

/quit, Ctrl-D or Ctrl-C on an empty line ends it; Ctrl-C otherwise discards what was typed. /retry \
repeats the last text if it was not sent or its outcome is unknown, and /help lists the commands. Any \
other word that begins with a slash is not sent; to send a text that does, begin it with two.",
    output: "The conversation, on a terminal only. In a script, use convo send, convo show and convo ask.",
};

impl ChatArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let terminal = &context.terminal;
        if !terminal.stdin_is_terminal || !terminal.stdout_is_terminal || terminal.is_dumb {
            return Err(Error::invalid("convo chat needs a terminal")
                .hint("in a script, use convo send, convo show or convo ask"));
        }
        let style = context.style(Some(Format::Table));
        // Whatever is wrong is found before a database is opened.
        let recipient = Recipient::parse(&self.contact)?;
        self.request("text")?;
        check_settings(&context.config)?;
        context.block_on(async {
            let backend = context.backend(Purpose::Write).await?;
            let ended = self.chat(&recipient, &backend, &style).await;
            backend.close().await;
            ended
        })
    }

    async fn chat(
        &self,
        recipient: &Recipient,
        backend: &Backend,
        style: &Style,
    ) -> Result<(), Error> {
        let contact = backend.recipient(recipient).await?;
        let draft = |text: &str| Ok(self.request(text)?.to(contact.clone()));
        Session::begin(backend, contact.clone(), style).await?.run(draft).await;
        Ok(())
    }

    fn request(&self, text: &str) -> Result<CheckedRequest, Error> {
        let request = SendRequest {
            message: Some(text.to_owned()),
            from: self.from.clone(),
            ..SendRequest::default()
        };
        CheckedRequest::new(request)
    }
}
