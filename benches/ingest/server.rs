//! The servers, each a process of its own.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two questions whether it has started.
const POLL: Duration = Duration::from_millis(20);
/// Clock ticks in a second, in which Linux counts processor time.
const TICKS: u64 = 100;

/// A running server.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
}

impl Process {
    /// The server that stores nothing: this program, run again.
    pub fn storeless(public_key: &str) -> Self {
        let program = env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args(["storeless", public_key])
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("its address");
        Self { child, address: line.trim().parse().expect("an address") }
    }

    /// `convo serve` on a database, with its log at `info` going nowhere.
    pub fn convo(database: &str, public_key: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let child = Command::new(env!("CARGO_BIN_EXE_convo"))
            .arg("serve")
            .env_clear()
            .env("DATABASE_URL", database)
            .env("TELNYX_PUBLIC_KEY", public_key)
            .env("CONVO_LISTEN", address.to_string())
            .env("CONVO_LOG", "info")
            .current_dir(env::temp_dir())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let begun = Instant::now();
        while !has_schema(address) {
            assert!(begun.elapsed() < PATIENCE, "convo serve does not open its database");
            thread::sleep(POLL);
        }
        Self { child, address }
    }

    /// The processor time that the process has used.
    pub fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("Linux");
        // The name in parentheses may hold spaces; user and system time are fields 14 and 15.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks: u64 =
            fields.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 1_000 / TICKS)
    }

    /// Ends it as an operator would, so that its database is closed.
    pub fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("a running server");
        self.child.wait().expect("it ends");
    }
}

/// Whether a server has opened its database.
fn has_schema(address: SocketAddr) -> bool {
    let Ok(mut connection) = TcpStream::connect(address) else { return false };
    let request = "GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    connection.write_all(request.as_bytes()).is_ok()
        && connection.read_to_string(&mut answer).is_ok()
        && answer.contains(r#"{"name":"schema","ok":true}"#)
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
