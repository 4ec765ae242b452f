//! The line to type in, on a thread of its own, because reading from a terminal blocks.

use std::borrow::Cow;
use std::cell::Cell;
use std::io::Write;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Context, Editor, ExternalPrinter, Helper};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::input::{Input, is_control};
use crate::error::Error;
use crate::stdio;

const PROMPT: &str = "> ";
/// Ends the line, and the terminal's marking of what is pasted.
const PASTE_OFF: &str = "\n\u{1b}[?2004l";

/// The line below what comes in. The person may type at any time.
pub(super) struct LineEditor {
    /// What was entered. It ends when the person does.
    pub lines: UnboundedReceiver<Input>,
    printer: Box<dyn ExternalPrinter + Send>,
    /// The terminal's modes before.
    modes: Option<Termios>,
}

impl LineEditor {
    /// Starts reading lines.
    ///
    /// # Errors
    /// The terminal cannot be used.
    pub(super) fn start() -> Result<Self, Error> {
        let modes = tcgetattr(std::io::stdin()).ok();
        let config = Config::builder().auto_add_history(true).build();
        let mut editor =
            Editor::with_history(config, MemHistory::new()).map_err(|error| failed(&error))?;
        editor.set_helper(Some(Typed::default()));
        let printer = editor.create_external_printer().map_err(|error| failed(&error))?;
        let (sender, lines) = unbounded_channel();
        std::thread::Builder::new()
            .name("editor".to_owned())
            .spawn(move || read(&mut editor, &sender))
            .map_err(|_| Error::internal())?;
        Ok(Self { lines, printer: Box::new(printer), modes })
    }

    /// Prints lines above the one that is being typed. If the terminal is gone, `lines` ends.
    pub(super) fn print(&mut self, lines: String) {
        let _ = self.printer.print(lines);
    }

    /// Leaves the terminal as it was before, although the person has not ended.
    pub(super) fn abandon(&mut self) {
        if let Some(modes) = self.modes.take() {
            let mut out = stdio::stdout();
            let _ = out.write_all(PASTE_OFF.as_bytes()).and_then(|()| out.flush());
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &modes);
        }
    }
}

fn failed(error: &ReadlineError) -> Error {
    Error::invalid(format!("this terminal cannot be used: {error}"))
        .hint("use convo send and convo show")
}

fn read(editor: &mut Editor<Typed, MemHistory>, lines: &UnboundedSender<Input>) {
    loop {
        let typed = match line(editor, PROMPT) {
            Line::Typed(typed) => typed,
            Line::Discarded => continue,
            Line::End => return,
        };
        let input = Input::parse(&typed);
        if let Input::Text(text) = &input
            && !is_one_text(editor, text)
        {
            continue;
        }
        let is_last = input == Input::Quit;
        if lines.send(input).is_err() || is_last {
            return;
        }
    }
}

/// Whether a text of several lines, which was pasted, is to be sent as one.
fn is_one_text(editor: &mut Editor<Typed, MemHistory>, text: &str) -> bool {
    let count = text.lines().count();
    if count < 2 {
        return true;
    }
    let question = format!("send these {count} lines as one text? [y/N] ");
    matches!(line(editor, &question), Line::Typed(answer) if answer.trim().eq_ignore_ascii_case("y"))
}

enum Line {
    Typed(String),
    /// Ctrl-C with something typed.
    Discarded,
    /// Ctrl-C on an empty line, Ctrl-D, or the terminal is gone.
    End,
}

fn line(editor: &mut Editor<Typed, MemHistory>, prompt: &str) -> Line {
    if let Some(typed) = editor.helper() {
        typed.is_empty.set(true);
    }
    match editor.readline(prompt) {
        Ok(typed) => Line::Typed(typed),
        Err(ReadlineError::Interrupted)
            if editor.helper().is_some_and(|typed| !typed.is_empty.get()) =>
        {
            Line::Discarded
        }
        Err(_) => Line::End,
    }
}

/// Remembers whether anything is typed: that decides what Ctrl-C does.
struct Typed {
    is_empty: Cell<bool>,
}

impl Default for Typed {
    fn default() -> Self {
        Self { is_empty: Cell::new(true) }
    }
}

impl Hinter for Typed {
    type Hint = String;

    /// It is called after each change, and there is nothing to hint at.
    fn hint(&self, line: &str, _: usize, _: &Context<'_>) -> Option<String> {
        self.is_empty.set(line.is_empty());
        None
    }
}

impl Completer for Typed {
    type Candidate = String;
}

/// A text that was pasted may come from anyone: what could drive the terminal is not drawn.
impl Highlighter for Typed {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        match line.contains(is_control) {
            true => Cow::Owned(line.replace(is_control, "")),
            false => Cow::Borrowed(line),
        }
    }

    /// Whether the line has to be drawn as a whole.
    fn highlight_char(&self, line: &str, _: usize, _: CmdKind) -> bool {
        line.contains(is_control)
    }
}

impl Validator for Typed {}
impl Helper for Typed {}
