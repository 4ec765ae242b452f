//! `--media`: the media files of the messages in an export.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use super::super::media::save_into;
use super::parse;
use crate::backend::media::MediaBackend;
use crate::domain::media::file_name;
use crate::domain::{Direction, ExportLine, MediaState};
use crate::error::{Code, Error};

/// Saves media files, each named by its message and its number.
pub(super) struct ExportedMedia {
    backend: MediaBackend,
    directory: PathBuf,
    failed: u64,
    /// Why the first of them was not saved.
    error: Option<Error>,
}

impl ExportedMedia {
    /// Makes the directory, if it is not there.
    ///
    /// # Errors
    /// `invalid_request` if that fails.
    pub(super) fn new(backend: MediaBackend, directory: PathBuf) -> Result<Self, Error> {
        let made = DirBuilder::new().mode(0o700).create(&directory);
        if let Err(error) = made
            && !directory.is_dir()
        {
            return Err(Error::invalid(format!("cannot create {}: {error}", directory.display()))
                .hint("give --media a directory"));
        }
        Ok(Self { backend, directory, failed: 0, error: None })
    }

    /// Saves the media of the message in a line, as far as they are kept and not saved before.
    ///
    /// # Errors
    /// The line cannot be read, the directory cannot be written to, or the database or the server failed.
    pub(super) async fn add(&mut self, line: &[u8]) -> Result<(), Error> {
        if !line.starts_with(MESSAGE) {
            return Ok(());
        }
        let ExportLine::Message(message) = parse(line)? else { return Ok(()) };
        if message.direction != Direction::Inbound || message.media.is_empty() {
            return Ok(());
        }
        let id = message.id;
        let stored = match self.backend.message(id).await {
            // It was removed meanwhile.
            Err(error) if error.code() == Code::MessageNotFound => return Ok(()),
            stored => stored?,
        };
        for (number, medium) in (1..).zip(&stored.media) {
            let name = medium.content_type.as_deref().unwrap_or_default();
            let is_saved = self.directory.join(file_name(id, number, name)).exists();
            if medium.state != Some(MediaState::Kept) || is_saved {
                continue;
            }
            match save_into(&self.directory, &self.backend, id, number).await {
                Err(error)
                    if matches!(error.code(), Code::MediaUnavailable | Code::MediaNotFound) =>
                {
                    self.failed += 1;
                    self.error.get_or_insert(error);
                }
                saved => drop(saved?),
            }
        }
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// Files are missing that should be there.
    pub(super) async fn end(self) -> Result<(), Error> {
        self.backend.close().await;
        let Some(error) = self.error else { return Ok(()) };
        let noun = if self.failed == 1 { "media file was" } else { "media files were" };
        let what = format!("{} {noun} not saved: {error}", self.failed);
        Err(Error::new(error.code(), what)
            .hint("the export itself is complete; run it again for the files that are missing"))
    }
}

/// The beginning of a message's line.
const MESSAGE: &[u8] = br#"{"type":"message""#;
