//! The program itself, as a process that can be killed.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc;

use crate::bench::{CONTACT, OWN};
use crate::support::{TestDatabase, listening};
use crate::telnyx::PATIENCE;

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    pub exit: Option<i32>,
    pub out: String,
    pub err: String,
}

/// A running command.
pub struct Program(Option<Child>);

impl Program {
    /// Starts `convo` with these words on a database and a stand-in.
    pub fn start(db: &TestDatabase, telnyx: &str, words: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_convo"));
        command
            .args(words)
            .env_clear()
            .current_dir(db.dir.path())
            .env("DATABASE_URL", &db.url)
            .env("TELNYX_BASE_URL", telnyx)
            .env("TELNYX_API_KEY", "KEY")
            .env("TELNYX_PHONE_NUMBER", OWN)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self(Some(command.spawn().expect("the program starts")))
    }

    /// Starts a send to the contact.
    pub fn send(db: &TestDatabase, telnyx: &str, text: &str, key: Option<&str>) -> Self {
        let mut words = vec!["send", CONTACT, text];
        words.extend(key.iter().flat_map(|key| ["--idempotency-key", key]));
        Self::start(db, telnyx, &words)
    }

    /// Runs a command to its end.
    pub async fn run(db: &TestDatabase, telnyx: &str, words: &[&str]) -> Ended {
        Self::start(db, telnyx, words).ended().await
    }

    /// SIGKILL: it gets to do nothing more.
    pub fn kill(self) {
        drop(self);
    }

    /// Whether it has set a handler for Ctrl-C.
    pub fn heeds_interrupts(&self) -> bool {
        let id = self.0.as_ref().expect("it runs").id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.expect("a mask").trim(), 16).expect("a mask");
        caught & (1 << (Signal::INT.as_raw() - 1)) != 0
    }

    pub fn signal(&self, signal: Signal) {
        let id = self.0.as_ref().expect("it runs").id();
        let id = Pid::from_raw(id.cast_signed()).expect("an id");
        kill_process(id, signal).expect("signalled");
    }

    pub async fn ended(mut self) -> Ended {
        let child = self.0.take().expect("it runs");
        let output = tokio::task::spawn_blocking(move || child.wait_with_output());
        let output = tokio::time::timeout(PATIENCE, output).await.expect("it ends in time");
        let output = output.expect("no panic").expect("its output");
        Ended {
            exit: output.status.code(),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// The address that a server says it listens on.
    pub async fn address(&mut self) -> SocketAddr {
        let child = self.0.as_mut().expect("it runs");
        let talk = BufReader::new(child.stderr.take().expect("piped"));
        let (found, mut address) = mpsc::unbounded_channel();
        // To the end: what it says must not fill the pipe.
        std::thread::spawn(move || {
            for line in talk.lines().map_while(Result::ok) {
                let _ = listening(&line).map(|address| found.send(address));
            }
        });
        let said = tokio::time::timeout(PATIENCE, address.recv()).await.expect("in time");
        said.expect("it listens")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Polls until something asked of the database holds.
pub async fn eventually(holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "waited too long");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
