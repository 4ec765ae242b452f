//! Whether the write-ahead log beside a SQLite file belongs to it.
//!
//! SQLite applies whatever log lies beside a file when it opens it. If the file was restored from a
//! backup and the log is that of its predecessor, that destroys the restored database. Nothing in
//! the two files names the other, but a log can only continue a file whose header and size fit the
//! log's first transaction.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

const WAL_HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;
/// The first three bytes of the magic number; the last bit tells how checksums are computed.
const MAGIC: u32 = 0x377f_0682;
/// How many frames are looked at: those of the first transactions, in a few milliseconds.
const MAX_FRAMES: u64 = 4_096;

/// What the first 100 bytes of a database say; a frame for its first page has them, too.
#[derive(Clone, Copy, Debug)]
struct Header {
    /// Incremented by at most one by each connection that changes this page.
    change_counter: u32,
    /// Incremented by each change of the schema.
    schema_cookie: u32,
}

/// What a log says about the file that it continues.
#[derive(Debug)]
struct Log {
    page_size: u32,
    /// The pages in its first transaction, and the size of the database after it.
    first_pages: HashSet<u32>,
    first_size: u32,
    /// The headers in the first and in the last frame for page 1 that were looked at.
    headers: Option<(Header, Header)>,
}

/// Whether the file at a path can be what its write-ahead log continues; true without a log.
pub(super) fn is_own_log(path: &Path, wal: &Path) -> io::Result<bool> {
    // The log first: while another process is writing, the file only advances.
    let Some(log) = read_log(wal)? else { return Ok(true) };
    let file = File::open(path)?;
    let mut header = [0; 100];
    file.read_exact_at(&mut header, 0)?;
    let page_size = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size => u32::from(size),
    };
    let pages = file.metadata()?.len() / u64::from(page_size.max(1));
    Ok(log.page_size == page_size && log.continues(Header::parse(&header), pages))
}

impl Log {
    fn continues(&self, file: Header, pages: u64) -> bool {
        // A transaction that makes the database larger writes every new page.
        let added = (1..=self.first_size).skip_while(|page| u64::from(*page) <= pages);
        let covers_growth = added.into_iter().all(|page| self.first_pages.contains(&page));
        let follows = self.headers.is_none_or(|(first, last)| {
            // The file may be ahead of the first frame, as far as the log was copied into it.
            let ahead = first.change_counter.wrapping_sub(file.change_counter).cast_signed();
            ahead <= 1 && file.schema_cookie <= last.schema_cookie
        });
        covers_growth && follows
    }
}

impl Header {
    fn parse(page: &[u8; 100]) -> Self {
        Self { change_counter: word(page, 24), schema_cookie: word(page, 40) }
    }
}

/// `None` if there is no log, or no complete transaction in it: SQLite will ignore it.
fn read_log(wal: &Path) -> io::Result<Option<Log>> {
    let file = match File::open(wal) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(start) = read::<32>(&file, 0)? else { return Ok(None) };
    if word(&start, 0) & !1 != MAGIC {
        return Ok(None);
    }
    let page_size = word(&start, 8);
    let salts = &start[16..24];
    let (mut pages, mut first_size, mut headers) = (HashSet::new(), 0, None);
    for frame in 0..MAX_FRAMES {
        let offset = WAL_HEADER + frame * (FRAME_HEADER + u64::from(page_size));
        let Some(header) = read::<24>(&file, offset)? else { break };
        // Of an earlier use of the log, whose beginning was written over.
        if header[8..16] != *salts {
            break;
        }
        let (page, size) = (word(&header, 0), word(&header, 4));
        if first_size == 0 {
            pages.insert(page);
            first_size = size;
        }
        if page == 1
            && let Some(content) = read::<100>(&file, offset + FRAME_HEADER)?
        {
            let last = Header::parse(&content);
            headers = Some(headers.map_or((last, last), |(first, _)| (first, last)));
        }
    }
    let log = Log { page_size, first_pages: pages, first_size, headers };
    Ok((first_size > 0).then_some(log))
}

/// Some bytes at a place; `None` if the file ends before.
fn read<const N: usize>(file: &File, offset: u64) -> io::Result<Option<[u8; N]>> {
    let mut bytes = [0; N];
    match file.read_exact_at(&mut bytes, offset) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// The big-endian number at a place.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}
