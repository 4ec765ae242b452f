//! A rate limit for wrong tokens per address, so that guessing is slow and noticed.
//!
//! A valid token is always accepted, without being counted: behind a proxy all callers share the
//! proxy's address, and a stranger there must not be able to lock out the others. So this is not
//! what protects against guessing. The length of the tokens is, and on a public address a server
//! refuses short ones. The rate limit only makes guessing costly: beyond a few wrong tokens, each
//! further refusal of an address is delayed. The number of delayed responses is bounded, because
//! each occupies a connection; the rest are refused at once, with the same error.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::throttle::Throttle;

/// Wrong tokens that an address may send in a row, for a person looking for the right one.
const BURST: u32 = 10;
/// After the burst, one wrong token is allowed per interval.
const INTERVAL: Duration = Duration::from_secs(6);
/// How long a refusal is delayed.
const DELAY: Duration = Duration::from_secs(1);
/// How many refusals may be delayed at a time: an eighth of the default connection limit.
const MAX_DELAYED: usize = 64;
/// How many addresses have a bucket of their own; the others share one.
const MAX_ADDRESSES: usize = 4096;

/// Recent wrong tokens. Clones share their counts.
#[derive(Clone, Debug)]
pub(super) struct Attempts {
    buckets: Arc<Mutex<Buckets>>,
    delayed: Arc<Semaphore>,
}

/// What follows from a wrong token.
#[derive(Debug)]
pub(super) enum FailedAttempt {
    WithinLimit,
    TooMany {
        /// When the address may try again.
        retry_after: Duration,
        /// `None` when too many responses are delayed already.
        delay: Option<RefusalDelay>,
    },
}

/// One of the bounded number of delayed responses.
#[derive(Debug)]
pub(in crate::server) struct RefusalDelay {
    _permit: OwnedSemaphorePermit,
}

impl RefusalDelay {
    /// Cancelled when the caller disconnects.
    pub(in crate::server) async fn wait(self) {
        tokio::time::sleep(DELAY).await;
    }
}

impl Default for Attempts {
    fn default() -> Self {
        Self { buckets: Arc::default(), delayed: Arc::new(Semaphore::new(MAX_DELAYED)) }
    }
}

impl Attempts {
    /// Counts a wrong token from an address, `None` if it is unknown.
    pub(super) fn fail(&self, address: Option<IpAddr>, now: Instant) -> FailedAttempt {
        let exceeded = {
            let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
            buckets.get(address.map(network), now).add(now)
        };
        let Some(retry_after) = exceeded else { return FailedAttempt::WithinLimit };
        log_rate_limit(address);
        let permit = Arc::clone(&self.delayed).try_acquire_owned().ok();
        let delay = permit.map(|permit| RefusalDelay { _permit: permit });
        FailedAttempt::TooMany { retry_after, delay }
    }
}

fn log_rate_limit(address: Option<IpAddr>) {
    static LINES: Throttle = Throttle::new();
    LINES.pass(address, |suppressed| {
        let address = address.map(tracing::field::display);
        tracing::warn!(address, suppressed, "too many wrong API tokens: rate limiting an address");
    });
}

/// One bucket per network.
#[derive(Debug, Default)]
struct Buckets {
    known: HashMap<IpAddr, LeakyBucket>,
    /// For callers of unknown address, and for all others while the table is full.
    shared: LeakyBucket,
    last_sweep: Option<Instant>,
}

impl Buckets {
    fn get(&mut self, network: Option<IpAddr>, now: Instant) -> &mut LeakyBucket {
        let Some(network) = network else { return &mut self.shared };
        if self.known.len() >= MAX_ADDRESSES && !self.known.contains_key(&network) {
            self.sweep(now);
            if self.known.len() >= MAX_ADDRESSES {
                return &mut self.shared;
            }
        }
        self.known.entry(network).or_default()
    }

    /// Removes empty buckets, at most once per interval, because it scans the whole table.
    fn sweep(&mut self, now: Instant) {
        if self.last_sweep.is_some_and(|last| now < last + INTERVAL) {
            return;
        }
        self.last_sweep = Some(now);
        self.known.retain(|_, bucket| bucket.empty_at.is_some_and(|at| at > now));
    }
}

