//! A pager for output longer than the screen.
//!
//! Output is held back until it is known to be longer than the screen, at most a screenful of it;
//! only then is the pager started, and the rest streams into it. If the pager cannot be started or
//! fails, the text is printed directly; quitting the pager early is not an error.

use std::io::{self, BufWriter, Stdout, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::width::columns;
use crate::stdio::{self, Waiting};

/// The default pager.
pub(super) const USUAL: &str = "less";
/// Options for less where `LESS` is unset: quit if it fits on one screen, pass colours through, keep
/// the text on the screen.
const LESS_OPTIONS: &str = "FRX";

/// How much of the text is kept for the case that the pager fails: more than a pipe holds. A pager
/// that has read more than that works.
const KEPT: usize = 128 * 1024;

/// Which end of the text to show first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The beginning: for a table.
    Top,
    /// The end: for a chat. Only less supports it.
    End,
}

/// A pager command, and the size of the screen: longer output starts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pager {
    program: String,
    args: Vec<String>,
    has_less_options: bool,
    width: usize,
    rows: usize,
}

impl Pager {
    /// Splits a command into words as a shell does. `None` when it means no pager: an empty command,
    /// `cat`, or one with unbalanced quotes.
    pub(super) fn parse(
        command: &str,
        has_less_options: bool,
        width: usize,
        rows: usize,
    ) -> Option<Self> {
        let mut words = shlex::split(command)?.into_iter();
        let program = words.next().filter(|program| name(program) != "cat")?;
        Some(Self { program, args: words.collect(), has_less_options, width, rows })
    }

    fn spawn(&self, start: Start) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(&self.args).stdin(Stdio::piped());
        if name(&self.program) == "less" {
            // Even where the user's own options leave it out: the text has colours and is UTF-8.
            command.arg("-R").env("LESSCHARSET", "utf-8");
            if start == Start::End && !self.is_busybox() {
                command.arg("+G");
            }
        }
        if !self.has_less_options {
            command.env("LESS", LESS_OPTIONS);
        }
        command.spawn()
    }

    /// Whether it is the pager of BusyBox, which takes `+G` for the name of a file.
    fn is_busybox(&self) -> bool {
        let mut version = Command::new(&self.program);
        let answer = version.arg("--version").stdin(Stdio::null()).output();
        answer.is_ok_and(|answer| {
            let says = |text: &[u8]| String::from_utf8_lossy(text).contains("BusyBox");
            says(&answer.stdout) || says(&answer.stderr)
        })
    }

    /// The rows that a line takes on the screen.
    fn rows_of(&self, line: &[u8]) -> usize {
        let plain = anstream::adapter::strip_bytes(line).into_vec();
        columns(&String::from_utf8_lossy(&plain)).div_ceil(self.width).max(1)
    }
}

/// The file name of a program's path.
fn name(program: &str) -> &str {
    Path::new(program).file_name().and_then(|name| name.to_str()).unwrap_or(program)
}

/// Standard output of a reading command, through a pager when the output is long.
#[derive(Debug)]
pub struct Screen {
    out: BufWriter<Waiting<Stdout>>,
    sink: Sink,
}

/// Where the output goes.
#[derive(Debug)]
enum Sink {
    /// Into memory: it is not yet longer than the screen.
    Held { pager: Pager, start: Start, text: Vec<u8>, counted: usize, rows: usize },
    /// Directly to standard output.
    Direct,
    /// Into a running pager. Ctrl-C is for the pager and must not end convo, or the shell and the
    /// pager would both read the keyboard.
    Paged {
        child: Child,
        input: BufWriter<ChildStdin>,
        /// The text so far, unless there is more of it than [`KEPT`].
        kept: Option<Vec<u8>>,
        _interrupt: Option<Signal>,
    },
}

impl Screen {
    /// Standard output, with or without a pager. The pager is started within the runtime that the
    /// command runs in.
    #[must_use]
    pub fn new(pager: Option<Pager>, start: Start) -> Self {
        let held = |pager| Sink::Held { pager, start, text: Vec::new(), counted: 0, rows: 0 };
        Self { out: BufWriter::new(stdio::stdout()), sink: pager.map_or(Sink::Direct, held) }
    }

