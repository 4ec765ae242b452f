//! The standard streams, for programs that share them. Another one may have made a terminal, pipe or
//! socket non-blocking, for itself and for everybody; convo then waits until it can go on.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::oneshot;

/// A stream that waits where it would otherwise fail with [`ErrorKind::WouldBlock`].
#[derive(Debug)]
pub struct Waiting<S>(S);

/// Standard output.
#[must_use]
pub fn stdout() -> Waiting<io::Stdout> {
    Waiting(io::stdout())
}

/// Standard error.
#[must_use]
pub fn stderr() -> Waiting<io::Stderr> {
    Waiting(io::stderr())
}

/// Standard input.
#[must_use]
pub fn stdin() -> Waiting<io::StdinLock<'static>> {
    Waiting(io::stdin().lock())
}

/// Returns when the reader of standard output has closed its end of the pipe, so that a program that has
/// nothing to write notices it. Never returns for a file.
pub async fn stdout_closed() {
    let (closed, is_closed) = oneshot::channel();
    // A thread of its own, which lasts as long as the program: tokio would wait for one of its own at the
    // end. Without it, the next write notices.
    let waiting = std::thread::Builder::new().name("stdout".to_owned()).spawn(move || {
        // Errors and hang-ups are reported without being asked for.
        while poll(&mut [PollFd::new(&io::stdout(), PollFlags::empty())], None).is_err() {}
        let _ = closed.send(());
    });
    if waiting.is_err() || is_closed.await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl<S: AsFd> Waiting<S> {
    /// Repeats an operation until it does not have to wait. One that fails has done nothing.
    fn retry<T>(
        &mut self,
        flags: PollFlags,
        mut operation: impl FnMut(&mut S) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match operation(&mut self.0) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // Whatever ends it, a signal or a closed stream, the next attempt shows it.
                    let _ = poll(&mut [PollFd::new(&self.0, flags)], None);
                }
                done => return done,
            }
        }
    }
}

impl<S: Write + AsFd> Write for Waiting<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.retry(PollFlags::OUT, |stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.retry(PollFlags::OUT, Write::flush)
    }
}

impl<S: Read + AsFd> Read for Waiting<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.retry(PollFlags::IN, |stream| stream.read(buffer))
    }
}
