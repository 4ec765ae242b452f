//! `convo contact list`: the contacts that have a name.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use crate::cli::{BackendArgs, HelpText, PrintArgs};
use crate::commands::context::Context;
use crate::commands::print::{Extent, print_pages};
use crate::domain::ContactFilter;
use crate::error::Error;
use crate::output::contacts::ContactList;
use crate::output::pager::Start;

/// List the contacts that have a name
#[derive(Args, Clone, Debug)]
#[command(add = HELP, after_help = HELP.examples)]
pub(super) struct ContactListArgs {
    /// Only contacts whose names have this part
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    part: Option<String>,
    #[command(flatten)]
    pub backend: BackendArgs,
    #[command(flatten)]
    print: PrintArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo contact list
  convo contact list love
  convo contact list --format ids | xargs -n1 convo show --limit 1",
    description: "\
The contacts are in the order of their names, without regard to letter case. On a terminal, the first \
50 are shown; --all shows every contact.",
    output: "\
In a pipe, one contact per line, its fields separated by TAB:

  contact_number  contact_name  named_at

csv has the same fields below a header line; ids prints the numbers; json is one array and jsonl one \
object per line, with the same fields.",
};

impl ContactListArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        let filter = ContactFilter { part: self.part.clone() };
        context.print(&self.print, Start::Top, async |backend, out, style| {
            let fetch = async |after: Option<_>, limit| {
                backend.contacts(&filter, after.as_ref(), limit).await
            };
            let extent = Extent::new(&self.print, style);
            print_pages(fetch, extent, &mut ContactList::new(out, &filter, style)).await
        })
    }
}
