//! `convo show`: one thread, oldest message first.

use std::io::Write;

use uuid::Uuid;

use super::{BRIEF, Extent, PAGE, Stop, settle};
use crate::backend::Backend;
use crate::cli::ShowArgs;
use crate::domain::{Conversation, Message, Place, Selector, Window};
use crate::error::Error;
use crate::output::chat::Earlier;
use crate::output::thread::ThreadPrinter;
use crate::output::{Format, Look};

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
    let before = args.before.map(|before| before.on(look.now, look.zone));
    let thread = backend.find(&Selector::new(&args.thread)).await?;
    let fetch = async |window| backend.messages(thread.id, window, args.history).await;
    let span = Span { extent: Extent::of(&args.print, look), before };
    settle(print(fetch, span, &thread, out, look).await)
}

/// Which messages: how many, and before which place.
#[derive(Clone, Copy, Debug)]
struct Span {
    extent: Extent,
    before: Option<Place>,
}

async fn print(
    fetch: impl AsyncFn(Window) -> Result<Vec<Message>, Error>,
    span: Span,
    thread: &Conversation,
    out: &mut impl Write,
    look: &Look,
) -> Result<(), Stop> {
    let limit = match span.extent {
        Extent::All => None,
        Extent::Newest(limit) => Some(limit),
        Extent::Brief => Some(BRIEF),
    };
    let stretch = match (limit, span.before) {
        (Some(limit), before) => newest(&fetch, before, limit).await?,
        (None, Some(before)) => all_before(&fetch, before).await?,
        (None, None) => Stretch { first: fetch(oldest(None)).await?, last: None },
    };
    let earlier = match (limit, look.format) {
        (Some(limit), Format::Table) => left_out(&fetch, &stretch, span, thread, limit).await?,
        _ => None,
    };
    let mut printer = ThreadPrinter::new(out, look, thread, earlier);
    onward(&fetch, stretch, &mut printer).await?;
    Ok(printer.finish()?)
}

/// Messages that follow each other: the first page of them, and the last of all, beyond which
/// none is printed.
struct Stretch {
    first: Vec<Message>,
    last: Option<Uuid>,
}

fn oldest(after: Option<Uuid>) -> Window {
    Window::Oldest { after, limit: PAGE }
}

/// The newest `limit` messages before a place. Long stretches are walked backwards page by page
/// and then read again forwards: slower than keeping them, but of any length.
async fn newest(
    fetch: &impl AsyncFn(Window) -> Result<Vec<Message>, Error>,
    mut before: Option<Place>,
    limit: u64,
) -> Result<Stretch, Error> {
    let (mut left, mut stretch) = (limit, Stretch { first: Vec::new(), last: None });
    while left > 0 {
        let wanted = left.min(PAGE);
        let page = fetch(Window::Newest { before, limit: wanted }).await?;
        let (Some(first), Some(last)) = (page.first(), page.last()) else { break };
        before = Some(Place::Message(first.id));
        stretch.last.get_or_insert(last.id);
        let read = page.len() as u64;
        stretch.first = page;
        if read < wanted {
            break;
        }
        left -= read.min(left);
    }
    Ok(stretch)
}

/// All messages before a place.
async fn all_before(
    fetch: &impl AsyncFn(Window) -> Result<Vec<Message>, Error>,
    before: Place,
) -> Result<Stretch, Error> {
    let end = fetch(Window::Newest { before: Some(before), limit: 1 }).await?;
    match end.last() {
        Some(last) => Ok(Stretch { first: fetch(oldest(None)).await?, last: Some(last.id) }),
        None => Ok(Stretch { first: Vec::new(), last: None }),
    }
}

/// What a person is not shown of the messages before a stretch. How many there are is known only
/// of the newest stretch: counting rows would take as long as there are rows.
async fn left_out(
    fetch: &impl AsyncFn(Window) -> Result<Vec<Message>, Error>,
    stretch: &Stretch,
    span: Span,
    thread: &Conversation,
    limit: u64,
) -> Result<Option<Earlier>, Error> {
    let Some(before) = stretch.first.first().map(|message| message.id) else { return Ok(None) };
    let asked = matches!(span.extent, Extent::Newest(_)).then_some(limit);
    if span.before.is_none() {
        let count = thread.message_count.saturating_sub(limit);
        return Ok((count > 0).then_some(Earlier { count: Some(count), before, limit: asked }));
    }
    let one = Window::Newest { before: Some(Place::Message(before)), limit: 1 };
    let is_more = !fetch(one).await?.is_empty();
    Ok(is_more.then_some(Earlier { count: None, before, limit: asked }))
}

