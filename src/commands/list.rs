//! `convo list`: the threads, most recently active first.

use std::io::Write;

use super::{BRIEF, Extent, PAGE, Stop, settle};
use crate::backend::Backend;
use crate::cli::ListArgs;
use crate::domain::{Conversation, Cursor};
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
    let fetch = async |after, limit| backend.conversations(after, limit).await;
    let extent = Extent::of(&args.print, look);
    settle(print(fetch, extent, &mut List::new(out, look)).await)
}

async fn print<W: Write>(
    fetch: impl AsyncFn(Option<Cursor>, u64) -> Result<Vec<Conversation>, Error>,
    extent: Extent,
    list: &mut List<'_, W>,
) -> Result<(), Stop> {
    match extent {
        Extent::All => pages(fetch, u64::MAX, list).await?,
        Extent::Newest(limit) => pages(fetch, limit, list).await?,
        Extent::Brief => {
            // One more than is shown tells whether there are more.
            let mut page = fetch(None, BRIEF + 1).await?;
            let more = page.len() as u64 > BRIEF;
            page.truncate(BRIEF as usize);
            list.page(&page)?;
            return Ok(list.finish(more)?);
        }
    }
    Ok(list.finish(false)?)
}

async fn pages<W: Write>(
    fetch: impl AsyncFn(Option<Cursor>, u64) -> Result<Vec<Conversation>, Error>,
    mut left: u64,
    list: &mut List<'_, W>,
) -> Result<(), Stop> {
    let mut after = None;
    while left > 0 {
        let wanted = left.min(PAGE);
        let page = fetch(after, wanted).await?;
        list.page(&page)?;
        let read = page.len() as u64;
        after = page.last().map(|thread| Cursor { at: thread.last_message_at, id: thread.id });
        if read < wanted {
            break;
        }
        left -= read.min(left);
    }
    Ok(())
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

    /// What is printed of `count` threads, and the sizes of the pages that were asked for.
    async fn printed(count: u32, extent: Extent, format: Format) -> (String, Vec<u64>) {
        let (all, asked, mut out) = (threads(count), RefCell::new(Vec::new()), Vec::new());
        let fetch = async |after: Option<Cursor>, limit: u64| {
            asked.borrow_mut().push(limit);
            let from = after.map_or(0, |after| after.id.as_u128() as usize + 1);
            Ok(all.iter().skip(from).take(limit as usize).cloned().collect())
        };
        let look = look(format, 80, false);
        print(fetch, extent, &mut List::new(&mut out, &look)).await.expect("a vector takes all");
        (String::from_utf8(out).expect("UTF-8"), asked.into_inner())
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
            None => Ok(threads(500)),
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
