//! How much a reading command prints, and what it means when that fails.

use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};

use crate::cli::PrintArgs;
use crate::domain::Page;
use crate::error::{Code, Error};
use crate::output::Style;
use crate::output::pages::{PageTable, Pages};
use crate::stdio;

/// The number of records read at a time.
pub(super) const PAGE: u64 = 500;
/// The number of records printed on a terminal by default.
pub(super) const BRIEF: u64 = 50;

/// The bytes that are written at a time: as many as a pipe holds.
const BLOCK: usize = 64 * 1024;

/// How much to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    All,
    /// The newest records, as many as requested.
    Newest(u64),
    /// The newest [`BRIEF`] records, because no number was requested.
    Brief,
}

impl Extent {
    pub(super) fn new(args: &PrintArgs, style: &Style) -> Self {
        match args.limit {
            Some(limit) => Self::Newest(limit),
            None if style.brief && !args.all => Self::Brief,
            None => Self::All,
        }
    }
}

/// Prints a list as it is read, page by page: memory does not grow with its length. `fetch` reads up to so
/// many rows after a position.
pub(super) async fn print_pages<W: Write, T: PageTable, P>(
    fetch: impl AsyncFn(Option<P>, u64) -> Result<Page<T::Row, P>, Error>,
    extent: Extent,
    list: &mut Pages<'_, W, T>,
) -> Result<(), PrintError> {
    let mut left = match extent {
        Extent::All => u64::MAX,
        Extent::Newest(limit) => limit,
        Extent::Brief => BRIEF,
    };
    let mut after = None;
    while left > 0 {
        let page = fetch(after.take(), left.min(PAGE)).await?;
        list.page(&page.rows)?;
        left = left.saturating_sub(page.rows.len() as u64);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    // Only a person who did not say how much to print needs to know that there is more.
    Ok(list.finish(extent == Extent::Brief && after.is_some())?)
}

/// Why printing ended early.
#[derive(Debug)]
pub(super) enum PrintError {
    /// The records could not be read.
    Read(Error),
    /// Standard output could not be written.
    Write(io::Error),
}

impl From<Error> for PrintError {
    fn from(error: Error) -> Self {
        Self::Read(error)
    }
}

impl From<io::Error> for PrintError {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

/// The command's result. A closed pipe is success: its reader has seen enough.
pub(super) fn finish(printed: Result<(), PrintError>) -> Result<(), Error> {
    match printed {
        Ok(()) => Ok(()),
        Err(PrintError::Read(error)) => Err(error),
        Err(PrintError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(PrintError::Write(error)) => {
            let what = format!("cannot write to standard output: {error}");
            Err(Error::new(Code::Internal, what).hint("the output is incomplete"))
        }
    }
}

/// The command's result when all it does is to write.
///
/// # Errors
/// `internal`, unless the reader has closed the pipe.
pub(crate) fn finish_write(written: io::Result<()>) -> Result<(), Error> {
    finish(written.map_err(PrintError::from))
}

/// Standard output in blocks: records are written in small pieces.
pub(super) fn stdout() -> impl Write {
    io::BufWriter::with_capacity(BLOCK, stdio::stdout())
}

/// Prints help or the version, coloured if wanted.
///
/// # Errors
/// `internal`, unless the reader has closed the pipe.
pub(crate) fn print_help(help: &clap::Error) -> Result<(), Error> {
    if help.use_stderr() {
        let text = styled(help, AutoStream::choice(&io::stderr()));
        return finish_write(stdio::stderr().write_all(text.as_bytes()));
    }
    let text = styled(help, AutoStream::choice(&io::stdout()));
    let mut out = stdout();
    finish_write(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

fn styled(help: &clap::Error, color: ColorChoice) -> String {
    let text = help.render();
    if color == ColorChoice::Never { text.to_string() } else { text.ansi().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;
    use crate::output::{self, Format, TerminalInfo, Zone};

    #[test]
    fn a_terminal_gets_a_few_records_by_default() {
        let terminal = TerminalInfo { stdout_is_terminal: true, ..TerminalInfo::default() };
        let extent = |terminal: &TerminalInfo, args: &PrintArgs| {
            let now = Timestamp::from_micros(0);
            let style = terminal.style(args.format(), output::ColorChoice::Auto, Zone::UTC, now);
            Extent::new(args, &style)
        };
        let (pipe, bare) = (TerminalInfo::default(), PrintArgs::default());
        let json = PrintArgs { json: true, ..bare.clone() };
        let table = PrintArgs { format: Some(Format::Table), ..bare.clone() };
        let all = PrintArgs { all: true, ..bare.clone() };
        let seven = PrintArgs { limit: Some(7), ..bare.clone() };
        assert_eq!(extent(&terminal, &bare), Extent::Brief);
        assert_eq!(extent(&terminal, &json), Extent::All);
        assert_eq!(extent(&terminal, &table), Extent::All);
        assert_eq!(extent(&terminal, &all), Extent::All);
        assert_eq!(extent(&terminal, &seven), Extent::Newest(7));
        assert_eq!(extent(&pipe, &bare), Extent::All);
        assert_eq!(extent(&pipe, &seven), Extent::Newest(7));
    }

    #[test]
    fn only_a_closed_pipe_is_success() {
        let ended = |kind: io::ErrorKind| finish_write(Err(kind.into()));
        assert!(ended(io::ErrorKind::BrokenPipe).is_ok());
        let full = ended(io::ErrorKind::StorageFull).expect_err("a full disk is an error");
        assert_eq!(full.exit_code(), 1);
        assert!(full.to_string().starts_with("cannot write to standard output: "), "{full}");
    }
}
