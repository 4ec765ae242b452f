//! One run of the program in a directory and an environment of its own.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use url::Url;

use super::{OWN, Signer, TestDatabase, process, wait_for};

/// The program under test.
const CONVO: &str = env!("CARGO_BIN_EXE_convo");

/// A user's directory and variables. Nothing of the environment of the tests gets in.
pub struct Home {
    dir: TempDir,
    variables: Vec<(String, String)>,
}

impl Home {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory"), variables: Vec::new() }
    }

    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// The variable that names a database.
    pub fn with_database(self, db: &TestDatabase) -> Self {
        self.set("DATABASE_URL", &db.url)
    }

    /// The variables that a send needs, with Telnyx at this address.
    pub fn sending_to(self, base_url: &str) -> Self {
        self.set("TELNYX_API_KEY", "KEY")
            .set("TELNYX_PHONE_NUMBER", OWN)
            .set("TELNYX_BASE_URL", base_url)
    }

    /// The variable by which a server accepts a signer's webhooks.
    pub fn accepting(self, signer: &Signer) -> Self {
        self.set("TELNYX_PUBLIC_KEY", signer.public_key())
    }

    /// Another user with the same variables but one.
    pub fn without(&self, name: &str) -> Self {
        let kept = self.variables.iter().filter(|(kept, _)| kept != name);
        Self { variables: kept.cloned().collect(), ..Self::new() }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(&path, text).expect("written");
        path
    }

    /// The names of all files, sorted.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path()).expect("a directory");
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.expect("an entry").file_name().into_string().expect("UTF-8")
        };
        let mut names: Vec<_> = entries.map(name).collect();
        names.sort();
        names
    }

    /// The program with some arguments; nothing runs yet.
    pub fn command<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Command {
        let mut command = self.bare(CONVO);
        command.args(args);
        command
    }

    /// A shell that finds the program by its name.
    pub fn shell(&self, script: &str) -> Command {
        let mut command = self.bare("bash");
        command.args(["-c", script]);
        command
    }

    fn bare(&self, program: &str) -> Command {
        let here = Path::new(CONVO).parent().expect("a directory").display();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", format!("{here}:{path}"))
            .env("HOME", self.path())
            // No balancer is there to notice that a server stops.
            .env("CONVO_DRAIN", "0")
            // A simulated Telnyx counts what it is asked.
            .env("CONVO_SYNC", "off")
            // No test follows a link out of this machine.
            .env("CONVO_MEDIA", "off")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end, with nothing on standard input.
    #[track_caller]
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Done {
        Running::start(self.command(args), None).wait()
    }

    /// Runs the program to its end with further variables.
    #[track_caller]
    pub fn run_with<S: AsRef<std::ffi::OsStr>>(
        &self,
        variables: &[(&str, &str)],
        args: &[S],
    ) -> Done {
        let mut command = self.command(args);
        command.envs(variables.iter().copied());
        Running::start(command, None).wait()
    }

    /// Runs the program to its end, with a text on standard input.
    #[track_caller]
    pub fn pipe<S: AsRef<std::ffi::OsStr>>(&self, stdin: impl AsRef<[u8]>, args: &[S]) -> Done {
        Running::start(self.command(args), Some(stdin.as_ref())).wait()
    }

    /// Starts the program and leaves it running.
    #[track_caller]
    pub fn start<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Running {
        Running::start(self.command(args), None)
    }

    /// `convo copy`.
    pub fn copy_command(&self, args: &[&str]) -> Command {
        self.command_without_password(&[&["copy"], args].concat())
    }

    /// A command that refuses passwords among its arguments: they go into the environment.
    pub fn command_without_password(&self, args: &[&str]) -> Command {
        let mut command = self.command::<&str>(&[]);
        for arg in args {
            match Url::parse(arg).ok().filter(|url| url.password().is_some()) {
                Some(mut url) => {
                    command.env("PGPASSWORD", url.password().unwrap_or_default());
                    url.set_password(None).expect("a server's URL");
                    command.arg(url.as_str());
                }
                None => {
                    command.arg(arg);
                }
            }
        }
        command
    }

    /// Runs `convo copy` to its end.
    #[track_caller]
    pub fn copy(&self, args: &[&str]) -> Done {
        Running::start(self.copy_command(args), None).wait()
    }

    /// Runs a script to its end.
    #[track_caller]
    pub fn script(&self, script: &str) -> Done {
        Running::start(self.shell(script), None).wait()
    }
}

/// A program that runs; it is killed when this is dropped. Its output goes to files, so that it
/// never waits for a reader.
pub struct Running {
    child: Child,
    shown: String,
    out: File,
    err: File,
}

impl Running {
    #[track_caller]
    pub fn start(mut command: Command, stdin: Option<&[u8]>) -> Self {
        let (out, err) = (file(), file());
        command.stdout(same(&out)).stderr(same(&err));
        Self::spawn(command, stdin, out, err)
    }

