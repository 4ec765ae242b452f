//! Reading a range of a conversation: the newest messages of it, or all, in constant memory.

use std::io::{self, Write};

use futures_util::future::join;
use uuid::Uuid;

use crate::commands::print::{BRIEF, Extent, PAGE, PrintError};
use crate::domain::{Conversation, Message, MessagePage, Place, Timestamp, Window};
use crate::error::Error;
use crate::output::chat::Earlier;
use crate::output::thread::ThreadPrinter;
use crate::output::{Format, Style};

/// The messages that are printed without a pause.
const STRETCH: usize = 50;

/// Where a range begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct RangeStart {
    /// Time and id in the order of the messages: those of the range are beyond it.
    position: (Timestamp, Uuid),
    /// The last message before the range; `None` if the range begins with the first one.
    previous: Option<Uuid>,
    /// How it was requested.
    start: Place,
}

impl RangeStart {
    /// At a time, before which `previous` is the last message.
    pub(super) fn since(time: Timestamp, previous: Option<Uuid>) -> Self {
        Self { position: (time, Uuid::nil()), previous, start: Place::Time(time) }
    }

    /// After a message.
    pub(super) fn after(message: &Message) -> Self {
        let position = (message.created_at, message.id);
        Self { position, previous: Some(message.id), start: Place::Message(message.id) }
    }

    fn has(self, message: &Message) -> bool {
        (message.created_at, message.id) > self.position
    }
}

/// Which messages: how many, from where, and before which place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub extent: Extent,
    pub from: Option<RangeStart>,
    pub before: Option<Place>,
}

impl Range {
    fn has(self, message: &Message) -> bool {
        self.from.is_none_or(|from| from.has(message))
    }

    /// The first page of everything, to be read forwards.
    fn first_page(self) -> Window {
        oldest(self.from.and_then(|from| from.previous))
    }
}

/// Prints messages as they are read: memory does not grow with their number.
pub(super) async fn print(
    fetch: impl AsyncFn(Window) -> Result<MessagePage, Error>,
    range: Range,
    conversation: &Conversation,
    out: &mut impl Write,
    style: &Style,
) -> Result<(), PrintError> {
    let mut printer = ThreadPrinter::new(out, style, conversation, None);
    print_to(fetch, range, conversation, &mut printer, style, |_| {}).await?;
    Ok(printer.finish()?)
}

/// Prints messages as they are read, to a printer that may go on after them. Each one that is printed is
/// `seen`.
pub(super) async fn print_to<W: Write>(
    fetch: impl AsyncFn(Window) -> Result<MessagePage, Error>,
    range: Range,
    conversation: &Conversation,
    printer: &mut ThreadPrinter<'_, W>,
    style: &Style,
    seen: impl FnMut(&Message),
) -> Result<(), PrintError> {
    let limit = match range.extent {
        Extent::All => None,
        Extent::Newest(limit) => Some(limit),
        Extent::Brief => Some(BRIEF),
    };
    let stretch = match (limit, range.before) {
        (Some(limit), _) => newest(&fetch, range, limit).await?,
        (None, Some(before)) => all_before(&fetch, range, before).await?,
        (None, None) => Stretch { first: fetch(range.first_page()).await?, last: None },
    };
    if let (Some(limit), Format::Table) = (limit, style.format) {
        printer.leave_out(omitted(&fetch, &stretch, range, conversation, limit).await?);
    }
    print_stretch(&fetch, stretch, printer, seen).await
}

/// Consecutive messages: the first page of them, and the id of the last one to print.
struct Stretch {
    first: MessagePage,
    last: Option<Uuid>,
}

impl Stretch {
    fn empty() -> Self {
        Self { first: MessagePage { rows: Vec::new(), next: None }, last: None }
    }
}

fn oldest(after: Option<Uuid>) -> Window {
    Window::Oldest { after, limit: PAGE }
}

