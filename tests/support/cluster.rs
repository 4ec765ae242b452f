//! A PostgreSQL cluster that a test may kill.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for a cluster to come up again after a crash.
const PATIENCE: Duration = Duration::from_secs(60);

/// A throwaway cluster, killed and removed on drop.
pub struct Cluster {
    dir: tempfile::TempDir,
    bin: PathBuf,
    owner: String,
    port: u16,
}

impl Cluster {
    /// Makes and starts a cluster. `scripts/test` tells where PostgreSQL's programs are and which
    /// user may run them.
    pub fn start() -> Self {
        let told =
            |name| std::env::var(name).unwrap_or_else(|_| panic!("{name}: run scripts/test"));
        let bin = PathBuf::from(told("CONVO_TEST_POSTGRES_BIN"));
        let dir = tempfile::tempdir().expect("a temporary directory");
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        let cluster = Self { dir, bin, owner: told("CONVO_TEST_POSTGRES_OWNER"), port };
        drop(free);
        if !cluster.owner.is_empty() {
            let status = Command::new("chown").arg(&cluster.owner).arg(cluster.path()).status();
            assert!(status.expect("chown runs").success());
        }
        let data = cluster.data();
        assert!(cluster.run("initdb", &["-D", &data, "-U", "convo", "-A", "trust", "--no-sync"]));
        cluster.restart();
        cluster
    }

    /// The URL of its first database.
    pub fn url(&self) -> String {
        format!("postgres://convo@127.0.0.1:{}/postgres", self.port)
    }

    /// Kills it as a power cut would, as far as its processes can tell.
    pub fn kill(&self) {
        let file = std::fs::read_to_string(self.path().join("data/postmaster.pid"));
        let file = file.expect("a running cluster has a pid file");
        let pid: i32 = file.lines().next().and_then(|pid| pid.parse().ok()).expect("a pid");
        let pid = rustix::process::Pid::from_raw(pid).expect("a process");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
    }

    /// Starts it, also after a kill: its other processes may need a moment to notice.
    pub fn restart(&self) {
        let since = Instant::now();
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=on",
            self.port
        );
        let (data, log) = (self.data(), self.path().join("log").display().to_string());
        while !self.run("pg_ctl", &["start", "-w", "-s", "-D", &data, "-l", &log, "-o", &options]) {
            assert!(since.elapsed() < PATIENCE, "the cluster does not start");
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn data(&self) -> String {
        self.path().join("data").display().to_string()
    }

    fn run(&self, program: &str, args: &[&str]) -> bool {
        let program = self.bin.join(program);
        let mut command = if self.owner.is_empty() {
            Command::new(program)
        } else {
            let mut command = Command::new("runuser");
            command.args(["-u", &self.owner, "--"]).arg(program);
            command
        };
        command.args(args).current_dir(self.path()).env("LC_ALL", "C");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().expect("PostgreSQL's programs run").success()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.data();
        self.run("pg_ctl", &["stop", "-s", "-m", "immediate", "-D", &data]);
    }
}
