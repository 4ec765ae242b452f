//! `convo show`: one thread, oldest message first.

use std::io::Write;

use super::{BRIEF, Extent, PAGE, Stop, settle};
use crate::backend::Backend;
use crate::cli::ShowArgs;
use crate::domain::{Conversation, Message, Selector, Window};
use crate::error::Error;
use crate::output::Look;
use crate::output::thread::ThreadPrinter;

/// Prints a thread while its messages are read, so that any number of them needs little memory.
///
/// # Errors
/// There is no such thread, it could not be read, or standard output not written.
pub async fn run(
    args: &ShowArgs,
    backend: &Backend,
    out: &mut impl Write,
    look: &Look,
) -> Result<(), Error> {
    let thread = backend.find(&Selector::new(&args.thread)).await?;
    let fetch = async |window| backend.messages(thread.id, window, args.history).await;
    settle(print(fetch, Extent::of(&args.print, look), &thread, out, look).await)
}

async fn print(
    fetch: impl AsyncFn(Window) -> Result<Vec<Message>, Error>,
    extent: Extent,
    thread: &Conversation,
    out: &mut impl Write,
    look: &Look,
) -> Result<(), Stop> {
    let limit = match extent {
        Extent::All => u64::MAX,
        Extent::Newest(limit) => limit,
        Extent::Brief => BRIEF,
    };
    let earlier = thread.message_count.saturating_sub(limit);
    let mut printer = ThreadPrinter::new(out, look, thread, earlier);
    let first = match earlier {
        0 => fetch(Window::Oldest { after: None, limit: limit.min(PAGE) }).await?,
        _ => first_of_newest(&fetch, limit).await?,
    };
    onward(&fetch, first, limit, &mut printer).await?;
    Ok(printer.finish()?)
}

/// The first page of the newest `limit` messages. Long stretches are walked backwards page by
/// page and then read again forwards: slower than keeping them, but of any length.
async fn first_of_newest(
    fetch: &impl AsyncFn(Window) -> Result<Vec<Message>, Error>,
    limit: u64,
) -> Result<Vec<Message>, Error> {
    let (mut left, mut before, mut oldest) = (limit, None, Vec::new());
    while left > 0 {
        let wanted = left.min(PAGE);
        let page = fetch(Window::Newest { before, limit: wanted }).await?;
        let read = page.len() as u64;
        if page.is_empty() {
            break;
        }
        before = page.first().map(|message| message.id);
        oldest = page;
        if read < wanted {
            break;
        }
        left -= read.min(left);
    }
    Ok(oldest)
}

/// Prints a page and those that follow it, `left` messages in all.
async fn onward<W: Write>(
    fetch: &impl AsyncFn(Window) -> Result<Vec<Message>, Error>,
    mut page: Vec<Message>,
    mut left: u64,
    printer: &mut ThreadPrinter<'_, W>,
) -> Result<(), Stop> {
    loop {
        printer.page(&page)?;
        left = left.saturating_sub(page.len() as u64);
        let after = page.last().map(|message| message.id);
        if left == 0 || after.is_none() {
            return Ok(());
        }
        page = fetch(Window::Oldest { after, limit: left.min(PAGE) }).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;
    use crate::output::samples::{conversation, inbound, look};
    use uuid::Uuid;

    /// The messages of a thread of `count` that a window shows; ids count from 1.
    fn window(count: u64, window: Window) -> Vec<Message> {
        let ids: Vec<u64> = match window {
            Window::Oldest { after, limit } => {
                let from = after.map_or(1, |id| id.as_u128() as u64 + 1);
                (from..=count).take(limit as usize).collect()
            }
            Window::Newest { before, limit } => {
                let end = before.map_or(count, |id| id.as_u128() as u64 - 1);
                (end.saturating_sub(limit) + 1..=end).collect()
            }
        };
        let numbered = |id: u64| Message { id: Uuid::from_u128(id.into()), ..inbound("Hi") };
        ids.into_iter().map(numbered).collect()
    }

    async fn printed(count: u64, extent: Extent, format: Format) -> String {
        let thread = Conversation { message_count: count, ..conversation("Hi") };
        let fetch = async |asked: Window| {
            let (Window::Oldest { limit, .. } | Window::Newest { limit, .. }) = asked;
            assert!(limit <= PAGE, "a page of {limit} is too large");
            Ok(window(count, asked))
        };
        let mut out = Vec::new();
        let look = look(format, 80, false);
        print(fetch, extent, &thread, &mut out, &look).await.expect("a vector takes all");
        String::from_utf8(out).expect("UTF-8")
    }

    #[tokio::test]
    async fn any_extent_is_the_newest_in_chronological_order() {
        for count in [0, 1, 49, 50, 51, 500, 501, 1_203] {
            for (extent, limit) in [
                (Extent::All, u64::MAX),
                (Extent::Brief, 50),
                (Extent::Newest(1), 1),
                (Extent::Newest(500), 500),
                (Extent::Newest(777), 777),
                (Extent::Newest(1_000), 1_000),
            ] {
                let text = printed(count, extent, Format::Ids).await;
                let ids = text.lines().map(|line| line.parse::<Uuid>().expect("an id").as_u128());
                let expected = count.saturating_sub(limit) + 1..=count;
                let expected = expected.map(u128::from).collect::<Vec<_>>();
                assert_eq!(ids.collect::<Vec<_>>(), expected, "{count} {extent:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_person_learns_what_is_left_out() {
        let text = printed(213, Extent::Brief, Format::Table).await;
        assert!(text.contains("163 earlier messages not shown"), "{text}");
        let text = printed(50, Extent::Brief, Format::Table).await;
        assert!(!text.contains("earlier"), "{text}");
    }
}
