//! Reading files of settings and secrets: each is opened once, and what is checked is the open file,
//! not its path, which could name another file a moment later.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags};

/// The largest file of settings, which may be shared with other programs.
const SETTINGS_LIMIT: u64 = 1024 * 1024;
/// The largest file that holds a secret.
const SECRET_LIMIT: u64 = 64 * 1024;
/// How many symbolic links may lead to a file, as on Linux.
const MAX_LINKS: usize = 40;
/// How long the program at the other end of a pipe may take: it may ask for a passphrase.
const PIPE_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a file is not read.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// What follows "it": why it is refused; or the system's error.
    why: Result<String, io::Error>,
    pub hint: &'static str,
}

impl Unreadable {
    /// Says so in words.
    pub(super) fn describe(&self, path: &Path) -> String {
        let path = path.display();
        match &self.why {
            Ok(why) => format!("cannot use {path}: it {why}"),
            Err(error) => format!("cannot read {path}: {error}"),
        }
    }
}

/// The content of a file that holds a secret, and where the file really is.
#[derive(Clone)]
pub(super) struct SecretFile {
    pub bytes: Vec<u8>,
    /// The path without symbolic links; `None` if it has none, as a pipe.
    pub real_path: Option<PathBuf>,
}

/// Reads a file of settings. The file and every symbolic link to it must belong to this user or to
/// root.
pub(super) fn read_settings(path: &Path) -> Result<Vec<u8>, Unreadable> {
    let (file, is_pipe) = open(path)?;
    let owner = rustix::process::geteuid().as_raw();
    let is_trusted = |uid: u32| uid == owner || uid == 0;
    if is_pipe {
        return Err(not_regular("a pipe"));
    }
    if !is_trusted(file.metadata().map_err(unreadable)?.uid()) {
        return Err(foreign("belongs to another user"));
    }
    check_links(path, &file, is_trusted)?;
    read(&file, SETTINGS_LIMIT)
}

/// Reads a file that holds a secret: a regular file of this user or of root (which may itself read
/// everybody's), or a pipe that a shell made for this command.
pub(super) fn read_secret(path: &Path) -> Result<SecretFile, Unreadable> {
    let (file, is_pipe) = open(path)?;
    if is_pipe {
        // A named pipe that nobody writes to would be waited for.
        if !path.starts_with("/dev") && !path.starts_with("/proc") {
            return Err(not_regular("a named pipe"));
        }
        return Ok(SecretFile { bytes: read_pipe(&file)?, real_path: None });
    }
    let (user, owner) = (rustix::process::geteuid(), file.metadata().map_err(unreadable)?.uid());
    if !user.is_root() && owner != user.as_raw() && owner != 0 {
        return Err(foreign("belongs to another user"));
    }
    let bytes = read(&file, SECRET_LIMIT)?;
    Ok(SecretFile { bytes, real_path: real_path(path, &file) })
}

/// Opens a regular file or a pipe without waiting for anything. Returns whether it is a pipe.
fn open(path: &Path) -> Result<(File, bool), Unreadable> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(unreadable)?);
    let stat = rustix::fs::fstat(&file).map_err(unreadable)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok((file, false)),
        FileType::Fifo => Ok((file, true)),
        FileType::Directory => Err(not_regular("a directory")),
        FileType::Socket => Err(not_regular("a socket")),
        _ => Err(not_regular("a device")),
    }
}

/// Checks the owner of every symbolic link between a path and the file that was opened by it: who
/// can place a link chooses the file.
fn check_links(
    path: &Path,
    file: &File,
    is_trusted: impl Fn(u32) -> bool,
) -> Result<(), Unreadable> {
    let opened = file.metadata().map_err(unreadable)?;
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let found = path.symlink_metadata().map_err(unreadable)?;
        if !found.is_symlink() {
            let is_same = (found.dev(), found.ino()) == (opened.dev(), opened.ino());
            return if is_same { Ok(()) } else { Err(foreign("changed while being read")) };
        }
        if !is_trusted(found.uid()) {
            return Err(foreign("is a symbolic link owned by another user"));
        }
        let target = path.read_link().map_err(unreadable)?;
        path = path.parent().unwrap_or(Path::new("/")).join(target);
    }
    Err(foreign("is a loop of symbolic links"))
}

/// Where an open file is. The kernel knows; elsewhere the path is resolved once more.
fn real_path(path: &Path, file: &File) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    let by_descriptor = format!("/proc/self/fd/{}", file.as_raw_fd());
    let known = std::fs::read_link(by_descriptor).or_else(|_| path.canonicalize()).ok();
    known.filter(|path| path.is_absolute())
}

fn read(file: &File, limit: u64) -> Result<Vec<u8>, Unreadable> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        let why = format!("is larger than {} KiB", limit / 1024);
        return Err(Unreadable { why: Ok(why), hint: "use the right file" });
    }
    Ok(bytes)
}

/// Reads a pipe to its end, for a limited time.
fn read_pipe(pipe: &File) -> Result<Vec<u8>, Unreadable> {
    let deadline = Instant::now() + PIPE_TIMEOUT;
    let mut bytes = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).ok();
        let mut waiting = [PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)];
        match poll(&mut waiting, left.as_ref()) {
            Ok(0) => {
                let why = format!("returned nothing within {} s", PIPE_TIMEOUT.as_secs());
                return Err(Unreadable { why: Ok(why), hint: "check the command that writes it" });
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(unreadable(error)),
        }
        let mut part = [0; 4096];
        match (&*pipe).read(&mut part) {
            Ok(0) => return Ok(bytes),
            Ok(count) => bytes.extend_from_slice(&part[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(unreadable(error)),
        }
        if bytes.len() as u64 > SECRET_LIMIT {
            let why = format!("returned more than {} KiB", SECRET_LIMIT / 1024);
            return Err(Unreadable { why: Ok(why), hint: "check the command that writes it" });
        }
    }
}

fn unreadable(error: impl Into<io::Error>) -> Unreadable {
    Unreadable { why: Err(error.into()), hint: "check the path and its permissions" }
}

fn not_regular(what: &str) -> Unreadable {
    Unreadable { why: Ok(format!("is {what}")), hint: "use a regular file" }
}

fn foreign(why: &str) -> Unreadable {
    let hint =
        "files that another user can change are not trusted; make your own copy, or remove it";
    Unreadable { why: Ok(why.to_owned()), hint }
}
