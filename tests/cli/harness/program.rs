//! One run of the program in a directory and an environment of its own.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::DEADLINE;

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

    #[allow(clippy::disallowed_methods, reason = "where this machine's programs are")]
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

    /// Runs a script to its end.
    #[track_caller]
    pub fn script(&self, script: &str) -> Done {
        Running::start(self.shell(script), None).wait()
    }
}

/// A program that runs. Its output goes to files, so that it never waits for a reader.
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
            // A program that ends without reading is judged by how it ends.
            let _ = pipe.write_all(text);
        }
        Self { child, shown: format!("{command:?}"), out, err }
    }

    /// Waits for the end.
    #[track_caller]
    pub fn wait(mut self) -> Done {
        let since = std::time::Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            if since.elapsed() > DEADLINE * 2 {
                let _ = self.child.kill();
                panic!("it does not end: {}", self.shown);
            }
            std::thread::sleep(std::time::Duration::from_millis(3));
        };
        let code = status.code().unwrap_or_else(|| -status.signal().unwrap_or_default());
        Done { code, out: text(&mut self.out), err: text(&mut self.err), shown: self.shown }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        let pid = rustix::process::Pid::from_raw(pid).expect("a process id");
        rustix::process::kill_process(pid, signal).expect("signalled");
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
    pub fn tells(self, what: &str) -> Self {
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

    /// What two runs must have in common: the code and both outputs.
    pub fn bytes(&self) -> (i32, &str, &str) {
        (self.code, &self.out, &self.err)
    }
}
