//! One run of a command: its input, its output, its time, its end.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::config::{VARIABLES, Variable, Visibility};
use crate::error::{Code, Error};

/// The most that is read of a command's answer; no text is nearly as long.
const MAX_OUTPUT: u64 = 64 * 1024;

/// A command with its arguments.
#[derive(Clone, Debug)]
pub(in super::super) struct Program {
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
}

/// How a run failed, as a person reads it.
#[derive(Debug)]
pub(super) struct CommandFailure(pub(super) String);

/// A running command. Dropped before it has ended, it is killed with everything it started.
struct Running {
    child: Child,
    group: Option<Pid>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Program {
    fn not_started(&self, error: &std::io::Error) -> Error {
        Error::new(Code::InvalidRequest, format!("cannot run {}: {error}", self.name))
            .hint("give the path of a program that you may execute")
    }

    /// Runs the command once. With `captures`, returns what it prints, otherwise that goes to standard
    /// output.
    ///
    /// # Errors
    /// The outer one if it cannot be started, the inner one if it failed.
    pub(super) async fn run(
        &self,
        input: &[u8],
        variables: &[(&'static str, Option<String>)],
        captures: bool,
        timeout: Duration,
    ) -> Result<Result<Vec<u8>, CommandFailure>, Error> {
        let mut command = Command::new(&self.name);
        command
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(if captures { Stdio::piped() } else { Stdio::inherit() })
            .process_group(0);
        for name in secrets() {
            command.env_remove(name);
        }
        for (name, value) in variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let child = command.spawn().map_err(|error| self.not_started(&error))?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let running = Running { child, group };
        let ended = tokio::time::timeout(timeout, running.end(input)).await;
        Ok(ended.unwrap_or_else(|_| {
            Err(CommandFailure(format!(
                "took longer than {} s and was killed",
                timeout.as_secs_f32()
            )))
        }))
    }
}

impl Running {
    /// Waits for the end of the command, and of what it prints.
    async fn end(mut self, input: &[u8]) -> Result<Vec<u8>, CommandFailure> {
        let (stdin, stdout) = (self.child.stdin.take(), self.child.stdout.take());
        let ((), output) = tokio::join!(write(stdin, input), read(stdout));
        let status = self.child.wait().await.map_err(|error| CommandFailure(error.to_string()))?;
        let output =
            output.map_err(|error| CommandFailure(format!("could not be read: {error}")))?;
        // What it left running on purpose goes on.
        self.group = None;
        if !status.success() {
            return Err(CommandFailure(describe(status)));
        }
        if output.len() as u64 > MAX_OUTPUT {
            return Err(CommandFailure(format!("printed more than {} KiB", MAX_OUTPUT / 1024)));
        }
        Ok(output)
    }
}

/// A command need not read its input.
async fn write(stdin: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(input).await;
    }
}

/// Reads to the end, so that the command does not stop at a full pipe, and keeps as much as is needed.
async fn read(stdout: Option<ChildStdout>) -> std::io::Result<Vec<u8>> {
    let mut output = Vec::new();
    let Some(mut stdout) = stdout else { return Ok(output) };
    (&mut stdout).take(MAX_OUTPUT + 1).read_to_end(&mut output).await?;
    tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await?;
    Ok(output)
}

/// The variables that hold secrets of convo, or a URL with a password.
fn secrets() -> impl Iterator<Item = &'static str> {
    let is_hidden =
        |variable: &&Variable| variable.is_secret && variable.visibility != Visibility::Public;
    VARIABLES.iter().filter(is_hidden).map(|variable| variable.name)
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("failed with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "failed".to_owned(),
    }
}
