//! Copying the content of media, for backups and what is restored from them.

use std::io::Write;

use indicatif::{BinaryBytes, HumanCount};

use crate::commands::progress;
use crate::error::{Code, Error};
use crate::media::{self, ContentStore, MediaCopied, MediaPlace};
use crate::stdio;
use crate::store::{Location, Mode, Purpose, Store};

/// Copies the content of the media that a database knows as kept.
///
/// # Errors
/// One of the stores, or the database, cannot be used.
pub(in crate::commands) async fn copy(
    database: &Location,
    mode: Mode,
    from: &MediaPlace,
    to: &MediaPlace,
) -> Result<MediaCopied, Error> {
    let nowhere = || {
        Error::new(Code::NotConfigured, format!("no media are kept in {from}"))
            .hint("CONVO_MEDIA names the store; it must be the same as for the server")
    };
    let store = Store::open(database, mode, Purpose::Read).await?;
    let copied = async {
        let Some(to) = ContentStore::open(to)? else { return Err(nowhere()) };
        let Some(from) = ContentStore::open_existing(from)? else {
            // Where nothing was ever kept, there is nothing to copy.
            let is_empty = store.kept_content(None, 1).await?.is_empty();
            return if is_empty { Ok(MediaCopied::default()) } else { Err(nowhere()) };
        };
        let bar = progress::bar("copying media {msg} {spinner}");
        let copied = media::copy_media(&store, &from, &to, |done| {
            bar.set_message(HumanCount(done.copied + done.known).to_string());
            bar.tick();
        });
        let copied = copied.await;
        bar.finish_and_clear();
        copied
    };
    let copied = copied.await;
    store.close().await;
    copied
}

/// Says how many files were copied, and what is missing.
pub(in crate::commands) fn tell(done: &MediaCopied) {
    let MediaCopied { copied, known, missing, bytes } = done;
    let mut text = format!("copied {copied} media files ({}", BinaryBytes(*bytes));
    text += &format!("), {known} were there before\n");
    if *missing > 0 {
        text += &format!("{missing} media files are missing or damaged where they are kept\n");
    }
    // A closed standard error is ignored.
    let _ = stdio::stderr().write_all(text.as_bytes());
}
