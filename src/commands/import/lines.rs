//! Reading the lines of an export in batches.

use std::fmt::Display;
use std::io::{BufRead, Read};

use crate::domain::ExportLine;
use crate::domain::export::{ExportEnd, ExportHeader};
use crate::error::Error;
use crate::store::Mode;
use crate::store::import::ImportBatch;

/// The most bytes of a line: a raw event may have 16 MiB, and each of its bytes may take several.
const LONGEST: u64 = 128 << 20;

/// The lines of one export, or of several one after the other.
pub(super) struct LineSource {
    input: Box<dyn BufRead>,
    size: Option<u64>,
    mode: Mode,
    /// The number of the line that was read last, counted from 1.
    line: u64,
    bytes: u64,
    /// The number of the first line of the present export; `None` between two.
    begun: Option<u64>,
    /// What is wrong after the batch that was returned last.
    fault: Option<Error>,
    is_ended: bool,
}

impl LineSource {
    pub(super) fn new(input: Box<dyn BufRead>, size: Option<u64>, mode: Mode) -> Self {
        Self { input, size, mode, line: 0, bytes: 0, begun: None, fault: None, is_ended: false }
    }

    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    pub(super) fn position(&self) -> u64 {
        self.bytes
    }

    /// The next batch. What comes before a line that cannot be read is returned first.
    pub(super) fn next(&mut self) -> Result<Option<ImportBatch>, Error> {
        if let Some(fault) = self.fault.take() {
            self.is_ended = true;
            return Err(fault);
        }
        let mut batch = ImportBatch::default();
        while !self.is_ended && !batch.is_full() {
            match self.read(&mut batch) {
                Ok(true) => {}
                Ok(false) => self.is_ended = true,
                Err(error) if batch.is_empty() => {
                    self.is_ended = true;
                    return Err(error);
                }
                Err(error) => {
                    self.fault = Some(error);
                    break;
                }
            }
        }
        Ok((!batch.is_empty()).then_some(batch))
    }

    /// Reads a line into the batch; `false` at the end of the input.
    fn read(&mut self, batch: &mut ImportBatch) -> Result<bool, Error> {
        let mut text = Vec::new();
        let read = self.input.by_ref().take(LONGEST).read_until(b'\n', &mut text);
        self.line += 1;
        let read = read.map_err(|error| self.fault(format!("cannot be read: {error}")))?;
        if read == 0 {
            self.line -= 1;
            return self.end();
        }
        self.bytes += read as u64;
        let is_cut = !text.ends_with(b"\n");
        if is_cut && text.len() as u64 == LONGEST {
            return Err(self.fault("the line is too long"));
        }
        if self.line == 1 {
            text = text.strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec).unwrap_or(text);
        }
        let trimmed = text.trim_ascii();
        if trimmed.is_empty() {
            return Ok(true);
        }
        self.take(trimmed, batch)?;
        Ok(true)
    }

    fn take(&mut self, text: &[u8], batch: &mut ImportBatch) -> Result<(), Error> {
        let Some(begun) = self.begun else {
            let header = ExportLine::parse_header(text).map_err(|error| self.fault(error))?;
            self.check_mode(&header)?;
            self.begun = Some(1);
            return Ok(());
        };
        self.begun = Some(begun + 1);
        match ExportLine::parse(text).map_err(|error| self.fault(error))? {
            ExportLine::ConvoExport(_) => {
                Err(self.fault("another export begins before this one ends"))
            }
            ExportLine::End(ExportEnd { lines }) => {
                self.begun = None;
                if begun == lines {
                    return Ok(());
                }
                Err(self.fault(format!("the export had {lines} lines, and here it has {begun}")))
            }
            line => {
                batch.push(line, text.len());
                Ok(())
            }
        }
    }

    fn check_mode(&self, header: &ExportHeader) -> Result<(), Error> {
        let is_sandbox = self.mode == Mode::Sandbox;
        match (header.sandbox, is_sandbox) {
            (true, false) => Err(self
                .fault("this export is of a sandbox database")
                .hint("import it with --sandbox")),
            (false, true) => {
                Err(self.fault("this export is of a real database").hint("leave out --sandbox"))
            }
            _ => Ok(()),
        }
    }

    /// The end of the input.
    fn end(&self) -> Result<bool, Error> {
        if self.begun.is_some() {
            return Err(
                self.fault("the export is cut off after this line: its last line is missing")
            );
        }
        if self.line == 0 {
            return Err(Error::invalid("there is no export: the input is empty"));
        }
        Ok(false)
    }

    fn fault(&self, what: impl Display) -> Error {
        let error = Error::invalid(format!("line {}: {what}", self.line));
        match self.begun {
            Some(_) => {
                error.hint("what came before that line is imported; repeat it with a whole file")
            }
            None => error.hint("give a file that convo export has written as JSON lines"),
        }
    }
}

#[cfg(test)]
mod tests;
