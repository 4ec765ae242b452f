//! The file that holds how far everything is handled.
//!
//! It is replaced as a whole, so that a crash leaves the old position or the new one. The lock is on a file
//! beside it, because the file itself is another one after each replacement.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::domain::FeedCursor;
use crate::error::{Code, Error};

/// More than any position has.
const LONGEST: usize = 64;

/// An open checkpoint. While it lives, no other watch can open it.
#[derive(Debug)]
pub(in super::super) struct Checkpoint {
    path: PathBuf,
    position: Option<FeedCursor>,
    _lock: File,
}

impl Checkpoint {
    /// Opens the file and reads its position; there need not be one yet.
    ///
    /// # Errors
    /// Another watch has it open, it is not a checkpoint, or its directory cannot be written to.
    pub(super) fn open(path: PathBuf) -> Result<Self, Error> {
        let lock = beside(&path, ".lock");
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(&lock);
        let lock = lock.map_err(|error| unusable(&path, &error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let what = format!("another watch uses the checkpoint {}", path.display());
                return Err(Error::invalid(what)
                    .hint("end it first, or give this one a checkpoint of its own"));
            }
            Err(TryLockError::Error(error)) => return Err(unusable(&path, &error)),
        }
        let position = read(&path)?;
        Ok(Self { path, position, _lock: lock })
    }

    /// The position up to which everything is handled.
    pub(super) fn position(&self) -> Option<FeedCursor> {
        self.position
    }

    /// Moves it, durably.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn advance(&mut self, position: FeedCursor) -> Result<(), Error> {
        if self.position == Some(position) {
            return Ok(());
        }
        self.replace(position).map_err(|error| unusable(&self.path, &error))?;
        self.position = Some(position);
        Ok(())
    }

    fn replace(&self, position: FeedCursor) -> io::Result<()> {
        let new = beside(&self.path, ".new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&new)?;
        writeln!(file, "{position}")?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        // The rename is durable once the directory is.
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }

    /// The error of a feed that no longer has the position.
    pub(in super::super) fn explain_expired(&self, error: Error) -> Error {
        if error.code() != Code::CursorExpired {
            return error;
        }
        let path = self.path.display();
        let oldest = error.extra().oldest.clone();
        let rest = oldest.map(|oldest| format!(" --after {oldest} goes on with what is left;"));
        error.hint(format!(
            "what followed the checkpoint is no longer kept, and is not handled. Remove {path} to go on:{} \
             without it, from now on",
            rest.unwrap_or_default()
        ))
    }
}

fn read(path: &Path) -> Result<Option<FeedCursor>, Error> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(path, &error)),
    };
    let text = (bytes.len() <= LONGEST).then(|| str::from_utf8(&bytes).ok()).flatten();
    let position = text.and_then(|text| text.trim().parse().ok());
    position.map(Some).ok_or_else(|| {
        Error::invalid(format!("{} is not a checkpoint of convo watch", path.display()))
            .hint("name another file, which is made, or remove this one")
    })
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn unusable(path: &Path, error: &io::Error) -> Error {
    Error::invalid(format!("the checkpoint {} cannot be used: {error}", path.display()))
        .hint("name a file in a directory that you may write to")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_its_position_and_belongs_to_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("place");
        let mut first = Checkpoint::open(path.clone()).expect("a new one");
        assert_eq!(first.position(), None);
        let cursor = FeedCursor { position: 7, nonce: 9 };
        first.advance(cursor).expect("written");
        let second = Checkpoint::open(path.clone()).expect_err("it is in use");
        assert!(second.to_string().contains("another watch"), "{second}");
        drop(first);
        assert_eq!(Checkpoint::open(path.clone()).expect("free").position(), Some(cursor));
        fs::write(&path, "my diary").expect("written");
        let other = Checkpoint::open(path).expect_err("not a checkpoint");
        assert_eq!(other.exit_code(), 2);
    }
}
