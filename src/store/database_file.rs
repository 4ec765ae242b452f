//! Whether the SQLite file that is open is still the one at its path.
//!
//! A file stays open when it is removed, or when another is moved into its place, and SQLite goes on
//! committing to it. Nobody would ever find what is written there. So the writer compares the files
//! before it begins a transaction and again after the commit, before it answers anyone.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sea_orm::{DbErr, RuntimeErr};

/// An open database file and its write-ahead log.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    id: FileId,
    wal_path: PathBuf,
    /// `None` until the writer has connected.
    wal: Mutex<Option<FileId>>,
}

/// What identifies a file, whatever its name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl DatabaseFile {
    /// The file at a path, which was opened just before.
    pub(super) fn opened(path: &Path) -> io::Result<Self> {
        let id = FileId::of(&path.metadata()?);
        Ok(Self { path: path.to_owned(), id, wal_path: wal_path(path)?, wal: Mutex::new(None) })
    }

    /// Notes which write-ahead log a connection that was made just before uses. It stays the same
    /// for as long as that connection lives.
    pub(super) fn note_wal(&self) {
        *self.wal.lock().unwrap_or_else(PoisonError::into_inner) =
            self.wal_path.metadata().ok().map(|file| FileId::of(&file));
    }

    /// What is wrong at the path; `None` if the open file is there.
    pub(super) fn problem(&self) -> Option<&'static str> {
        match self.path.metadata() {
            Ok(file) if FileId::of(&file) == self.id => None,
            Ok(_) => Some("the open database file was replaced by another"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Some("the open database file was removed or moved")
            }
            Err(_) => Some("the path of the open database file cannot be accessed"),
        }
    }

    /// As [`problem`](Self::problem), and for the write-ahead log, too.
    pub(super) fn problem_of_any(&self) -> Option<&'static str> {
        self.problem().or_else(|| {
            let wal = (*self.wal.lock().unwrap_or_else(PoisonError::into_inner))?;
            let is_there = self.wal_path.metadata().is_ok_and(|file| FileId::of(&file) == wal);
            (!is_there).then_some("the database's write-ahead log (-wal) was removed or replaced")
        })
    }

    /// # Errors
    /// If the files at the paths are not the open ones.
    pub(super) fn verify(&self) -> Result<(), DbErr> {
        let problem = self.problem_of_any();
        problem.map_or(Ok(()), |problem| Err(DbErr::Conn(RuntimeErr::Internal(problem.to_owned()))))
    }
}

/// The write-ahead log of a file.
pub(super) fn wal_path(path: &Path) -> io::Result<PathBuf> {
    side_path(path, "-wal")
}

/// A file that SQLite puts beside a database, by its suffix. SQLite follows symbolic links and puts
/// it beside the file itself.
pub(super) fn side_path(path: &Path, suffix: &str) -> io::Result<PathBuf> {
    let mut side: OsString = path.canonicalize()?.into();
    side.push(suffix);
    Ok(side.into())
}

impl FileId {
    fn of(file: &Metadata) -> Self {
        Self { device: file.dev(), inode: file.ino() }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Files {
        dir: tempfile::TempDir,
        file: DatabaseFile,
    }

    impl Files {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            fs::write(dir.path().join("real.db"), "database").expect("written");
            fs::write(dir.path().join("real.db-wal"), "log").expect("written");
            let link = dir.path().join("link.db");
            std::os::unix::fs::symlink("real.db", &link).expect("a link");
            let file = DatabaseFile::opened(&link).expect("a file");
            file.note_wal();
            assert_eq!(file.problem_of_any(), None);
            Self { dir, file }
        }

        fn rename(&self, from: &str, to: &str) {
            fs::rename(self.dir.path().join(from), self.dir.path().join(to)).expect("renamed");
        }

        fn problem(&self) -> &'static str {
            assert!(self.file.verify().is_err());
            self.file.problem_of_any().expect("a problem")
        }
    }

    #[test]
    fn a_file_that_was_moved_away_is_missed_until_it_is_back() {
        let files = Files::new();
        files.rename("real.db", "away");
        assert!(files.problem().contains("removed"));
        fs::write(files.dir.path().join("real.db"), "database").expect("another of the same size");
        assert!(files.problem().contains("replaced by another"));
        files.rename("away", "real.db");
        assert!(files.file.verify().is_ok());
    }

    #[test]
    fn the_log_beside_the_real_file_counts() {
        let files = Files::new();
        files.rename("real.db-wal", "away");
        assert!(files.problem().contains("write-ahead log"));
        fs::copy(files.dir.path().join("away"), files.dir.path().join("real.db-wal"))
            .expect("copied");
        assert!(files.problem().contains("write-ahead log"));
        files.rename("away", "real.db-wal");
        assert!(files.file.verify().is_ok());
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_another_file() {
        let files = Files::new();
        fs::write(files.dir.path().join("other.db"), "database").expect("written");
        fs::remove_file(files.dir.path().join("link.db")).expect("removed");
        std::os::unix::fs::symlink("other.db", files.dir.path().join("link.db")).expect("a link");
        assert!(files.problem().contains("replaced by another"));
    }
}
