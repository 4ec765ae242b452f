//! A file that appears under its name only when it is complete.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::error::{Code, Error};
use crate::store::database_file::side_path;

/// A new file, readable only by its owner, that is removed unless it is published.
#[derive(Debug)]
pub(crate) struct PartialFile {
    path: PathBuf,
    is_published: bool,
}

impl PartialFile {
    /// Creates an empty file in a directory, under a name that nobody else has.
    ///
    /// # Errors
    /// `not_configured` if the directory cannot be written.
    pub(crate) fn create(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(format!(".convo-{}.partial", Uuid::new_v4().simple()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.map_err(|error| unwritable(directory, &error))?;
        Ok(Self { path, is_published: false })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the file to the disk, and gives it its name, in place of an older file.
    ///
    /// # Errors
    /// `not_configured` if that fails.
    pub(crate) fn publish(mut self, path: &Path) -> Result<(), Error> {
        let directory = directory_of(path);
        let published = || {
            File::open(&self.path)?.sync_all()?;
            fs::rename(&self.path, path)?;
            File::open(&directory)?.sync_all()
        };
        published().map_err(|error| unwritable(&directory, &error))?;
        self.is_published = true;
        Ok(())
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if self.is_published {
            return;
        }
        let _ = fs::remove_file(&self.path);
        for side in ["-journal", "-wal", "-shm"] {
            if let Ok(side) = side_path(&self.path, side) {
                let _ = fs::remove_file(side);
            }
        }
    }
}

/// The directory that has a path.
pub(crate) fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn unwritable(directory: &Path, error: &io::Error) -> Error {
    let what = format!("cannot write to {}: {error}", directory.display());
    Error::new(Code::NotConfigured, what).hint("check the directory, its permissions and its space")
}
