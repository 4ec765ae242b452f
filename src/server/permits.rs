//! Permits for requests: only so many are served at a time. A connection without a request needs none.
//!
//! When all permits are taken, the accept loop is asked to abandon the body that has been arriving
//! longest. If no body is still arriving, the request is refused.
//!
//! A request that follows the feed does nothing most of the time: it gives its permit back and takes one
//! of the places for followers instead, so that any number of them leaves the permits to others.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::connection::ConnectionState;
use super::limits::Limits;
use crate::error::Error;
use crate::metrics::InFlight;

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
    /// How many may follow the feed.
    places: usize,
    /// How many requests follow the feed.
    following: AtomicUsize,
    /// How many connections have a request that follows the feed, or had one last.
    followers: AtomicUsize,
    requests: mpsc::UnboundedSender<oneshot::Sender<Room>>,
}

/// A permit, which is returned on drop.
#[derive(Debug)]
pub(super) struct RequestPermit(Arc<RequestPermits>);

impl RequestPermits {
    pub(super) fn new(limits: &Limits) -> (Arc<Self>, RoomRequests) {
        let (requests, received) = mpsc::unbounded_channel();
        let permits = Self {
            limit: limits.connections,
            taken: AtomicUsize::new(0),
            places: limits.streams,
            following: AtomicUsize::new(0),
            followers: AtomicUsize::new(0),
            requests,
        };
        (Arc::new(permits), received)
    }

    /// The number of connections that are not counted among the others because they follow the feed.
    /// Between two long polls they keep that privilege, but only as many as may follow at once.
    pub(super) fn followers(&self) -> usize {
        self.followers.load(Ordering::Acquire).min(self.places)
    }

    fn follow(self: &Arc<Self>) -> Result<FollowPlace, Error> {
        let taken = self.following.fetch_add(1, Ordering::AcqRel);
        let place = FollowPlace { permits: Arc::clone(self), _in_flight: InFlight::stream() };
        let busy = || {
            Error::overloaded("too many clients follow the feed")
                .hint("read it without `wait`, or allow more with CONVO_MAX_STREAMS")
        };
        (taken < self.places).then_some(place).ok_or_else(busy)
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

/// A place among the requests that follow the feed, which is given back on drop.
#[derive(Debug)]
struct FollowPlace {
    permits: Arc<RequestPermits>,
    _in_flight: InFlight,
}

impl Drop for FollowPlace {
    fn drop(&mut self) {
        self.permits.following.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A connection that follows the feed, for as long as this lives.
#[derive(Debug)]
pub(super) struct FollowPermit(Arc<RequestPermits>);

impl FollowPermit {
    fn new(permits: &Arc<RequestPermits>) -> Self {
        permits.followers.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(permits))
    }
}

impl Drop for FollowPermit {
    fn drop(&mut self) {
        self.0.followers.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a request has taken, until the last byte of its response. An extension of the request.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    permits: Arc<RequestPermits>,
    connection: Arc<ConnectionState>,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug)]
enum Held {
    /// A permit; `None` if all were taken.
    Permit { _permit: Option<RequestPermit> },
    /// A place among those that follow the feed.
    Place { _place: FollowPlace },
}

impl Admission {
    pub(super) fn new(
        permits: &Arc<RequestPermits>,
        connection: &Arc<ConnectionState>,
        permit: Option<RequestPermit>,
    ) -> Self {
        let held = Arc::new(Mutex::new(Held::Permit { _permit: permit }));
        Self { permits: Arc::clone(permits), connection: Arc::clone(connection), held }
    }

    /// Gives the permit back and takes a place among those that follow the feed. Does nothing if it has
    /// one.
    ///
    /// # Errors
    /// `overloaded`.
    pub(super) fn follow(&self) -> Result<(), Error> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*held, Held::Permit { .. }) {
            *held = Held::Place { _place: self.permits.follow()? };
            self.connection.follow(FollowPermit::new(&self.permits));
        }
        Ok(())
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
        let (permits, mut requests) =
            RequestPermits::new(&Limits { connections: 1, ..Limits::default() });
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
