//! A pager for what outgrows the screen.
//!
//! Output is held back until it is known to be longer than the screen, at most a screenful of it;
//! only then is the pager started, and the rest streams into it. A pager that cannot be started is
//! done without, and one that is left early is a reader who has enough.

use std::io::{self, BufWriter, Stdout, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::width::columns;

/// The pager when nobody named one.
pub(super) const USUAL: &str = "less";
/// Options for less where the user has none: leave at once what fits, pass colours on, and let the
/// text stay on the screen.
const LESS_OPTIONS: &str = "FRX";

/// Which end of a text its reader wants to see first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The beginning, as of a table.
    Top,
    /// The end, as of a chat. Only less can begin there.
    End,
}

/// A pager, and the screen that a text must outgrow before it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pager {
    program: String,
    args: Vec<String>,
    has_less_options: bool,
    width: usize,
    rows: usize,
}

impl Pager {
    /// Understands a command as a shell would part its words. `None` where it asks for no pager:
    /// when it is empty or `cat`, or no command at all.
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
            // Also where the user's own options do not say so: the text has colours, is UTF-8.
            command.arg("-R").env("LESSCHARSET", "utf-8");
            if start == Start::End {
                command.arg("+G");
            }
        }
        if !self.has_less_options {
            command.env("LESS", LESS_OPTIONS);
        }
        command.spawn()
    }

    /// The rows that a line of ours takes.
    fn rows_of(&self, line: &[u8]) -> usize {
        let plain = anstream::adapter::strip_bytes(line).into_vec();
        columns(&String::from_utf8_lossy(&plain)).div_ceil(self.width).max(1)
    }
}

/// The last part of a program's path.
fn name(program: &str) -> &str {
    Path::new(program).file_name().and_then(|name| name.to_str()).unwrap_or(program)
}

/// Where a command prints for whoever reads it: through a pager if it is worth one.
#[derive(Debug)]
pub struct Screen {
    out: BufWriter<Stdout>,
    way: Way,
}

/// The way of what is printed.
#[derive(Debug)]
enum Way {
    /// Not yet known to outgrow the screen.
    Held { pager: Pager, start: Start, text: Vec<u8>, counted: usize, rows: usize },
    /// As it comes.
    Straight,
    /// Into a running pager. Its reader's Ctrl-C is the pager's affair and must not end convo, or
    /// the shell and the pager would both read the keyboard.
    Paged { child: Child, input: BufWriter<ChildStdin>, _interrupt: Option<Signal> },
}

impl Screen {
    /// Standard output, with a pager at hand or without. A pager is started within the runtime
    /// that the command runs in.
    #[must_use]
    pub fn new(pager: Option<Pager>, start: Start) -> Self {
        let held = |pager| Way::Held { pager, start, text: Vec::new(), counted: 0, rows: 0 };
        Self { out: BufWriter::new(io::stdout()), way: pager.map_or(Way::Straight, held) }
    }

    /// Ends the output: writes what was held back, or waits until the pager is left.
    ///
    /// # Errors
    /// Whatever writing meets; a pager that was left early is none.
    pub fn close(mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.way, Way::Straight) {
            Way::Held { text, .. } => self.out.write_all(&text)?,
            Way::Straight => {}
            Way::Paged { mut child, input, .. } => {
                // Closed before the waiting: the pager's text ends here.
                let ended = input.into_inner().map(drop).map_err(io::IntoInnerError::into_error);
                child.wait()?;
                ended.or_else(enough)?;
            }
        }
        self.out.flush()
    }

    /// Starts the pager, if it can be, and lets go of what was held back.
    fn begin(&mut self) -> io::Result<()> {
        let Way::Held { pager, start, text, .. } = std::mem::replace(&mut self.way, Way::Straight)
        else {
            return Ok(());
        };
        if let Ok(mut child) = pager.spawn(start)
            && let Some(input) = child.stdin.take()
        {
            let (input, interrupt) = (BufWriter::new(input), signal(SignalKind::interrupt()).ok());
            self.way = Way::Paged { child, input, _interrupt: interrupt };
        }
        self.write_all(&text)
    }
}

/// Whether a failed write means that its reader has seen enough.
fn enough(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.way {
            Way::Straight => self.out.write(bytes),
            Way::Paged { input, .. } => input.write(bytes),
            Way::Held { pager, text, counted, rows, .. } => {
                text.extend_from_slice(bytes);
                while let Some(length) = text[*counted..].iter().position(|byte| *byte == b'\n') {
                    *rows += pager.rows_of(&text[*counted..*counted + length]);
                    *counted += length + 1;
                }
                // The last row is the shell's.
                if *rows >= pager.rows {
                    self.begin()?;
                }
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.way {
            Way::Straight => self.out.flush(),
            Way::Paged { input, .. } => input.flush(),
            Way::Held { .. } => Ok(()),
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
