//! Whether a thread with a runtime of its own still turns.

use tokio::sync::{mpsc, oneshot};

/// Asks a heart on the other thread.
#[derive(Clone, Debug)]
pub(super) struct Pulse(mpsc::Sender<oneshot::Sender<()>>);

/// A pulse, and the heart to spawn on the thread it is felt for. The heart beats whenever the
/// thread's tasks get their turn, also while they wait.
pub(super) fn pair() -> (Pulse, impl Future<Output = ()>) {
    let (ask, mut asked) = mpsc::channel::<oneshot::Sender<()>>(1);
    let heart = async move {
        while let Some(answer) = asked.recv().await {
            let _ = answer.send(());
        }
    };
    (Pulse(ask), heart)
}

impl Pulse {
    /// Returns true with the next beat, false when the thread has ended, and not at all while it
    /// is stuck.
    pub(super) async fn beats(&self) -> bool {
        let (answer, beat) = oneshot::channel();
        self.0.send(answer).await.is_ok() && beat.await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// A thread whose task waits for ever beats; one that is stuck does not, until it goes on; one
    /// that has ended does not at all.
    #[tokio::test]
    async fn a_stuck_thread_is_told_from_one_that_waits() {
        let (pulse, heart) = pair();
        let (stick, stuck) = oneshot::channel::<()>();
        let (go_on, gate) = mpsc::channel::<()>();
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async move {
                tokio::spawn(heart);
                let _ = stuck.await;
                let _ = gate.recv();
                let _ = ended.await;
            });
        });
        assert!(pulse.beats().await, "it waits");
        assert!(pulse.beats().await, "it waits for long");
        stick.send(()).expect("the thread waits");
        let felt = tokio::time::timeout(Duration::from_millis(100), async {
            // It may beat once more before it gets to where it is stuck.
            while pulse.beats().await {
                tokio::task::yield_now().await;
            }
        });
        assert!(felt.await.is_err(), "it is stuck, not gone");
        go_on.send(()).expect("the thread is stuck");
        assert!(pulse.beats().await, "it goes on");
        end.send(()).expect("the thread waits");
        thread.join().expect("no panic");
        assert!(!pulse.beats().await, "it is gone");
    }
}
