//! Permits for requests: only so many are served at a time. A connection without a request needs none.
//!
//! When all permits are taken, the accept loop is asked to abandon the body that has been arriving
//! longest. If no body is still arriving, the request is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

/// How long a request waits for a permit: longer than a body has to arrive before it may be abandoned.
const LONGEST_WAIT: Duration = Duration::from_millis(400);
const PAUSE: Duration = Duration::from_millis(40);

/// Whether a request can have the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// A body was abandoned for it.
    Made,
    /// Bodies are arriving, or were abandoned just now, but none can be abandoned yet.
    Soon,
    /// All others are being served.
    None,
}

/// Where the accept loop is asked whether there is a body to abandon.
pub(super) type RoomRequests = mpsc::UnboundedReceiver<oneshot::Sender<Room>>;

/// The permits of a server.
#[derive(Debug)]
pub(super) struct RequestPermits {
    limit: usize,
    taken: AtomicUsize,
    requests: mpsc::UnboundedSender<oneshot::Sender<Room>>,
}

/// A permit, which is returned on drop.
#[derive(Debug)]
pub(super) struct RequestPermit(Arc<RequestPermits>);

impl RequestPermits {
    pub(super) fn new(limit: usize) -> (Arc<Self>, RoomRequests) {
        let (requests, received) = mpsc::unbounded_channel();
        (Arc::new(Self { limit, taken: AtomicUsize::new(0), requests }), received)
    }

    /// Takes a permit if one is free.
    pub(super) fn try_take(self: &Arc<Self>) -> Option<RequestPermit> {
        let permit = RequestPermit(Arc::clone(self));
        let taken = self.taken.fetch_add(1, Ordering::AcqRel);
        (taken < self.limit).then_some(permit)
    }

    /// Takes a permit, if need be of a request whose body is abandoned for it. `None` if all are taken by
    /// requests that are being served.
    pub(super) async fn take(self: &Arc<Self>) -> Option<RequestPermit> {
        let deadline = Instant::now() + LONGEST_WAIT;
        loop {
            if let Some(permit) = self.try_take() {
                return Some(permit);
            }
            match self.make_room().await {
                Room::Made => {
                    self.taken.fetch_add(1, Ordering::AcqRel);
                    return Some(RequestPermit(Arc::clone(self)));
                }
                Room::Soon if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
                Room::Soon | Room::None => return None,
            }
        }
    }

    /// Asks whether another request gives up its permit.
    async fn make_room(&self) -> Room {
        let (asked, answer) = oneshot::channel();
        // The accept loop has ended: nobody gives one up.
        let _ = self.requests.send(asked);
        answer.await.unwrap_or(Room::None)
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each question whether there is a body to abandon, until all is answered.
    async fn answer(requests: &mut RoomRequests, room: Room) -> Option<RequestPermit> {
        while let Some(asked) = requests.recv().await {
            let _ = asked.send(room);
        }
        None
    }

    #[tokio::test]
    async fn a_permit_is_returned_or_another_request_gives_its_own_up() {
        let (permits, mut requests) = RequestPermits::new(1);
        let first = permits.take().await.expect("a permit");
        assert!(permits.try_take().is_none());
        for room in [Room::None, Room::Soon] {
            let refused = tokio::select! {
                permit = permits.take() => permit,
                permit = answer(&mut requests, room) => permit,
            };
            assert!(refused.is_none(), "{room:?}");
        }
        let second = tokio::select! {
            permit = permits.take() => permit,
            permit = answer(&mut requests, Room::Made) => permit,
        };
        assert!(second.is_some());
        drop((first, second, requests));
        let third = permits.take().await.expect("the permits are free again");
        assert!(permits.take().await.is_none(), "nobody gives one up any more");
        drop(third);
    }
}
