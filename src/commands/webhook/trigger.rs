//! `convo webhook trigger`: an event as Telnyx would send it.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use uuid::Uuid;

use super::post::PostArgs;
use super::workbench::require_sandbox;
use crate::backend::open::open_local;
use crate::cli::HelpText;
use crate::commands::complete;
use crate::commands::context::Context;
use crate::config::Config;
use crate::domain::{Direction, Message, PhoneNumber};
use crate::error::Error;
use crate::sandbox::{self, ReceivedDraft, TriggeredStatus};
use crate::store::Purpose;

/// Make an event as Telnyx would send it, and post it to a server on this machine
#[derive(Args, Clone, Debug)]
#[command(add = HELP, after_help = HELP.examples)]
pub(super) struct WebhookTriggerArgs {
    /// What has happened: received, sent, delivered or failed
    #[arg(value_enum, hide_possible_values = true)]
    event: TriggerEvent,
    /// The message that was sent, delivered or has failed: its id, or the last 8 digits of it
    #[arg(required_if_eq_any([("event", "sent"), ("event", "delivered"), ("event", "failed")]))]
    message: Option<String>,
    /// The contact from whom a text was received
    #[arg(long, value_name = "NUMBER", required_if_eq("event", "received"))]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    #[arg(add = ArgValueCompleter::new(complete::contacts))]
    from: Option<String>,
    /// The text that was received
    #[arg(long, allow_hyphen_values = true)]
    text: Option<String>,
    /// A file that was received with it; may be repeated
    #[arg(long = "media", value_name = "URL")]
    media_urls: Vec<String>,
    /// The number of yours that it came to [default: that of the sandbox]
    #[arg(long, value_name = "NUMBER")]
    number: Option<String>,
    #[command(flatten)]
    pub post: PostArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TriggerEvent {
    Received,
    Sent,
    Delivered,
    Failed,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo --sandbox webhook trigger received --from +12125551234 --text \"Hello\"
  convo --sandbox webhook trigger failed 5e6f7081
  convo webhook trigger received --from +12125551234 --text Hi --to http://localhost:8000/webhook",
    description: "\
The event is complete, has new ids and happens now. It is signed with a key for development, which \
convo serve --sandbox leaves in sandbox.key, and posted once. A real database is refused: where the \
settings name one, add --sandbox.",
    output: "\
The status in convo's answer, such as stored or updated; of another receiver, its status in the answer's \
JSON or else the HTTP status. With --json, one object:

  event_id  event_type  url  status_code  answer",
};

impl WebhookTriggerArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        if self.event == TriggerEvent::Received {
            self.check_received()?;
        } else if self.from.is_some()
            || self.number.is_some()
            || self.text.is_some()
            || !self.media_urls.is_empty()
        {
            let what = "--from, --number, --text and --media are for trigger received";
            return Err(Error::invalid(what)
                .hint("name the message after the word: convo webhook trigger sent MESSAGE"));
        }
        context.block_on(async {
            let settings = require_sandbox(&context.config).await?;
            let url = self.post.url(&context.config)?;
            let key = self.post.key(context)?;
            let status = match self.event {
                TriggerEvent::Received => {
                    let body = self.received(url.as_str())?;
                    return self.post.post(body, &url, &key).await;
                }
                TriggerEvent::Sent => TriggeredStatus::Sent,
                TriggerEvent::Delivered => TriggeredStatus::Delivered,
                TriggerEvent::Failed => TriggeredStatus::Failed,
            };
            let message = self.find(&settings).await?;
            let body = sandbox::reported(&message, status, url.as_str());
            self.post.post(body, &url, &key).await
        })
    }

    fn check_received(&self) -> Result<(), Error> {
        if self.message.is_some() {
            return Err(Error::invalid("trigger received takes no message")
                .hint("give the text with --text"));
        }
        if self.text.is_none() && self.media_urls.is_empty() {
            return Err(Error::invalid("there is no text and no file")
                .hint("add --text \"Hello\", or --media URL"));
        }
        Ok(())
    }

    fn received(&self, url: &str) -> Result<Vec<u8>, Error> {
        let from = PhoneNumber::parse_sender(self.from.as_deref().unwrap_or_default())?;
        let number = self.number.as_deref().map(PhoneNumber::parse_sender).transpose()?;
        let draft = ReceivedDraft {
            from: from.as_str(),
            to: number.as_ref().map(PhoneNumber::as_str),
            text: self.text.as_deref().unwrap_or_default(),
            media_urls: self.media_urls.clone(),
        };
        Ok(sandbox::received(draft, url))
    }

    /// The message in the sandbox's database.
    async fn find(&self, settings: &Config) -> Result<Message, Error> {
        let typed = self.message.as_deref().unwrap_or_default();
        let conversations = open_local(settings, Purpose::Read).await?;
        let found = match Uuid::try_parse(typed) {
            Ok(id) => conversations.message(id).await,
            Err(_) => conversations.message_ending(typed).await,
        };
        conversations.close().await;
        let message = found?;
        if message.direction == Direction::Inbound {
            return Err(Error::invalid(format!("{} is an inbound message", message.id))
                .hint("there are reports on outbound messages only"));
        }
        Ok(message)
    }
}