/// The newest `limit` messages of a range. A long stretch is read backwards page by page, and then
/// again forwards: slower than keeping it, but in constant memory.
async fn newest(
    fetch: &impl AsyncFn(Window) -> Result<MessagePage, Error>,
    range: Range,
    limit: u64,
) -> Result<Stretch, Error> {
    let mut before = range.before;
    let (mut left, mut stretch) = (limit, Stretch::empty());
    while left > 0 {
        let MessagePage { mut rows, next } =
            fetch(Window::Newest { before, limit: left.min(PAGE) }).await?;
        let read = rows.len();
        rows.retain(|message| range.has(message));
        let Some(last) = rows.last() else { break };
        stretch.last.get_or_insert(last.id);
        let is_first_page = rows.len() < read || next.is_none();
        left = left.saturating_sub(rows.len() as u64);
        // Printing continues from the end of this page, in the other direction.
        stretch.first = MessagePage { next: Some(last.id), rows };
        before = next.map(Place::Message);
        if is_first_page {
            break;
        }
    }
    Ok(stretch)
}

/// All messages of a range that ends at a place.
async fn all_before(
    fetch: &impl AsyncFn(Window) -> Result<MessagePage, Error>,
    range: Range,
    before: Place,
) -> Result<Stretch, Error> {
    let end = fetch(Window::Newest { before: Some(before), limit: 1 }).await?;
    match end.rows.last().filter(|last| range.has(last)) {
        Some(last) => Ok(Stretch { first: fetch(range.first_page()).await?, last: Some(last.id) }),
        None => Ok(Stretch::empty()),
    }
}

/// The messages of a range before a stretch that a person is not shown. Their number is known only
/// if the range is the whole conversation: counting rows takes time in proportion to their number.
async fn omitted(
    fetch: &impl AsyncFn(Window) -> Result<MessagePage, Error>,
    stretch: &Stretch,
    range: Range,
    conversation: &Conversation,
    limit: u64,
) -> Result<Option<Earlier>, Error> {
    let Some(before) = stretch.first.rows.first().map(|message| message.id) else {
        return Ok(None);
    };
    let limit_given = matches!(range.extent, Extent::Newest(_)).then_some(limit);
    let start = range.from.map(|from| from.start);
    let earlier = |count| Earlier { count, before, limit: limit_given, start };
    if range.before.is_none() && range.from.is_none() {
        let count = conversation.message_count.saturating_sub(limit);
        return Ok((count > 0).then(|| earlier(Some(count))));
    }
    let one = Window::Newest { before: Some(Place::Message(before)), limit: 1 };
    let is_more = fetch(one).await?.rows.iter().any(|message| range.has(message));
    Ok(is_more.then(|| earlier(None)))
}

async fn print_stretch<W: Write>(
    fetch: &impl AsyncFn(Window) -> Result<MessagePage, Error>,
    stretch: Stretch,
    printer: &mut ThreadPrinter<'_, W>,
    mut seen: impl FnMut(&Message),
) -> Result<(), PrintError> {
    let Stretch { first: mut page, last } = stretch;
    loop {
        let end = page.rows.iter().position(|message| Some(message.id) == last);
        page.rows.truncate(end.map_or(page.rows.len(), |end| end + 1));
        let after = page.next.filter(|_| end.is_none());
        let next = async {
            match after {
                Some(after) => fetch(oldest(Some(after))).await.map(Some),
                None => Ok(None),
            }
        };
        // The database works on the next page while this one is printed.
        let (next, printed) = join(next, print_page(&page.rows, printer)).await;
        printed?;
        page.rows.iter().for_each(&mut seen);
        let Some(next) = next? else { return Ok(()) };
        page = next;
    }
}

