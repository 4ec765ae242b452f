//! nginx as a proxy in front of a server, run by another user where the tests are run by root.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};

use super::cluster::Owner;
use super::{free_port, variable, wait_until};

/// A running proxy, ended on drop.
pub struct Nginx {
    child: Child,
    pub address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Nginx {
    /// Starts one with `proxy_pass` to a server, and further directives.
    pub fn before(server: SocketAddr, directives: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (port, owner) = (free_port(), Owner::from_environment());
        let conf = dir.path().join("nginx.conf");
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|name| format!("{name}_temp_path {name};")).concat();
        let text = format!(
            "daemon off; pid nginx.pid; error_log error.log; events {{ }}\n\
             http {{ access_log off; {temporary}\n\
             server {{ listen 127.0.0.1:{port};\n\
             location / {{ proxy_pass http://{server}; {directives} }} }} }}\n"
        );
        std::fs::write(&conf, text).expect("written");
        for path in [dir.path(), &conf] {
            owner.own(path);
        }
        let program = variable("CONVO_TEST_NGINX");
        let mut command = owner.command(program.as_ref());
        command.arg("-p").arg(dir.path()).arg("-c").arg(&conf).arg("-e").arg("error.log");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("nginx starts");
        wait_until("nginx to listen", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { child, address: ([127, 0, 0, 1], port).into(), _dir: dir }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers end with it when it is asked to end, but not when it is killed.
        super::signal(&self.child, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}
