//! `convo webhook list`: the stored raw events.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use clap_complete::engine::ArgValueCompleter;

use crate::cli::{BackendArgs, HelpText, Moment, PrintArgs, moment};
use crate::commands::complete;
use crate::commands::context::Context;
use crate::commands::print::{Extent, print_pages};
use crate::domain::{Selector, StoredEventFilter};
use crate::error::Error;
use crate::output::pager::Start;
use crate::output::stored_events::StoredEventList;

/// List the stored webhook events, newest first
#[derive(Args, Clone, Debug)]
#[command(add = HELP, after_help = HELP.examples)]
pub(super) struct WebhookListArgs {
    /// Only events of this type, for example message.finalized
    #[arg(long = "type", value_name = "TYPE", value_parser = NonEmptyStringValueParser::new())]
    event_type: Option<String>,
    /// Only events that happened at this time or later
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Moment>,
    /// Only events about messages from or to this contact
    #[arg(long, value_name = "CONTACT", value_parser = NonEmptyStringValueParser::new())]
    #[arg(add = ArgValueCompleter::new(complete::contacts))]
    contact: Option<String>,
    #[command(flatten)]
    pub backend: BackendArgs,
    #[command(flatten)]
    print: PrintArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo webhook list
  convo webhook list --contact +12125551234 --since yesterday --json",
    description: "\
The order and --since are by Telnyx's clock; an event without a time comes last, and --since leaves it \
out. An event names its contact only in its body: with --contact each one is read, some 10,000 a second, \
so add --since where there are many. A server asks for a token of the scope admin.",
    output: "\
In a pipe, one event per line, its fields separated by TAB:

  id  event_type  occurred_at  received_at  contact_number  telnyx_message_id

contact_number is the sender of an inbound message, or the first recipient of an outbound one. csv has \
the same fields below a header line; ids prints the ids; json is one array and jsonl one object per line, \
as in the REST API. convo webhook show prints an event.",
};

impl WebhookListArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        context.print(&self.print, Start::Top, async |backend, out, style| {
            let filter = StoredEventFilter {
                event_type: self.event_type.clone(),
                since: self.since.map(|since| since.past(style.now, style.zone)),
                contact: self.contact.as_deref().map(Selector::new),
            };
            let fetch = async |after, limit| backend.stored_events(&filter, after, limit).await;
            let extent = Extent::new(&self.print, style);
            print_pages(fetch, extent, &mut StoredEventList::new(out, style)).await
        })
    }
}
