//! The result file: one line of CSV for each row, there as soon as it is known what became of the row.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::outcome::RowOutcome;
use crate::error::{Code, Error};
use crate::output::Format;
use crate::output::record::{self, Record};

/// A result file before it has its name: what is known before anything is sent.
#[derive(Debug)]
pub(super) struct ResultDraft {
    /// Without a name, so that nothing of it is left behind.
    spool: File,
    /// Where it goes, if it is to be kept.
    path: Option<PathBuf>,
}

/// The result file, which grows.
#[derive(Debug)]
pub(super) struct ResultFile {
    file: File,
    path: PathBuf,
}

/// The rows of a result file, one after the other.
pub(super) type Rows = csv::DeserializeRecordsIntoIter<File, RowOutcome>;

/// The name of the result file beside a file: `customers.csv` has `customers.result.csv`.
pub(super) fn beside(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}.result.csv"))
}

impl ResultDraft {
    /// Begins a file that takes the place of an earlier one at `path`; without one, it is not kept.
    ///
    /// # Errors
    /// What is at `path` is something else.
    pub(super) fn create(path: Option<PathBuf>) -> Result<Self, Error> {
        path.as_deref().map_or(Ok(()), refuse_other)?;
        let mut spool = tempfile::tempfile().map_err(|error| unspooled(&error))?;
        record::header::<RowOutcome>(&mut spool, Format::Csv).map_err(|error| unspooled(&error))?;
        Ok(Self { spool, path })
    }

    pub(super) fn add(&mut self, outcome: &RowOutcome) -> Result<(), Error> {
        write(&mut self.spool, outcome).map_err(|error| unspooled(&error))
    }

    /// Reads its rows; more may follow.
    pub(super) fn rows(&self) -> Result<Rows, Error> {
        let mut spool = self.spool.try_clone().map_err(|error| unspooled(&error))?;
        spool.rewind().map_err(|error| unspooled(&error))?;
        Ok(csv::Reader::from_reader(spool).into_deserialize())
    }

    /// Puts it under its name, as a whole; `None` if it is not to be kept.
    pub(super) fn publish(self) -> Result<Option<ResultFile>, Error> {
        let Self { mut spool, path } = self;
        let Some(path) = path else { return Ok(None) };
        let mut published = || -> io::Result<File> {
            let mut file = new_beside(&path)?;
            spool.rewind()?;
            io::copy(&mut spool, &mut file)?;
            file.as_file().sync_all()?;
            Ok(file.persist(&path)?)
        };
        match published() {
            Ok(file) => Ok(Some(ResultFile { file, path })),
            Err(error) => Err(unwritable(&path, &error)),
        }
    }
}

/// A new file in the directory of a path, readable only by its owner.
fn new_beside(path: &Path) -> io::Result<NamedTempFile> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    tempfile::Builder::new().prefix(".convo-").suffix(".partial").tempfile_in(directory)
}

impl ResultFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a row. It is in the file even if this process is killed afterwards.
    pub(super) fn add(&mut self, outcome: &RowOutcome) -> Result<(), Error> {
        write(&mut self.file, outcome).map_err(|error| unwritable(&self.path, &error))
    }

    /// Reads its rows.
    pub(super) fn rows(&self) -> Result<Rows, Error> {
        let file = File::open(&self.path).map_err(|error| unwritable(&self.path, &error))?;
        Ok(csv::Reader::from_reader(file).into_deserialize())
    }

    /// Begins a new version of it.
    pub(super) fn next_version(&self) -> Result<ResultDraft, Error> {
        ResultDraft::create(Some(self.path.clone()))
    }
}

/// In one piece, so that a killed process leaves no half line.
fn write(file: &mut impl Write, outcome: &RowOutcome) -> io::Result<()> {
    let mut line = Vec::new();
    record::write(&mut line, Format::Csv, std::slice::from_ref(outcome))?;
    file.write_all(&line)
}

/// Refuses a file that is not a result file: it would be overwritten.
fn refuse_other(path: &Path) -> Result<(), Error> {
    let head = match File::open(path) {
        Ok(file) => {
            let mut head = String::new();
            let read = BufReader::new(file.take(1_000)).read_line(&mut head);
            read.map(|_| head)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
    };
    let is_result = head.is_ok_and(|head| head.trim_end() == RowOutcome::COLUMNS.join(","));
    if is_result && fs::metadata(path).is_ok_and(|found| found.is_file()) {
        return Ok(());
    }
    let what = format!("{} is there and is not a result file", path.display());
    Err(Error::invalid(what).hint("name another one with --result FILE"))
}

fn unspooled(error: &io::Error) -> Error {
    Error::new(Code::Internal, format!("results cannot be written to a temporary file: {error}"))
        .hint("check the directory for temporary files and its space")
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    let what = format!("cannot write the result file {}: {error}", path.display());
    Error::new(Code::NotConfigured, what).hint(
        "check the directory, its permissions and its space, or name another with --result FILE",
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn outcome(row: u64, key: &str) -> RowOutcome {
        RowOutcome {
            row,
            key: key.to_owned(),
            to: "+12125551234".to_owned(),
            id: None,
            status: "queued".to_owned(),
            error: None,
            code: None,
        }
    }

    #[test]
    fn it_is_private_grows_and_is_replaced_as_a_whole() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.result.csv");
        for round in 0..2 {
            let mut draft = ResultDraft::create(Some(path.clone())).expect("a draft");
            draft.add(&outcome(2, "=1+1")).expect("written");
            assert_eq!(path.exists(), round == 1, "not before it is complete");
            let mut file = draft.publish().expect("published").expect("a file");
            file.add(&outcome(3, "\"two\"\nlines")).expect("written");
            let rows: Vec<RowOutcome> =
                file.rows().expect("readable").collect::<Result<_, _>>().expect("rows");
            assert_eq!(rows, [outcome(2, "'=1+1"), outcome(3, "\"two\"\nlines")]);
            let mode = fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 1);
    }

    #[test]
    fn another_file_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.csv");
        fs::write(&path, "to,text\n").expect("written");
        assert_eq!(ResultDraft::create(Some(path)).expect_err("refused").exit_code(), 2);
        assert!(ResultDraft::create(Some(directory.path().to_owned())).is_err());
        assert_eq!(beside(Path::new("x/a.b.csv")), Path::new("x/a.b.result.csv"));
    }
}
