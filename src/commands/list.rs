//! `convo list`: conversations, most recently active first.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use super::complete;
use super::context::Context;
use super::print::{Extent, print_pages};
use crate::cli::{BackendArgs, FilterArgs, Group, HelpText, PrintArgs};
use crate::error::Error;
use crate::output::list::List;
use crate::output::pager::Start;

/// List conversations, most recently active first
#[derive(Args, Clone, Debug)]
#[command(add = Group::Read, add = HELP, after_help = HELP.examples)]
#[command(mut_arg("contact", |arg| arg.add(ArgValueCompleter::new(complete::contacts))))]
#[command(mut_arg("number", |arg| arg.add(ArgValueCompleter::new(complete::own_numbers))))]
pub(super) struct ListArgs {
    #[command(flatten)]
    pub backend: BackendArgs,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    print: PrintArgs,
}

const HELP: HelpText = HelpText {
    examples: "\
Examples:
  convo list
  convo list --unread --since 2d
  convo list --json | jq -r '.[].contact_number'
  convo list --status unknown --format ids | xargs -r -n1 convo show",
    description: "\
On a terminal, prints a table of the 50 most recently active conversations. In a pipe, or with a \
format, prints all of them as they are read. A table longer than the screen is shown in a pager.

In the table, an arrow to the left marks a message from the contact and an arrow to the right one \
from you; the status is that of the last message. Only the last 8 hex digits of an id are shown; \
convo show accepts them. A dot and a number beside the contact tell how many messages are unread: convo \
mark --help says what that is.

A conversation is listed if it matches every filter. --status, --direction and --number apply to \
its last message: --direction inbound finds contacts who are waiting for a reply; --number is the \
number of yours that it was sent from or to. --status accepts pending, unknown, scheduled, queued, \
sending, sent, delivery_unconfirmed, expired, cancelled, sending_failed, delivery_failed, \
delivered, read and received; failed means expired, sending_failed and delivery_failed, and \
open means any that is not final. With --reverse, --limit prints the least recently active \
conversations.

--since and --until accept a time: 2h or 3d ago, today, yesterday, a time of day such as 09:00, a \
date, a date and time, or RFC 3339. A date means 00:00. Without a time zone, a time is local \
(with --utc, in UTC).",
    output: "\
In a pipe, one conversation per line, its fields separated by TAB:

  id  contact_number  message_count  last_message_at
  direction  status  opted_out_at  body  subject  cc  unread_count
  contact_name

direction, status, body, subject and cc are the last message's. csv has the same fields below a \
header line; ids prints the conversations' ids. json is one array and jsonl one object per line, \
with the fields of the REST API:

  id  contact_number  contact_name  message_count  last_message_at  created_at
  opted_out_at  opted_out_number  unread_count  arrived
  last_message: id  direction  body  subject  cc  media_count  status  created_at  send_at

Later versions may append fields, but keep these.",
};