/// Prints a page with pauses, in which the same thread can ask for the next one.
async fn print_page<W: Write>(
    page: &[Message],
    printer: &mut ThreadPrinter<'_, W>,
) -> io::Result<()> {
    for some in page.chunks(STRETCH) {
        printer.page(some)?;
        tokio::task::yield_now().await;
    }
    printer.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::samples::{conversation, inbound, style};

    /// The message whose id and time are this number.
    fn numbered(id: u64) -> Message {
        let created_at = Timestamp::from_micros(id as i64);
        Message { id: Uuid::from_u128(id.into()), created_at, ..inbound("Hi") }
    }

    /// The messages in a window on a conversation of `count`; their ids count from 1. A page has at
    /// most `largest` of them.
    fn window(count: u64, window: Window, largest: u64) -> MessagePage {
        let (ids, next): (Vec<u64>, _) = match window {
            Window::Oldest { after, limit } => {
                let from = after.map_or(1, |id| id.as_u128() as u64 + 1);
                let to = count.min(from + limit.min(largest) - 1);
                ((from..=to).collect(), (to < count).then_some(to))
            }
            Window::Newest { before, limit } => {
                let end = match before {
                    Some(Place::Message(id)) => id.as_u128() as u64 - 1,
                    Some(Place::Time(time)) => (time.as_micros() as u64 - 1).min(count),
                    None => count,
                };
                let from = end.saturating_sub(limit.min(largest)) + 1;
                ((from..=end).collect(), (from > 1).then_some(from))
            }
        };
        let next = next.map(|id| numbered(id).id);
        MessagePage { rows: ids.into_iter().map(numbered).collect(), next }
    }

    async fn printed(count: u64, range: Range, format: Format) -> String {
        let in_pages = printed_in_pages(count, range, format, 7).await;
        let text = printed_in_pages(count, range, format, PAGE).await;
        assert_eq!(text, in_pages, "a page may have fewer messages than requested");
        text
    }

    async fn printed_in_pages(count: u64, range: Range, format: Format, largest: u64) -> String {
        let conversation = Conversation { message_count: count, ..conversation("Hi") };
        let fetch = async |requested: Window| {
            let (Window::Oldest { limit, .. } | Window::Newest { limit, .. }) = requested;
            assert!(limit <= PAGE, "a page of {limit} is too large");
            Ok(window(count, requested, largest))
        };
        let mut out = Vec::new();
        let style = style(format, 80, false);
        print(fetch, range, &conversation, &mut out, &style).await.expect("a vector takes all");
        String::from_utf8(out).expect("UTF-8")
    }

    #[tokio::test]
    async fn every_extent_is_the_newest_in_chronological_order() {
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
                    let since = count / 3 + 1;
                    let previous = Uuid::from_u128(u128::from(since) - 1);
                    let time = Timestamp::from_micros(since as i64);
                    for (from, begin) in [
                        (None, 1),
                        (Some(RangeStart::after(&numbered(since - 1))), since),
                        (Some(RangeStart::after(&numbered(count + 1))), count + 2),
                        (Some(RangeStart::since(time, (since > 1).then_some(previous))), since),
                    ] {
                        let text =
                            printed(count, Range { extent, from, before }, Format::Ids).await;
                        let id = |line: &str| line.parse::<Uuid>().expect("an id").as_u128() as u64;
                        let shown: Vec<_> = text.lines().map(id).collect();
                        let first = begin.max((end + 1).saturating_sub(limit));
                        let expected: Vec<_> = (first..=end).collect();
                        assert_eq!(shown, expected, "{count} {extent:?} {from:?} {before:?}");
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn a_person_is_told_what_is_omitted_and_how_to_see_it() {
        let shown = async |count, extent, before: Option<u128>| {
            let before = before.map(|id| Place::Message(Uuid::from_u128(id)));
            printed(count, Range { extent, from: None, before }, Format::Table).await
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
        let since = |id: u64| {
            let time = Timestamp::from_micros(id as i64);
            let from = Some(RangeStart::since(time, Some(numbered(id - 1).id)));
            printed(213, Range { extent: Extent::Brief, from, before: None }, Format::Table)
        };
        let text = since(163).await;
        let command =
            format!("--since 1970-01-01T00:00:00.000163Z --before {}\n", numbered(164).id);
        assert!(text.contains(&command), "{text}");
        assert!(!since(164).await.contains("arlier"));
    }
}