/// Prints a stretch, page by page.
async fn onward<W: Write>(
    fetch: &impl AsyncFn(Window) -> Result<Vec<Message>, Error>,
    stretch: Stretch,
    printer: &mut ThreadPrinter<'_, W>,
) -> Result<(), Stop> {
    let Stretch { first: mut page, last } = stretch;
    loop {
        let end = page.iter().position(|message| Some(message.id) == last);
        page.truncate(end.map_or(page.len(), |end| end + 1));
        printer.page(&page)?;
        let Some(after) = page.last().filter(|_| end.is_none()) else { return Ok(()) };
        page = fetch(oldest(Some(after.id))).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;
    use crate::output::samples::{conversation, inbound, look};

    /// The messages of a thread of `count` that a window shows; ids count from 1.
    fn window(count: u64, window: Window) -> Vec<Message> {
        let ids: Vec<u64> = match window {
            Window::Oldest { after, limit } => {
                let from = after.map_or(1, |id| id.as_u128() as u64 + 1);
                (from..=count).take(limit as usize).collect()
            }
            Window::Newest { before, limit } => {
                let end = match before {
                    Some(Place::Message(id)) => id.as_u128() as u64 - 1,
                    Some(Place::Time(time)) => (time.as_micros() as u64 - 1).min(count),
                    None => count,
                };
                (end.saturating_sub(limit) + 1..=end).collect()
            }
        };
        let numbered = |id: u64| Message { id: Uuid::from_u128(id.into()), ..inbound("Hi") };
        ids.into_iter().map(numbered).collect()
    }

    async fn printed(count: u64, span: Span, format: Format) -> String {
        let thread = Conversation { message_count: count, ..conversation("Hi") };
        let fetch = async |asked: Window| {
            let (Window::Oldest { limit, .. } | Window::Newest { limit, .. }) = asked;
            assert!(limit <= PAGE, "a page of {limit} is too large");
            Ok(window(count, asked))
        };
        let mut out = Vec::new();
        let look = look(format, 80, false);
        print(fetch, span, &thread, &mut out, &look).await.expect("a vector takes all");
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
                let id = |end: u64| Place::Message(Uuid::from_u128(u128::from(end) + 1));
                let time = |end: u64| Place::Time(Timestamp::from_micros(end as i64 + 1));
                for (before, end) in [
                    (None, count),
                    (Some(id(count / 2)), count / 2),
                    (Some(time(count / 2)), count / 2),
                    (Some(time(0)), 0),
                ] {
                    let text = printed(count, Span { extent, before }, Format::Ids).await;
                    let id = |line: &str| line.parse::<Uuid>().expect("an id").as_u128() as u64;
                    let shown: Vec<_> = text.lines().map(id).collect();
                    let expected: Vec<_> = (end.saturating_sub(limit) + 1..=end).collect();
                    assert_eq!(shown, expected, "{count} {extent:?} {before:?}");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_person_learns_what_is_left_out_and_how_to_see_it() {
        let shown = async |count, extent, before: Option<u128>| {
            let before = before.map(|id| Place::Message(Uuid::from_u128(id)));
            printed(count, Span { extent, before }, Format::Table).await
        };
        let text = shown(213, Extent::Brief, None).await;
        let oldest = Uuid::from_u128(164);
        assert!(text.contains("163 earlier messages not shown"), "{text}");
        assert!(text.contains(&format!("convo show +12125551234 --before {oldest}\n")), "{text}");
        let text = shown(213, Extent::Newest(7), Some(164)).await;
        let oldest = Uuid::from_u128(157);
        assert!(text.contains("Earlier messages not shown"), "{text}");
        let command = format!("convo show +12125551234 --limit 7 --before {oldest}\n");
        assert!(text.contains(&command), "{text}");
        for (extent, before) in [(Extent::Newest(7), Some(8)), (Extent::All, Some(164))] {
            assert!(!shown(213, extent, before).await.contains("arlier"));
        }
        assert!(!shown(50, Extent::Brief, None).await.contains("earlier"));
    }
}