    /// Ends the output: writes what was held back, or waits for the pager to exit.
    ///
    /// # Errors
    /// Writing failed. Quitting the pager early is not an error.
    pub fn close(mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.sink, Sink::Direct) {
            Sink::Held { text, .. } => self.out.write_all(&text)?,
            Sink::Direct => {}
            Sink::Paged { mut child, input, kept, .. } => {
                // Closed before waiting: this is how the pager learns that the text ends.
                let ended = input.into_inner().map(drop).map_err(io::IntoInnerError::into_error);
                match kept.filter(|_| has_failed(&mut child)) {
                    Some(text) => self.out.write_all(&text)?,
                    None => ended.or_else(enough)?,
                }
            }
        }
        self.out.flush()
    }

    /// Starts the pager if possible, and writes what was held back.
    fn begin(&mut self) -> io::Result<()> {
        let Sink::Held { pager, start, text, .. } = std::mem::replace(&mut self.sink, Sink::Direct)
        else {
            return Ok(());
        };
        if let Ok(mut child) = pager.spawn(start)
            && let Some(input) = child.stdin.take()
        {
            let (input, interrupt) = (BufWriter::new(input), signal(SignalKind::interrupt()).ok());
            self.sink = Sink::Paged { child, input, kept: Some(Vec::new()), _interrupt: interrupt };
        }
        self.write_all(&text)
    }

    /// Goes on without the pager if it has failed; otherwise it was quit, and `error` says so.
    fn without_pager(&mut self, error: io::Error) -> io::Result<()> {
        let Sink::Paged { child, kept, .. } = &mut self.sink else { return Err(error) };
        let Some(text) = kept.take().filter(|_| has_failed(child)) else { return Err(error) };
        self.sink = Sink::Direct;
        self.out.write_all(&text)
    }
}

/// Waits for the pager to exit. Returns whether it failed by itself.
fn has_failed(child: &mut Child) -> bool {
    let is_from_outside = |signal: i32| {
        let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        signals.contains(&SignalKind::from_raw(signal))
    };
    child
        .wait()
        .is_ok_and(|status| !status.success() && !status.signal().is_some_and(is_from_outside))
}

/// A closed pipe means that the reader has seen enough; any other error stays one.
fn enough(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

/// Adds to the text that is kept, as long as it is not too much.
fn keep(kept: &mut Option<Vec<u8>>, bytes: &[u8]) {
    if let Some(text) = kept {
        text.extend_from_slice(bytes);
    }
    if kept.as_ref().is_some_and(|text| text.len() > KEPT) {
        *kept = None;
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.sink {
            Sink::Direct => self.out.write(bytes),
            Sink::Paged { input, kept, .. } => match input.write(bytes) {
                Ok(count) => {
                    keep(kept, &bytes[..count]);
                    Ok(count)
                }
                Err(error) => {
                    self.without_pager(error)?;
                    self.out.write(bytes)
                }
            },
            Sink::Held { pager, text, counted, rows, .. } => {
                text.extend_from_slice(bytes);
                while let Some(length) = text[*counted..].iter().position(|byte| *byte == b'\n') {
                    *rows += pager.rows_of(&text[*counted..*counted + length]);
                    *counted += length + 1;
                }
                // The last row is for the shell's prompt.
                if *rows >= pager.rows {
                    self.begin()?;
                }
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Direct => self.out.flush(),
            Sink::Paged { input, .. } => match input.flush() {
                Ok(()) => Ok(()),
                Err(error) => {
                    self.without_pager(error)?;
                    self.out.flush()
                }
            },
            Sink::Held { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pager(command: &str) -> Option<Pager> {
        Pager::parse(command, false, 40, 10)
    }

    #[test]
    fn a_command_is_parted_as_a_shell_would() {
        let pager = pager("my-pager --title 'two words'").expect("a pager");
        assert_eq!(pager.program, "my-pager");
        assert_eq!(pager.args, ["--title", "two words"]);
    }

    #[test]
    fn long_lines_take_several_rows() {
        let pager = pager("less").expect("a pager");
        for (line, rows) in [
            (String::new(), 1),
            ("a".repeat(40), 1),
            ("a".repeat(41), 2),
            ("日".repeat(41), 3),
            (format!("\x1b[31m{}\x1b[0m", "a".repeat(40)), 1),
        ] {
            assert_eq!(pager.rows_of(line.as_bytes()), rows, "{line}");
        }
    }
}
