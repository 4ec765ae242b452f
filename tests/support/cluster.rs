//! A PostgreSQL cluster that a test may kill, replicate and promote.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{free_port, variable, wait_until};

/// A throwaway cluster, killed and removed on drop.
pub struct Cluster {
    dir: tempfile::TempDir,
    owner: Owner,
    port: u16,
}

impl Cluster {
    /// Makes and starts a cluster. `scripts/with-servers` tells where PostgreSQL's programs are and which
    /// user may run them.
    pub fn start() -> Self {
        Self::with(|_| String::new())
    }

    /// A cluster with further lines in its `postgresql.conf`, which may name files that are put
    /// into its directory.
    pub fn with(settings: impl FnOnce(&Cluster) -> String) -> Self {
        let cluster = Self::empty();
        let data = cluster.data();
        assert!(cluster.run(
            "initdb",
            &["-D", &data, "-U", "convo", "-A", "trust", "-E", "UTF8", "--no-sync"]
        ));
        let settings = settings(&cluster);
        let conf = cluster.path().join("data/postgresql.conf");
        let text = std::fs::read_to_string(&conf).expect("the settings are there");
        std::fs::write(&conf, text + &settings).expect("written");
        cluster.restart();
        cluster
    }

    fn empty() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let cluster = Self { dir, owner: Owner::from_environment(), port: free_port() };
        cluster.owner.own(cluster.path());
        cluster
    }

    /// A streaming replica of this cluster, running.
    pub fn standby(&self) -> Self {
        let standby = Self::empty();
        let (data, port) = (standby.data(), self.port.to_string());
        let from = ["-h", "127.0.0.1", "-p", &port, "-U", "convo", "--no-sync", "-c", "fast"];
        assert!(standby.run("pg_basebackup", &[&from[..], &["-R", "-D", &data]].concat()));
        standby.restart();
        standby
    }

    /// Makes a standby the primary.
    pub fn promote(&self) {
        assert!(self.run("pg_ctl", &["promote", "-w", "-s", "-D", &self.data()]));
    }

    /// Stops it: `fast` or `immediate`.
    pub fn stop(&self, mode: &str) {
        assert!(self.run("pg_ctl", &["stop", "-w", "-s", "-m", mode, "-D", &self.data()]));
    }

    /// Reads its settings anew.
    pub fn reload(&self) {
        assert!(self.run("pg_ctl", &["reload", "-s", "-D", &self.data()]));
    }

    /// The URL of its first database.
    pub fn url(&self) -> String {
        format!("postgres://convo@127.0.0.1:{}/postgres", self.port)
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Puts a file into its directory that only it may read.
    pub fn put(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("written");
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, private).expect("private");
        self.owner.own(&path);
        path
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
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=on",
            self.port
        );
        let (data, log) = (self.data(), self.path().join("log").display().to_string());
        wait_until("the cluster to start", || {
            self.run("pg_ctl", &["start", "-w", "-s", "-D", &data, "-l", &log, "-o", &options])
        });
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn data(&self) -> String {
        self.path().join("data").display().to_string()
    }

    fn run(&self, program: &str, args: &[&str]) -> bool {
        let program = PathBuf::from(variable("CONVO_TEST_POSTGRES_BIN")).join(program);
        let mut command = self.owner.command(&program);
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

/// The user that runs servers which refuse to be root; empty for this one.
pub struct Owner(String);

impl Owner {
    pub fn from_environment() -> Self {
        Self(variable("CONVO_TEST_POSTGRES_OWNER"))
    }

    /// Whether it is another user than this one.
    pub fn is_another(&self) -> bool {
        !self.0.is_empty()
    }

    /// Gives it a file or directory.
    pub fn own(&self, path: &Path) {
        if !self.0.is_empty() {
            let status = Command::new("chown").arg(&self.0).arg(path).status();
            assert!(status.expect("chown runs").success());
        }
    }

    /// A program run by it.
    pub fn command(&self, program: &Path) -> Command {
        if self.0.is_empty() {
            return Command::new(program);
        }
        let mut command = Command::new("runuser");
        command.args(["-u", &self.0, "--"]).arg(program);
        command
    }
}
