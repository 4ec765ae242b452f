//! PgBouncer in transaction mode: every transaction may find itself in another session.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use super::cluster::Owner;
use super::{free_port, variable, wait_until};

/// So few sessions that those who ask are never the only ones in any of them.
const SESSIONS: u32 = 2;

/// A running pooler before a PostgreSQL server, ended on drop.
pub struct Pooler {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Pooler {
    /// Starts one before the server of a URL, with further settings.
    pub fn before(url: &str, settings: &str) -> Self {
        let server = url::Url::parse(url).expect("a URL");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (port, owner) = (free_port(), Owner::from_environment());
        let users = dir.path().join("users.txt");
        let password = server.password().unwrap_or_default();
        std::fs::write(&users, format!("\"{}\" \"{password}\"\n", server.username()))
            .expect("written");
        let conf = dir.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = plain\nauth_file = {}\npool_mode = transaction\n\
             default_pool_size = {SESSIONS}\nserver_login_retry = 1\n{settings}\n",
            server.port().expect("a port"),
            users.display()
        );
        std::fs::write(&conf, text).expect("written");
        for path in [dir.path(), &users, &conf] {
            owner.own(path);
        }
        let mut command = owner.command(&PathBuf::from(variable("CONVO_TEST_PGBOUNCER")));
        let command = command.arg("-q").arg(&conf).current_dir(dir.path()).stderr(Stdio::null());
        let child = command.stdout(Stdio::null()).spawn().expect("PgBouncer runs");
        wait_until("PgBouncer to listen", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { child, port, _dir: dir }
    }

    /// The URL of the same database by way of the pooler.
    pub fn url(&self, direct: &str) -> String {
        let mut url = url::Url::parse(direct).expect("a URL");
        url.set_port(Some(self.port)).expect("a port");
        url.into()
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        // The one that switched the user hands the signal on.
        let asked =
            rustix::process::kill_process(pid.expect("a process"), rustix::process::Signal::TERM);
        if asked.is_ok() {
            let _ = self.child.wait();
        }
    }
}
