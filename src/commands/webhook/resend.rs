//! `convo webhook resend`: an event once more, signed anew.

use std::fs::File;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::post::PostArgs;
use super::workbench::{body_from_stdin, read_body};
use crate::backend::Backend;
use crate::cli::HelpText;
use crate::commands::context::Context;
use crate::error::Error;
use crate::store::Purpose;

/// Post a stored event, or one from a file, to a server on this machine
#[derive(Args, Clone, Debug)]
#[command(add = HELP, after_help = HELP.examples)]
pub(super) struct WebhookResendArgs {
    /// The id of a stored event, or a file with the body of one; - reads standard input
    #[arg(value_name = "ID|FILE", value_parser = NonEmptyStringValueParser::new())]
    event: String,
    #[command(flatten)]
    pub post: PostArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo --sandbox webhook resend b301ed3f-1490-491f-995f-6e64e69674d4
  convo webhook resend event.json --to http://localhost:8000/webhook --key-file sandbox.key",
    description: "\
The body is posted byte for byte as it came, with a new signature of the key for development: \
convo recognises the event by its ids and answers duplicate. The stored events of a real database can be \
posted to a program on this machine. A word that names an existing file is a file, any other an id.",
    output: "\
The status in convo's answer, such as duplicate; of another receiver, its status in the answer's JSON or \
else the HTTP status. With --json, one object:

  event_id  event_type  url  status_code  answer",
};

impl WebhookResendArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let path = context.directory.join(&self.event);
        let given = match self.event.as_str() {
            "-" => Some(body_from_stdin(context)?),
            _ if path.is_file() => {
                let file = File::open(&path).map_err(|error| {
                    Error::invalid(format!("{} cannot be read: {error}", path.display()))
                })?;
                Some(read_body(file, &self.event)?)
            }
            _ => None,
        };
        context.block_on(async {
            let url = self.post.url(&context.config)?;
            let key = self.post.key(context)?;
            let body = match given {
                Some(body) => body,
                None => self.stored(context).await?,
            };
            self.post.post(body, &url, &key).await
        })
    }

    async fn stored(&self, context: &Context) -> Result<Vec<u8>, Error> {
        context.config.require_database()?;
        let backend = Backend::open(&context.config, Purpose::Read).await?;
        let found = backend.stored_event(&self.event).await;
        backend.close().await;
        found
    }
}
