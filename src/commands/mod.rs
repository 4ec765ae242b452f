//! One file per command: arguments in, the backend asked, the answer printed.

pub mod copy;
pub mod generate;
pub mod list;
mod man;
pub mod migrate;
pub mod openapi;
pub mod retry;
pub mod sandbox;
pub mod send;
pub mod serve;
pub mod settle;
pub mod show;
pub mod signals;
mod wait;

use std::io;

use crate::cli::PrintArgs;
use crate::error::{Code, Error};
use crate::output::Look;

/// Records that are read at a time: enough to be fast, few enough to stay small.
const PAGE: u64 = 500;
/// What a person gets who does not say how much.
const BRIEF: u64 = 50;

/// How much to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// Everything there is.
    All,
    /// The newest so many.
    Newest(u64),
    /// The newest few, because nobody said how many.
    Brief,
}

impl Extent {
    fn of(args: &PrintArgs, look: &Look) -> Self {
        match args.limit {
            Some(limit) => Self::Newest(limit),
            None if look.brief && !args.all => Self::Brief,
            None => Self::All,
        }
    }
}

/// Why a command that prints ends early.
#[derive(Debug)]
enum Stop {
    /// The records could not be read.
    Failed(Error),
    /// Standard output could not be written.
    Output(io::Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// What it means for a command that its output could not be written to the end.
///
/// # Errors
/// `internal`, unless whoever reads it has enough.
pub fn printed(written: io::Result<()>) -> Result<(), Error> {
    settle(written.map_err(Stop::from))
}

/// A closed pipe is success: whoever read it has enough.
fn settle(ended: Result<(), Stop>) -> Result<(), Error> {
    match ended {
        Ok(()) => Ok(()),
        Err(Stop::Failed(error)) => Err(error),
        Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(Stop::Output(error)) => {
            let what = format!("standard output could not be written: {error}");
            Err(Error::new(Code::Internal, what).hint("what was printed so far is incomplete"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;
    use crate::output::{ColorChoice, Facts, Format, Zone};

    #[test]
    fn a_person_gets_a_few_unless_told_otherwise() {
        let terminal = Facts { stdout_is_terminal: true, ..Facts::default() };
        let extent = |facts: &Facts, args: &PrintArgs| {
            let now = Timestamp::from_micros(0);
            Extent::of(args, &facts.look(args.asked(), ColorChoice::Auto, Zone::UTC, now))
        };
        let (pipe, bare) = (Facts::default(), PrintArgs::default());
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
        let ended = |kind: io::ErrorKind| settle(Err(Stop::Output(kind.into())));
        assert!(ended(io::ErrorKind::BrokenPipe).is_ok());
        let full = ended(io::ErrorKind::StorageFull).expect_err("a full disk is no success");
        assert_eq!(full.exit_code(), 1);
        assert!(full.to_string().starts_with("standard output could not be written: "), "{full}");
    }
}
