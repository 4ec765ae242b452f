//! What an import reads: lines or a database.

use std::fs::File;
use std::io::{BufReader, IsTerminal, Read, Write};
use std::path::Path;

use indicatif::ProgressBar;

use super::lines::LineSource;
use super::say;
use super::seed::SeedSource;
use crate::commands::progress;
use crate::error::Error;
use crate::stdio;
use crate::store::import::ImportBatch;
use crate::store::{Location, Mode};

/// How every SQLite file begins.
const SQLITE: &[u8] = b"SQLite format 3\0";
/// How much of a file is read at once.
const BLOCK: usize = 256 * 1024;

pub(super) enum ImportSource {
    Lines(Box<LineSource>),
    Seed(Box<SeedSource>),
}

impl ImportSource {
    /// Opens what the argument names.
    pub(super) async fn open(from: &str, directory: &Path, mode: Mode) -> Result<Self, Error> {
        if from == "-" {
            if std::io::stdin().is_terminal() {
                return Err(Error::invalid("standard input is a terminal")
                    .hint("redirect an export into it: convo import - < FILE"));
            }
            let input = BufReader::with_capacity(BLOCK, stdio::stdin());
            return Ok(Self::Lines(Box::new(LineSource::new(Box::new(input), None, mode))));
        }
        if is_url(from) {
            let location = Location::parse(from, directory)?;
            refuse_password(&location)?;
            return Self::seed(&location).await;
        }
        let path = directory.join(from);
        let cannot = |error: std::io::Error| {
            Error::invalid(format!("cannot read {}: {error}", path.display()))
                .hint("give an export of convo, or a database of the example program")
        };
        let mut file = File::open(&path).map_err(cannot)?;
        let size = file.metadata().map_err(cannot)?.len();
        let mut beginning = Vec::new();
        (&mut file).take(SQLITE.len() as u64).read_to_end(&mut beginning).map_err(cannot)?;
        if beginning == SQLITE {
            drop(file);
            return Self::seed(&Location::file(path)).await;
        }
        let input = BufReader::with_capacity(BLOCK, std::io::Cursor::new(beginning).chain(file));
        Ok(Self::Lines(Box::new(LineSource::new(Box::new(input), Some(size), mode))))
    }

    async fn seed(location: &Location) -> Result<Self, Error> {
        SeedSource::open(location).await.map(|source| Self::Seed(Box::new(source)))
    }

    /// What is to be stored together next; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<ImportBatch>, Error> {
        match self {
            Self::Lines(lines) => lines.next(),
            Self::Seed(seed) => seed.next().await,
        }
    }

    /// A progress bar of the right length.
    pub(super) fn bar(&self) -> ProgressBar {
        let (length, template) = match self {
            Self::Lines(lines) => (
                lines.size(),
                "importing {wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left",
            ),
            Self::Seed(seed) => (
                Some(seed.size()),
                "importing {wide_bar} {human_pos}/{human_len} rows, {rate}/s, {eta} left",
            ),
        };
        match length {
            Some(length) => {
                let bar = progress::bar(template);
                bar.set_length(length);
                bar
            }
            // Nobody knows how long standard input is.
            None => progress::bar("importing {bytes}, {bytes_per_sec}"),
        }
    }

    /// How far the bar is.
    pub(super) fn position(&self) -> u64 {
        match self {
            Self::Lines(lines) => lines.position(),
            Self::Seed(seed) => seed.position(),
        }
    }

    /// Says what was left out.
    pub(super) fn report(&self, out: &mut impl Write) {
        if let Self::Seed(seed) = self
            && let Some(what) = seed.skipped()
        {
            let _ = say(out, &what);
        }
    }

    pub(super) async fn close(&self) {
        if let Self::Seed(seed) = self {
            seed.close().await;
        }
    }
}

fn is_url(from: &str) -> bool {
    from.contains("://") || from.starts_with("sqlite:")
}

/// Refuses a password among the arguments: every user of the machine can see them.
fn refuse_password(location: &Location) -> Result<(), Error> {
    if location.has_password() {
        let what = "the URL contains a password, which ps shows to every user";
        return Err(Error::invalid(what)
            .hint("leave it out of the URL, and put it into ~/.pgpass or PGPASSWORD"));
    }
    Ok(())
}
