//! What systemd would hear: a socket that keeps every notice.

use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};

use crate::harness::until;

/// The other end of `NOTIFY_SOCKET`.
pub struct Notices {
    dir: tempfile::TempDir,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Notices {
    pub fn listen() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = UnixDatagram::bind(dir.path().join("notify")).expect("a socket");
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut notice = vec![0; 4096];
            while let Ok(size) = socket.recv(&mut notice) {
                let text = String::from_utf8(notice[..size].to_vec()).expect("text");
                kept.lock().expect("no panic").push(text);
            }
        });
        Self { dir, heard }
    }

    pub fn socket(&self) -> String {
        self.dir.path().join("notify").display().to_string()
    }

    pub fn all(&self) -> Vec<String> {
        self.heard.lock().expect("no panic").clone()
    }

    /// How many notices have a line that begins so.
    pub fn count(&self, line: &str) -> usize {
        self.all().iter().filter(|notice| notice.lines().any(|l| l.starts_with(line))).count()
    }

    /// Waits for a notice with a line that begins so; its place among all.
    #[track_caller]
    pub fn wait_for(&self, line: &str) -> usize {
        until(line, || {
            self.all().iter().position(|notice| notice.lines().any(|l| l.starts_with(line)))
        })
    }
}
