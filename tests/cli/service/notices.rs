//! The notification socket of systemd, which records every notice.

use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};

use crate::support::wait_for;

/// The other end of `NOTIFY_SOCKET`.
pub struct Notices {
    dir: tempfile::TempDir,
    received: Arc<Mutex<Vec<String>>>,
}

impl Notices {
    pub fn listen() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = UnixDatagram::bind(dir.path().join("notify")).expect("a socket");
        let received: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&received);
        std::thread::spawn(move || {
            let mut notice = vec![0; 4096];
            while let Ok(size) = socket.recv(&mut notice) {
                let text = String::from_utf8(notice[..size].to_vec()).expect("text");
                kept.lock().expect("no panic").push(text);
            }
        });
        Self { dir, received }
    }

    pub fn socket(&self) -> String {
        self.dir.path().join("notify").display().to_string()
    }

    pub fn all(&self) -> Vec<String> {
        self.received.lock().expect("no panic").clone()
    }

    /// Every notice that was sent before this call, also those not yet read.
    pub fn all_sent(&self) -> Vec<String> {
        let own = UnixDatagram::unbound().expect("a socket");
        let mark = format!("MARK={}", self.count("MARK="));
        own.send_to(mark.as_bytes(), self.socket()).expect("sent");
        // A socket's datagrams keep their order.
        self.wait_for(&mark);
        self.all().into_iter().filter(|notice| !notice.starts_with("MARK=")).collect()
    }

    /// How many notices have a line with this beginning.
    pub fn count(&self, line: &str) -> usize {
        self.all().iter().filter(|notice| notice.lines().any(|l| l.starts_with(line))).count()
    }

    /// Waits for a notice with a line that has this beginning; its index among all.
    #[track_caller]
    pub fn wait_for(&self, line: &str) -> usize {
        wait_for(line, || {
            self.all().iter().position(|notice| notice.lines().any(|l| l.starts_with(line)))
        })
    }
}