/// A leaky bucket that holds [`BURST`] wrong tokens and loses one per [`INTERVAL`].
#[derive(Debug, Default)]
struct LeakyBucket {
    empty_at: Option<Instant>,
}

impl LeakyBucket {
    /// Adds a wrong token. If the bucket is full, returns how long until one fits.
    fn add(&mut self, now: Instant) -> Option<Duration> {
        let level = self.empty_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let excess = (level + INTERVAL).saturating_sub(INTERVAL * BURST);
        if !excess.is_zero() {
            return Some(excess);
        }
        self.empty_at = Some(now + level + INTERVAL);
        None
    }
}

/// The unit of the rate limit. One subscriber has a whole /64 of IPv6 addresses.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = address.to_bits() & (u128::MAX << 64);
            IpAddr::V6(prefix.into())
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    /// How long an address has to wait after a wrong token; zero within the limit.
    fn wait(attempts: &Attempts, address: Option<IpAddr>, now: Instant) -> Duration {
        match attempts.fail(address, now) {
            FailedAttempt::WithinLimit => Duration::ZERO,
            FailedAttempt::TooMany { retry_after, .. } => retry_after,
        }
    }

    fn use_up(attempts: &Attempts, address: Option<IpAddr>, now: Instant) {
        for _ in 0..BURST {
            assert_eq!(wait(attempts, address, now), Duration::ZERO);
        }
    }

    #[test]
    fn a_burst_is_allowed_and_then_one_per_interval() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        let address = ip("192.0.2.1");
        use_up(&attempts, address, start);
        for _ in 0..1_000 {
            assert_eq!(wait(&attempts, address, start), INTERVAL, "refused attempts do not count");
        }
        let half = start + INTERVAL / 2;
        assert_eq!(wait(&attempts, address, half), INTERVAL / 2);
        let later = start + INTERVAL;
        assert_eq!(wait(&attempts, address, later), Duration::ZERO);
        assert_eq!(wait(&attempts, address, later), INTERVAL);
        use_up(&attempts, address, later + INTERVAL * BURST);
    }

    #[test]
    fn addresses_are_limited_separately_but_networks_together() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        use_up(&attempts, ip("192.0.2.1"), now);
        use_up(&attempts, ip("2001:db8:0:1::1"), now);
        use_up(&attempts, None, now);
        for same in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8:0:1:ffff::2"] {
            assert_eq!(wait(&attempts, ip(same), now), INTERVAL, "{same}");
        }
        assert_eq!(wait(&attempts, None, now), INTERVAL);
        for other in ["192.0.2.2", "2001:db8:0:2::1"] {
            assert_eq!(wait(&attempts, ip(other), now), Duration::ZERO, "{other}");
        }
    }

    #[test]
    fn memory_is_bounded_for_any_number_of_addresses() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        let nth = |n: u32| Some(IpAddr::V4((0x0a00_0000 + n).into()));
        let many = u32::try_from(MAX_ADDRESSES).expect("small");
        let allowed = |from: u32, now| {
            (from..from + many * 4).filter(|n| wait(&attempts, nth(*n), now).is_zero()).count()
        };
        let expected = MAX_ADDRESSES + BURST as usize;
        assert_eq!(allowed(0, start), expected, "the others share one bucket");
        let known = || attempts.buckets.lock().expect("no panic").known.len();
        assert_eq!(known(), MAX_ADDRESSES);
        // Empty buckets make room for others.
        assert_eq!(allowed(many * 8, start + INTERVAL * BURST), expected);
        assert_eq!(known(), MAX_ADDRESSES);
    }

    #[test]
    fn the_number_of_delayed_responses_is_bounded() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        use_up(&attempts, ip("192.0.2.1"), now);
        let is_delayed = |attempt| matches!(attempt, FailedAttempt::TooMany { delay: Some(_), .. });
        let delayed: Vec<_> =
            (0..MAX_DELAYED).map(|_| attempts.fail(ip("192.0.2.1"), now)).collect();
        assert!(!is_delayed(attempts.fail(ip("192.0.2.1"), now)));
        assert!(delayed.into_iter().all(is_delayed));
        assert!(is_delayed(attempts.fail(ip("192.0.2.1"), now)), "the others have ended");
    }
}
