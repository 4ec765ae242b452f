//! Waiting for a condition: the only place where a test sleeps.

use std::time::{Duration, Instant};

/// No wait in a test takes longer.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(3);

/// Polls until there is something to return; `what` is waited for, and named when it does not come.
#[track_caller]
pub fn wait_for<T>(what: &str, poll: impl FnMut() -> Option<T>) -> T {
    wait_or_tell(|| what.to_owned(), poll)
}

/// The same, where `what` also tells how things stand when it does not come.
#[track_caller]
pub fn wait_or_tell<T>(what: impl Fn() -> String, mut poll: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = poll() {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "timed out waiting for: {}", what());
        std::thread::sleep(PAUSE);
    }
}

/// Polls until a condition holds.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}

/// As [`wait_for`], where looking takes an `await`.
pub async fn eventually_some<T>(what: &str, mut poll: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = poll().await {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "timed out waiting for: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// As [`wait_until`], where looking takes an `await`.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    eventually_some(what, async || holds().await.then_some(())).await;
}
