//! Whose an SQLite file is, and who can read it. Texts are private, and whoever can write a file
//! decides what is in it.

use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use sea_orm::ConnectionTrait;

use super::Location;
use super::database_file::side_path;
use super::open_error::cannot_open;
use super::schema::SchemaState;
use crate::error::{Code, Error};

/// What SQLite puts beside a database file.
const SIDE_FILES: [&str; 3] = ["-wal", "-shm", "-journal"];
/// The rights of everybody but the owner.
const OTHERS: u32 = 0o077;

/// Checks, before SQLite opens it, that a path leads to a regular file of this user (root may use
/// everybody's), and that the files beside it are private. A missing file is not an error.
///
/// Looking at the files does not open them: closing a file gives up the locks that SQLite has on it
/// in this process.
pub(super) fn check_owner(path: &Path) -> Result<(), Error> {
    let link = path.symlink_metadata().ok().filter(Metadata::is_symlink);
    if link.is_some_and(|link| !is_own(&link) && link.uid() != 0) {
        return Err(refuse(
            path,
            "is a symbolic link owned by another user",
            "use the file itself",
        ));
    }
    let Some(file) = found(path) else { return Ok(()) };
    check_kind(path, &file)?;
    for side in side_files(path) {
        let Some(file) = found(&side) else { continue };
        check_kind(&side, &file)?;
        check_mode(&side, &file)?;
    }
    Ok(())
}

/// Checks that nobody else can read a database. Called when SQLite has opened it: another program's
/// file, which is refused as such, may have any rights.
pub(super) async fn check_private(
    location: &Location,
    db: &impl ConnectionTrait,
) -> Result<(), Error> {
    let Some(path) = location.path() else { return Ok(()) };
    let Some(file) = found(path) else { return Ok(()) };
    let Err(error) = check_mode(path, &file) else { return Ok(()) };
    let state = SchemaState::read(db).await.map_err(|error| cannot_open(location, &error))?;
    if state.is_foreign { Ok(()) } else { Err(error) }
}

/// None if the path leads nowhere.
fn side_files(path: &Path) -> Vec<PathBuf> {
    SIDE_FILES.iter().filter_map(|suffix| side_path(path, suffix).ok()).collect()
}

/// A file that is there. What else stands in the way is said when SQLite opens it.
fn found(path: &Path) -> Option<Metadata> {
    path.metadata().ok()
}

fn is_own(file: &Metadata) -> bool {
    let user = rustix::process::geteuid();
    user.is_root() || file.uid() == user.as_raw()
}

fn check_kind(path: &Path, file: &Metadata) -> Result<(), Error> {
    let kind = file.file_type();
    if !kind.is_file() {
        let why = match kind {
            kind if kind.is_dir() => "is a directory",
            kind if kind.is_fifo() => "is a named pipe",
            kind if kind.is_socket() => "is a socket",
            _ => "is a device",
        };
        return Err(refuse(path, why, "set DATABASE_URL to a regular file, or to a new one"));
    }
    if !is_own(file) {
        let hint = "run convo as its owner, or set DATABASE_URL to a file that you own";
        return Err(refuse(path, "belongs to another user", hint));
    }
    Ok(())
}

/// Checks that nobody else can read a file. A missing one is not an error.
pub(super) fn check_mode_of(path: &Path) -> Result<(), Error> {
    found(path).map_or(Ok(()), |file| check_mode(path, &file))
}

fn check_mode(path: &Path, file: &Metadata) -> Result<(), Error> {
    if file.mode() & OTHERS == 0 {
        return Ok(());
    }
    let hint = format!("the texts in it are private: chmod 600 {}", path.display());
    Err(refuse(path, "is accessible to other users", &hint))
}

fn refuse(path: &Path, why: &str, hint: &str) -> Error {
    Error::new(Code::DatabaseNotReady, format!("{} {why}", path.display())).hint(hint)
}