    /// Starts a command whose standard output goes elsewhere.
    #[track_caller]
    pub fn start_with_output(mut command: Command) -> Self {
        let err = file();
        command.stderr(same(&err));
        Self::spawn(command, None, file(), err)
    }

    /// Starts a command both of whose outputs go elsewhere.
    #[track_caller]
    pub fn silent(command: Command) -> Self {
        Self::spawn(command, None, file(), file())
    }

    #[track_caller]
    fn spawn(mut command: Command, stdin: Option<&[u8]>, out: File, err: File) -> Self {
        if stdin.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().expect("the program starts");
        if let (Some(text), Some(mut pipe)) = (stdin, child.stdin.take()) {
            // A program may end without having read everything; how it ends is checked elsewhere.
            let _ = pipe.write_all(text);
        }
        Self { child, shown: format!("{command:?}"), out, err }
    }

    /// Waits for the end.
    #[track_caller]
    pub fn wait(mut self) -> Done {
        let status = wait_for(&format!("the end of {}", self.shown), || {
            self.child.try_wait().expect("a child")
        });
        let code = status.code().unwrap_or_else(|| -status.signal().unwrap_or_default());
        let shown = std::mem::take(&mut self.shown);
        Done { code, out: text(&mut self.out), err: text(&mut self.err), shown }
    }

    /// What it has written to standard error so far.
    pub fn err_so_far(&self) -> String {
        let length = self.err.metadata().expect("a file").len();
        let mut bytes = vec![0; length.try_into().expect("a short text")];
        // The process writes at the same position of the same file, which reading must not move.
        self.err.read_exact_at(&mut bytes, 0).expect("read");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn signal(&self, signal: Signal) {
        process::signal(&self.child, signal);
    }

    /// Waits until it has acted on the signals that it was sent.
    pub fn wait_until_idle(&self) {
        process::wait_until_idle(&self.child);
    }

    /// Ends it at once: it gets to do nothing more.
    pub fn kill(self) {
        drop(self);
    }

    /// Whether it has set a handler for a signal.
    pub fn handles(&self, signal: Signal) -> bool {
        process::handles(&self.child, signal)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn file() -> File {
    tempfile::tempfile().expect("a temporary file")
}

fn same(file: &File) -> File {
    file.try_clone().expect("the same file again")
}

fn text(file: &mut File) -> String {
    use std::io::{Read, Seek};
    let mut bytes = Vec::new();
    file.rewind().expect("the beginning");
    file.read_to_end(&mut bytes).expect("read");
    String::from_utf8(bytes).expect("the output is UTF-8")
}

/// A run that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The exit code; of a run that a signal ended, the signal's negative number.
    pub code: i32,
    pub out: String,
    pub err: String,
    shown: String,
}

impl Done {
    /// Asserts how it ended.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        let Self { out, err, shown, .. } = &self;
        assert_eq!(self.code, code, "{shown}\nstdout: {out}\nstderr: {err}");
        self
    }

    /// Asserts that all is well and nothing was said.
    #[track_caller]
    pub fn silent(self) -> Self {
        let done = self.exits(0);
        assert_eq!(done.err, "", "{}", done.shown);
        done
    }

    /// The one line on standard output.
    #[track_caller]
    pub fn line(&self) -> &str {
        let line = self.out.strip_suffix('\n').unwrap_or_default();
        assert!(!line.is_empty() && !line.contains('\n'), "{}: {:?}", self.shown, self.out);
        line
    }

    /// The id on standard output.
    #[track_caller]
    pub fn id(&self) -> &str {
        assert!(super::is_id(self.line()), "{}: {:?}", self.shown, self.out);
        self.line()
    }

    /// Asserts that the failure is told as it should be: what, and perhaps what to do. A server may
    /// have logged something before.
    #[track_caller]
    pub fn reports(self, what: &str) -> Self {
        let is_log = |line: &&str| line.starts_with(r#"{"timestamp":"#);
        let lines: Vec<_> = self.err.lines().skip_while(is_log).collect();
        let shape = match lines.as_slice() {
            [told] => told.starts_with("convo: "),
            [told, hint] => told.starts_with("convo: ") && hint.starts_with("hint: "),
            _ => false,
        };
        assert!(shape && self.err.contains(what), "{}\nstderr: {}", self.shown, self.err);
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    /// Standard error as the one JSON object it is for programs.
    #[track_caller]
    pub fn error(&self) -> Value {
        serde_json::from_str(&self.err).unwrap_or_else(|error| panic!("{error}: {}", self.err))
    }

    /// The same without the option by which the commands in hints ask the same server.
    pub fn without_server(mut self, url: &str) -> Self {
        for text in [&mut self.out, &mut self.err] {
            *text = text.replace(&format!("convo --server {url} "), "convo ");
        }
        self
    }

    /// What two runs must have in common: the code and both outputs.
    pub fn bytes(&self) -> (i32, &str, &str) {
        (self.code, &self.out, &self.err)
    }
}