impl ListArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Error> {
        context.print(&self.print, Start::Top, async |backend, out, style| {
            let listing = self.filter.listing(style.now, style.zone);
            let fetch = async |after, limit| backend.list(&listing, after, limit).await;
            let extent = Extent::new(&self.print, style);
            print_pages(fetch, extent, &mut List::for_listing(&listing, out, style)).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::print::finish;
    use super::super::{Cli, Command};
    use super::*;
    use crate::cli;
    use crate::domain::{Conversation, Cursor, Page};
    use crate::output::Format;
    use crate::output::samples::{conversation, style};
    use std::cell::RefCell;
    use uuid::Uuid;

    /// `count` conversations, each a second older than the one before.
    fn conversations(count: u32) -> Vec<Conversation> {
        let numbered = |at: u32| {
            let mut conversation = conversation("Hi");
            conversation.id = Uuid::from_u128(u128::from(at));
            let newest = conversation.last_message_at;
            conversation.last_message_at = newest.plus_seconds(-i64::from(at));
            conversation
        };
        (0..count).map(numbered).collect()
    }

    /// What is printed of `count` conversations when a page has at most `page` of them, and the
    /// page sizes that were requested.
    async fn printed_in_pages(
        count: u32,
        page: usize,
        extent: Extent,
        format: Format,
    ) -> (String, Vec<u64>) {
        let (all, limits, mut out) = (conversations(count), RefCell::new(Vec::new()), Vec::new());
        let fetch = async |after: Option<Cursor>, limit: u64| {
            limits.borrow_mut().push(limit);
            let from = after.map_or(0, |after| after.id.as_u128() as usize + 1);
            let size = page.min(limit as usize);
            let rows: Vec<_> = all.iter().skip(from).take(size).cloned().collect();
            let is_last = from + rows.len() == all.len();
            let next = rows.last().filter(|_| !is_last).map(Conversation::cursor);
            Ok(Page { rows, next })
        };
        let style = style(format, 80, false);
        print_pages(fetch, extent, &mut List::new(&mut out, &style))
            .await
            .expect("a vector takes all");
        (String::from_utf8(out).expect("UTF-8"), limits.into_inner())
    }

    async fn printed(count: u32, extent: Extent, format: Format) -> (String, Vec<u64>) {
        printed_in_pages(count, usize::MAX, extent, format).await
    }

    #[test]
    fn limits_and_formats_arrive() {
        let print = |line: &[&str]| {
            let line = ["convo", "list"].iter().chain(line).copied();
            match cli::parse::<Cli>(line).expect("a good command line").cli.command {
                Command::List(args) => args.print,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(print(&[]), PrintArgs::default());
        assert_eq!(print(&["--json"]).format(), Some(Format::Json));
        assert_eq!(print(&["--format", "csv"]).format(), Some(Format::Csv));
        assert_eq!(print(&["--limit", "7"]).limit, Some(7));
        assert!(print(&["--all"]).all);
    }

    #[tokio::test]
    async fn all_conversations_are_printed_once() {
        let (text, limits) = printed(1_203, Extent::All, Format::Ids).await;
        let ids: Vec<_> = conversations(1_203).iter().map(|each| each.id.to_string()).collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), ids);
        assert_eq!(limits, [500, 500, 500]);
    }

    #[tokio::test]
    async fn a_limit_is_exact() {
        for (limit, pages) in [(3, &[3][..]), (500, &[500]), (501, &[500, 1]), (5_000, &[500; 3])] {
            let (text, limits) = printed(1_203, Extent::Newest(limit), Format::Jsonl).await;
            assert_eq!(text.lines().count() as u64, limit.min(1_203));
            assert_eq!(limits, pages, "{limit}");
        }
    }

    #[tokio::test]
    async fn a_page_that_is_not_full_is_not_the_last() {
        let (text, limits) = printed_in_pages(123, 20, Extent::Newest(50), Format::Ids).await;
        assert_eq!((text.lines().count(), limits), (50, vec![50, 30, 10]));
        let (text, _) = printed_in_pages(123, 20, Extent::All, Format::Ids).await;
        assert_eq!(text.lines().count(), 123);
    }

    #[tokio::test]
    async fn a_person_is_told_that_there_is_more() {
        let (text, _) = printed(51, Extent::Brief, Format::Table).await;
        assert_eq!(text.lines().count(), 1 + 50 + 1);
        assert!(text.contains("--all shows every conversation"), "{text}");
        let (text, _) = printed(50, Extent::Brief, Format::Table).await;
        assert_eq!(text.lines().count(), 1 + 50);
    }

    #[tokio::test]
    async fn a_failure_midway_leaves_invalid_json() {
        let (style, mut out) = (style(Format::Json, 80, false), Vec::new());
        let fetch = async |after: Option<Cursor>, _| match after {
            None => {
                let rows = conversations(500);
                let next = rows.last().map(Conversation::cursor);
                Ok(Page { rows, next })
            }
            Some(_) => Err(Error::internal()),
        };
        let ended = print_pages(fetch, Extent::All, &mut List::new(&mut out, &style)).await;
        assert!(finish(ended).is_err());
        assert!(serde_json::from_slice::<serde_json::Value>(&out).is_err());
        let refuse = async |_: Option<Cursor>, _| Err(Error::internal());
        let mut out = Vec::new();
        let _ = print_pages(refuse, Extent::All, &mut List::new(&mut out, &style)).await;
        assert!(out.is_empty(), "nothing is printed when nothing could be read");
    }
}
