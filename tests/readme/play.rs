//! The sandbox server of the README, and the other terminal.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for what takes a second or two.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// Where every machine has bash and curl.
const SYSTEM: &str = "/usr/local/bin:/usr/bin:/bin";
/// curl tells the status of each answer on standard error, one a line.
const CURLRC: &str =
    "silent\nshow-error\nmax-time = 60\nwrite-out = \"%{stderr}%{http_code}\\n\"\n";

/// A server in a directory of its own, stopped on drop.
pub struct Play {
    /// Where the server runs.
    pub dir: TempDir,
    home: TempDir,
    server: Child,
    /// Read no further than the banner, but kept open.
    _out: BufReader<ChildStdout>,
    banner: Vec<String>,
}

/// What a script wrote.
pub struct Wrote {
    pub out: String,
    pub err: String,
}

impl Play {
    /// Starts a server by the README's command, on a free port, and waits for its `/health`.
    pub fn start(command: &str) -> Self {
        let [dir, home] = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
        std::fs::write(home.path().join(".curlrc"), CURLRC).expect("curl's settings");
        let program = Path::new(env!("CARGO_BIN_EXE_convo")).parent().expect("a directory");
        let script = command.replace("cargo run --release --", "convo");
        let mut server = bash(&script, dir.path(), home.path())
            .env("PATH", format!("{}:{SYSTEM}", program.display()))
            .env("CONVO_LISTEN", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(home.path().join("log")).expect("a log"))
            .process_group(0)
            .spawn()
            .expect("bash runs");
        let mut out = BufReader::new(server.stdout.take().expect("a pipe"));
        let banner = banner(&mut out);
        let play = Self { dir, home, server, _out: out, banner };
        play.until(|| (play.request("GET", "/health").0 == 200).then_some(()));
        play
    }

    /// The lines of the banner that are for pasting after this one, up to the empty line.
    pub fn pasted(&self, after: &str) -> Vec<&str> {
        let lines = self.banner.iter().skip_while(|line| *line != after).skip(1);
        lines.map_while(|line| line.strip_prefix("    ")).collect()
    }

    /// The port that the server found.
    fn port(&self) -> &str {
        let told =
            self.banner.iter().find_map(|line| line.trim().strip_prefix("export CONVO_SERVER="));
        told.and_then(|url| url.rsplit_once(':')).expect("the banner tells the address").1
    }

    /// A script as a person would run it, in a new terminal somewhere else, where convo is not
    /// installed. Only the port is another than the script says.
    pub fn terminal(&self, script: &str) -> Wrote {
        let mut script = script.to_owned();
        for host in ["localhost", "127.0.0.1"] {
            script = script.replace(&format!("{host}:5000"), &format!("{host}:{}", self.port()));
        }
        let ran = bash(&script, self.home.path(), self.home.path()).output().expect("bash runs");
        let wrote = wrote(&ran);
        assert!(ran.status.success(), "{script}\n{}{}{}", ran.status, wrote.out, wrote.err);
        wrote
    }

    /// The status and the JSON of an answer; status 0 when there is none. A `POST` carries an empty
    /// object.
    pub fn request(&self, method: &str, path: &str) -> (u16, Value) {
        let post = "-H 'Content-Type: application/json' -d '{}'";
        let data = if method == "POST" { post } else { "" };
        let script = format!("curl -X {method} {data} 'http://127.0.0.1:{}{path}'", self.port());
        let wrote =
            wrote(&bash(&script, self.home.path(), self.home.path()).output().expect("bash"));
        let status = wrote.err.lines().last().and_then(|line| line.parse().ok());
        (status.unwrap_or_default(), serde_json::from_str(&wrote.out).unwrap_or_default())
    }

    /// Asks again and again until there is something.
    pub fn until<T>(&self, ask: impl Fn() -> Option<T>) -> T {
        let since = Instant::now();
        loop {
            if let Some(found) = ask() {
                return found;
            }
            assert!(since.elapsed() < DEADLINE, "it did not come about; {:?}", self.banner);
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Play {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.server), Signal::TERM);
        let ended = self.server.wait();
        if !thread::panicking() {
            assert!(ended.expect("it ended").success(), "SIGTERM ends a server well");
        } else if let Ok(log) = std::fs::read_to_string(self.home.path().join("log")) {
            let _ = std::io::stderr().write_all(log.as_bytes());
        }
    }
}

/// bash in a directory, stopping at the first failure, with nothing of this environment.
fn bash(script: &str, dir: &Path, home: &Path) -> Command {
    let mut bash = Command::new("bash");
    bash.args(["-e", "-o", "pipefail", "-c", script]).current_dir(dir).stdin(Stdio::null());
    bash.env_clear().env("PATH", SYSTEM).env("HOME", home);
    bash
}

fn banner(out: &mut impl BufRead) -> Vec<String> {
    let lines = out.lines().map(|line| line.expect("text"));
    let banner: Vec<_> =
        lines.take_while(|line| line != "Numbers with special behaviour:").collect();
    assert!(!banner.is_empty(), "the server did not start");
    banner
}

fn wrote(ran: &Output) -> Wrote {
    let [out, err] = [&ran.stdout, &ran.stderr].map(|bytes| String::from_utf8_lossy(bytes).into());
    Wrote { out, err }
}
