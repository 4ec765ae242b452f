//! `convo webhook show`: one stored event, as it came.

use std::io::{self, Write};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use crate::cli::{BackendArgs, HelpText};
use crate::commands::context::Context;
use crate::commands::print::{finish_write, stdout};
use crate::error::Error;
use crate::output::escape;
use crate::store::Purpose;

/// Print a stored webhook event as it came
#[derive(Args, Clone, Debug)]
#[command(add = HELP, after_help = HELP.examples)]
pub(super) struct WebhookShowArgs {
    /// Telnyx's id of the event, as convo webhook list prints it
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    id: String,
    #[command(flatten)]
    pub backend: BackendArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo webhook show b301ed3f-1490-491f-995f-6e64e69674d4
  convo webhook show b301ed3f-1490-491f-995f-6e64e69674d4 | jq .data.payload",
    description: "\
Events are stored by their time: a recent one is found at once, an old one by walking back to it. A \
server asks for a token of the scope admin.",
    output: "\
The body of the webhook, byte for byte. On a terminal, what would control it is shown as \\u{HEX}.",
};

impl WebhookShowArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let is_terminal = context.terminal.stdout_is_terminal;
        context.block_on(async {
            let backend = context.backend(Purpose::Read).await?;
            let found = backend.stored_event(&self.id).await;
            backend.close().await;
            finish_write(print(&mut stdout(), &found?, is_terminal))
        })
    }
}

fn print(out: &mut impl Write, body: &[u8], is_terminal: bool) -> io::Result<()> {
    if is_terminal {
        for line in escape::lines(&String::from_utf8_lossy(body)) {
            writeln!(out, "{line}")?;
        }
    } else {
        out.write_all(body)?;
    }
    out.flush()
}
