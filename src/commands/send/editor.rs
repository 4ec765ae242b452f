//! `convo send --edit`: writing the text in an editor.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use uuid::Uuid;

use super::input;
use crate::error::{Code, Error};

/// The editor where neither `VISUAL` nor `EDITOR` names one.
const DEFAULT_EDITOR: &str = "vi";

/// A text that was written in an editor, and the file that holds it until it is sent.
#[derive(Debug)]
pub(super) struct EditedText {
    pub text: String,
    path: PathBuf,
}

impl EditedText {
    /// Opens an editor on a draft, and reads the text when it is closed.
    ///
    /// # Errors
    /// `not_configured` if the editor cannot be started; `invalid_request` if it failed, or the file
    /// is not a text.
    pub(super) fn write(editor: Option<&str>, draft: &str) -> Result<Self, Error> {
        let path = std::env::temp_dir().join(format!("convo-{}.txt", Uuid::new_v4().simple()));
        create(&path, draft).and_then(|()| run(editor, &path)).inspect_err(|_| {
            let _ = fs::remove_file(&path);
        })?;
        let file = File::open(&path).map_err(|error| unusable(&path, &error))?;
        match input::read(file, "the file of the editor") {
            Ok(text) => Ok(Self { text, path }),
            Err(error) => Err(error.hint(format!("the text is kept in {}", path.display()))),
        }
    }

    /// Deletes the file, unless the text was not sent: then nobody should have to write it again.
    /// Returns where it is kept.
    pub(super) fn close(self, is_sent: bool) -> Option<PathBuf> {
        let is_kept = !is_sent && !crate::domain::text::is_blank(&self.text);
        if is_kept {
            return Some(self.path);
        }
        let _ = fs::remove_file(&self.path);
        None
    }
}

/// Makes a file that nobody else can read, with a line of its own for the draft.
fn create(path: &Path, draft: &str) -> Result<(), Error> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let end = if draft.is_empty() { "" } else { "\n" };
    let written = file.and_then(|mut file| write!(file, "{draft}{end}"));
    written.map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &std::io::Error) -> Error {
    let what = format!("{} cannot be used for the text: {error}", path.display());
    Error::new(Code::Internal, what)
}

fn run(editor: Option<&str>, path: &Path) -> Result<(), Error> {
    let editor = editor.unwrap_or(DEFAULT_EDITOR);
    let cannot_start = |why: &str| {
        Error::new(Code::NotConfigured, format!("the editor '{editor}' cannot be started: {why}"))
            .hint("set VISUAL or EDITOR to an editor")
    };
    let words = shlex::split(editor).filter(|words| !words.is_empty());
    let words = words.ok_or_else(|| cannot_start("it is not a command"))?;
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg(path);
    // Also where the output of convo is captured, as in id=$(convo send TO --edit).
    if let Ok(terminal) = OpenOptions::new().read(true).write(true).open("/dev/tty")
        && let Ok(again) = terminal.try_clone()
    {
        command.stdin(Stdio::from(terminal)).stdout(Stdio::from(again));
    }
    let status = command.status().map_err(|error| cannot_start(&error.to_string()))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::invalid(format!("the editor '{editor}' failed ({status}); nothing was sent")))
}
