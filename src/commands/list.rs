//! `convo list`: the threads, most recently active first.

use std::io::Write;

use super::{BRIEF, Extent, PAGE, Stop, settle};
use crate::backend::Backend;
use crate::cli::ListArgs;
use crate::domain::{Conversation, Cursor, Page};
use crate::error::Error;
use crate::output::Look;
use crate::output::list::List;

/// Prints the threads while they are read, so that any number of them needs little memory.
///
/// # Errors
/// The threads could not be read, or standard output not written.
pub async fn run(
    args: &ListArgs,
    backend: &Backend,
    out: &mut impl Write,
    look: &Look,
) -> Result<(), Error> {
    let listing = args.filter.listing(look.now, look.zone);
    let fetch = async |after, limit| backend.list(&listing, after, limit).await;
    let extent = Extent::of(&args.print, look);
    settle(print(fetch, extent, &mut List::of(&listing, out, look)).await)
}

async fn print<W: Write>(
    fetch: impl AsyncFn(Option<Cursor>, u64) -> Result<Page<Conversation>, Error>,
    extent: Extent,
    list: &mut List<'_, W>,
) -> Result<(), Stop> {
    let mut left = match extent {
        Extent::All => u64::MAX,
        Extent::Newest(limit) => limit,
        Extent::Brief => BRIEF,
    };
    let mut after = None;
    while left > 0 {
        let page = fetch(after, left.min(PAGE)).await?;
        list.page(&page.rows)?;
        left = left.saturating_sub(page.rows.len() as u64);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    // Whoever said how much wants no word about the rest; a person who did not is told of it.
    Ok(list.finish(extent == Extent::Brief && after.is_some())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;
    use crate::output::samples::{conversation, look};
    use std::cell::RefCell;
    use uuid::Uuid;

    /// `count` threads, each a second older than the one before.
    fn threads(count: u32) -> Vec<Conversation> {
        let numbered = |at: u32| {
            let mut thread = conversation("Hi");
            thread.id = Uuid::from_u128(u128::from(at));
            thread.last_message_at = thread.last_message_at.plus_seconds(-i64::from(at));
            thread
        };
        (0..count).map(numbered).collect()
    }

    /// What is printed of `count` threads, of which a page looks at most at `stretch`, and the
    /// sizes of the pages that were asked for.
    async fn looked_at(
        count: u32,
        stretch: usize,
        extent: Extent,
        format: Format,
    ) -> (String, Vec<u64>) {
        let (all, asked, mut out) = (threads(count), RefCell::new(Vec::new()), Vec::new());
        let fetch = async |after: Option<Cursor>, limit: u64| {
            asked.borrow_mut().push(limit);
            let from = after.map_or(0, |after| after.id.as_u128() as usize + 1);
            let ahead = stretch.min(limit as usize);
            let rows: Vec<_> = all.iter().skip(from).take(ahead).cloned().collect();
            let is_last = from + rows.len() == all.len();
            let next = rows.last().filter(|_| !is_last).map(Conversation::cursor);
            Ok(Page { rows, next })
        };
        let look = look(format, 80, false);
        print(fetch, extent, &mut List::new(&mut out, &look)).await.expect("a vector takes all");
        (String::from_utf8(out).expect("UTF-8"), asked.into_inner())
    }

    async fn printed(count: u32, extent: Extent, format: Format) -> (String, Vec<u64>) {
        looked_at(count, usize::MAX, extent, format).await
    }

    #[tokio::test]
    async fn all_threads_come_once_in_pages() {
        let (text, asked) = printed(1_203, Extent::All, Format::Ids).await;
        let ids: Vec<_> = threads(1_203).iter().map(|thread| thread.id.to_string()).collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), ids);
        assert_eq!(asked, [500, 500, 500]);
    }

    #[tokio::test]
    async fn a_limit_is_kept_to_the_record() {
        for (limit, pages) in [(3, &[3][..]), (500, &[500]), (501, &[500, 1]), (5_000, &[500; 3])] {
            let (text, asked) = printed(1_203, Extent::Newest(limit), Format::Jsonl).await;
            assert_eq!(text.lines().count() as u64, limit.min(1_203));
            assert_eq!(asked, pages, "{limit}");
        }
    }

    #[tokio::test]
    async fn pages_that_are_not_full_are_not_the_last() {
        let (text, asked) = looked_at(123, 20, Extent::Newest(50), Format::Ids).await;
        assert_eq!((text.lines().count(), asked), (50, vec![50, 30, 10]));
        let (text, _) = looked_at(123, 20, Extent::All, Format::Ids).await;
        assert_eq!(text.lines().count(), 123);
    }

    #[tokio::test]
    async fn a_person_learns_that_there_is_more() {
        let (text, _) = printed(51, Extent::Brief, Format::Table).await;
        assert_eq!(text.lines().count(), 1 + 50 + 1);
        assert!(text.contains("--all shows every thread"), "{text}");
        let (text, _) = printed(50, Extent::Brief, Format::Table).await;
        assert_eq!(text.lines().count(), 1 + 50);
    }

    #[tokio::test]
    async fn a_failure_on_the_way_leaves_no_valid_json() {
        let (look, mut out) = (look(Format::Json, 80, false), Vec::new());
        let fetch = async |after: Option<Cursor>, _| match after {
            None => {
                let rows = threads(500);
                let next = rows.last().map(Conversation::cursor);
                Ok(Page { rows, next })
            }
            Some(_) => Err(Error::internal()),
        };
        let ended = print(fetch, Extent::All, &mut List::new(&mut out, &look)).await;
        assert!(settle(ended).is_err());
        assert!(serde_json::from_slice::<serde_json::Value>(&out).is_err());
        let refuse = async |_, _| Err(Error::internal());
        let mut out = Vec::new();
        let _ = print(refuse, Extent::All, &mut List::new(&mut out, &look)).await;
        assert!(out.is_empty(), "nothing is printed when nothing could be read");
    }
}
