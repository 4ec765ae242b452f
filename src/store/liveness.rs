//! Whether a thread with a tokio runtime of its own still runs its tasks.

use tokio::sync::{mpsc, oneshot};

/// Pings the responder on that thread.
#[derive(Clone, Debug)]
pub(super) struct Liveness(mpsc::Sender<oneshot::Sender<()>>);

/// A handle, and the responder to spawn on the thread it is for. The responder answers whenever the
/// thread runs its tasks, also while the others wait for something.
pub(super) fn channel() -> (Liveness, impl Future<Output = ()>) {
    let (pings, mut received) = mpsc::channel::<oneshot::Sender<()>>(1);
    let responder = async move {
        while let Some(pong) = received.recv().await {
            let _ = pong.send(());
        }
    };
    (Liveness(pings), responder)
}

impl Liveness {
    /// Returns true once the thread answers, false if it has ended, and not at all while it is
    /// blocked.
    pub(super) async fn ping(&self) -> bool {
        let (pong, answer) = oneshot::channel();
        self.0.send(pong).await.is_ok() && answer.await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_blocked_thread_is_told_from_a_waiting_and_an_ended_one() {
        let (liveness, responder) = channel();
        let (block, to_block) = oneshot::channel::<()>();
        let (unblock, gate) = mpsc::channel::<()>();
        let (end, to_end) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async move {
                tokio::spawn(responder);
                let _ = to_block.await;
                let _ = gate.recv();
                let _ = to_end.await;
            });
        });
        assert!(liveness.ping().await, "it waits");
        assert!(liveness.ping().await, "it still waits");
        block.send(()).expect("the thread waits");
        let pinging = tokio::time::timeout(Duration::from_millis(100), async {
            // It may answer once more before it blocks.
            while liveness.ping().await {
                tokio::task::yield_now().await;
            }
        });
        assert!(pinging.await.is_err(), "it is blocked, not gone");
        unblock.send(()).expect("the thread is blocked");
        assert!(liveness.ping().await, "it runs again");
        end.send(()).expect("the thread waits");
        thread.join().expect("no panic");
        assert!(!liveness.ping().await, "it is gone");
    }
}
