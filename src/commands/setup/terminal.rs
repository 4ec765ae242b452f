//! Questions on the terminal.

use std::borrow::Cow;
use std::cell::Cell;

use rustyline::completion::Completer;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Editor, Helper};

use crate::error::{Code, Error};

/// Asks questions, one line each. Answers are not kept in a history.
pub(super) struct Prompt {
    editor: Editor<Mask, MemHistory>,
}

impl Prompt {
    /// # Errors
    /// The terminal cannot be used.
    pub(super) fn new() -> Result<Self, Error> {
        let config = Config::builder().auto_add_history(false).build();
        let mut editor = Editor::with_history(config, MemHistory::new())
            .map_err(|error| Error::invalid(format!("this terminal cannot be used: {error}")))?;
        editor.set_helper(Some(Mask::default()));
        Ok(Self { editor })
    }

    /// A line without the white space around it; it may be empty.
    ///
    /// # Errors
    /// The person ended it.
    pub(super) fn line(&mut self, question: &str) -> Result<String, Error> {
        let typed = self.editor.readline(question).map_err(|_| ended())?;
        Ok(typed.trim().to_owned())
    }

    /// The same, without showing what is typed.
    ///
    /// # Errors
    /// The person ended it.
    pub(super) fn secret(&mut self, question: &str) -> Result<String, Error> {
        self.mask(true);
        let typed = self.line(question);
        self.mask(false);
        typed
    }

    /// Whether the answer is yes. Anything else is no.
    ///
    /// # Errors
    /// The person ended it.
    pub(super) fn is_yes(&mut self, question: &str) -> Result<bool, Error> {
        let typed = self.line(&format!("{question} [y/N] "))?;
        Ok(typed.eq_ignore_ascii_case("y") || typed.eq_ignore_ascii_case("yes"))
    }

    fn mask(&self, is_on: bool) {
        if let Some(mask) = self.editor.helper() {
            mask.is_on.set(is_on);
        }
    }
}

fn ended() -> Error {
    Error::new(Code::NotConfigured, "setup was ended before it was complete")
        .hint("run convo setup again")
}

/// Shows an asterisk in place of each character of a secret.
#[derive(Default)]
struct Mask {
    is_on: Cell<bool>,
}

impl Highlighter for Mask {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        match self.is_on.get() {
            true => Cow::Owned("*".repeat(line.chars().count())),
            false => Cow::Borrowed(line),
        }
    }

    /// Whether the line has to be drawn as a whole.
    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        self.is_on.get()
    }
}

impl Hinter for Mask {
    type Hint = String;
}

impl Completer for Mask {
    type Candidate = String;
}

impl Validator for Mask {}
impl Helper for Mask {}
