//! `convo serve` as a process of its own, and requests to it.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::process::Signal;

use super::http::{Answer, raw, request};
use super::{Home, process, wait_for, wait_until};

/// A running server; it is killed when this is dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    log: Lines,
    out: Lines,
}

impl Server {
    /// Starts `convo serve` on a free port.
    #[track_caller]
    pub fn start(home: &Home) -> Self {
        Self::start_with(home, &["serve", "--listen", "127.0.0.1:0"])
    }

    /// Starts the program with arguments that make it listen.
    #[track_caller]
    pub fn start_with(home: &Home, args: &[&str]) -> Self {
        Self::from_command(home.command(args))
    }

    #[track_caller]
    pub fn from_command(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let log = Lines::collect(child.stderr.take().expect("a pipe"));
        let out = Lines::collect(child.stdout.take().expect("a pipe"));
        let address = wait_for("the server to listen", || {
            let so_far = log.text();
            let ended = child.try_wait().expect("a child");
            assert!(ended.is_none(), "the server ended: {ended:?}\n{so_far}");
            listening(&so_far)
        });
        Self { child, address, log, out }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// What it has written to standard output so far.
    pub fn out(&self) -> String {
        self.out.text()
    }

    /// Waits until something is in the log, which may come a little after an answer.
    #[track_caller]
    pub fn wait_for_log(&self, what: &str) {
        wait_until(what, || self.log().contains(what));
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How much memory it occupies, in KiB.
    pub fn resident_memory(&self) -> u64 {
        let size =
            process::status_field(&self.id().to_string(), "VmRSS").expect("a running process");
        size.trim_end_matches(" kB").parse().expect("a number")
    }

    /// How many files and connections it has open.
    pub fn open_files(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.id()));
        open.expect("a running process").count()
    }

    pub fn signal(&self, signal: Signal) {
        process::signal(&self.child, signal);
    }

    /// Ends it at once, as a power cut would; all that it had logged.
    pub fn kill(mut self) -> String {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
        self.log.read_to_end()
    }

    /// Asks it to stop and waits for its exit code.
    #[track_caller]
    pub fn stop(mut self) -> i32 {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits for its exit code.
    #[track_caller]
    pub fn wait(&mut self) -> i32 {
        let status = wait_for("the server to stop", || self.child.try_wait().expect("a child"));
        status.code().unwrap_or(-1)
    }

    /// Writes a request as it is and reads until the server closes the connection.
    pub async fn raw(&self, request: impl AsRef<[u8]>) -> Answer {
        raw(self.address, request).await
    }

    /// A request of any method, with further header lines.
    pub async fn ask(&self, method: &str, path: &str, lines: &str, body: &str) -> Answer {
        self.raw(request(method, path, lines, body)).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "", "").await
    }

    /// A GET with further header lines.
    pub async fn get_with(&self, path: &str, lines: &str) -> Answer {
        self.ask("GET", path, lines, "").await
    }

    /// Posts JSON with further header lines.
    pub async fn post(&self, path: &str, lines: &str, body: &str) -> Answer {
        self.ask("POST", path, lines, body).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the server ---\n{}", self.log());
        }
    }
}

/// What a process writes, read as it comes, so that the pipe is never full.
struct Lines {
    text: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
}

impl Lines {
    fn collect(pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let filled = Arc::clone(&text);
        let reading = std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let mut filled = filled.lock().expect("no panic");
                filled.push_str(&line);
                filled.push('\n');
            }
        });
        Self { text, reading: Some(reading) }
    }

    fn text(&self) -> String {
        self.text.lock().expect("no panic").clone()
    }

    /// Waits for the end of the pipe.
    fn read_to_end(&mut self) -> String {
        let reading = self.reading.take().expect("only once");
        reading.join().expect("no panic");
        self.text()
    }
}

/// The address in the log line that says where the server listens, as text or as JSON.
fn listening(log: &str) -> Option<SocketAddr> {
    let line =
        log.lines().find(|line| line.contains("convo::server") && line.contains("listening"));
    let rest = line?.split("address").nth(1)?.trim_start_matches(['=', '"', ':', ' ']);
    let of_an_address = |c: &char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '[' | ']');
    rest.chars().take_while(of_an_address).collect::<String>().parse().ok()
}
