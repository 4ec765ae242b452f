//! Wrong tokens, counted per address, so that guessing is slow and does not go unnoticed.
//!
//! A right token is let in before anything is counted, always: behind a proxy all callers have the
//! proxy's address, and a stranger there must not be able to lock the others out. So this is not
//! what keeps a guesser out. The length of the tokens is, and a server on a public address refuses
//! short ones. What this does is to make guessing costly: beyond a few wrong tokens, an address
//! waits for each further refusal. Only so many answers are held back at a time, since each holds
//! a connection; the others are refused at once, in the same words.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::throttle::Throttle;

/// Wrong tokens that an address may bring at once, for a person who looks for the right one.
const BURST: u32 = 10;
/// After that, one more each time this has passed.
const INTERVAL: Duration = Duration::from_secs(6);
/// How long a refusal is held back.
const HOLD: Duration = Duration::from_secs(1);
/// Most refusals held back at a time: an eighth of the connections, as they are by default.
const MOST_HELD: usize = 64;
/// Most addresses that are known by themselves; the others share one account.
const MOST_ADDRESSES: usize = 4096;

/// The wrong tokens that came lately. Clones share their counts.
#[derive(Clone, Debug)]
pub(super) struct Attempts {
    accounts: Arc<Mutex<Accounts>>,
    held: Arc<Semaphore>,
}

/// What is to be done about a caller with a wrong token.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It may look for the right one.
    Fair,
    /// It has had enough.
    TooMany {
        /// When its next attempt is fair.
        wait: Duration,
        /// For how long to hold the refusal back.
        hold: Option<Hold>,
    },
}

/// An answer that is held back; while it is, others may have to be given at once.
#[derive(Debug)]
pub struct Hold {
    _permit: OwnedSemaphorePermit,
}

impl Hold {
    /// Waits. Given up when the caller hangs up.
    pub(in crate::server) async fn over(self) {
        tokio::time::sleep(HOLD).await;
    }
}

impl Default for Attempts {
    fn default() -> Self {
        Self { accounts: Arc::default(), held: Arc::new(Semaphore::new(MOST_HELD)) }
    }
}

impl Attempts {
    /// Counts a wrong token from an address; `None` is a peer that is not known.
    pub(super) fn fail(&self, address: Option<IpAddr>, now: Instant) -> Verdict {
        let wait = {
            let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
            accounts.of(address.map(network), now).charge(now)
        };
        let Some(wait) = wait else { return Verdict::Fair };
        log_slowing(address);
        let permit = Arc::clone(&self.held).try_acquire_owned().ok();
        Verdict::TooMany { wait, hold: permit.map(|permit| Hold { _permit: permit }) }
    }
}

fn log_slowing(address: Option<IpAddr>) {
    static LINES: Throttle = Throttle::new();
    LINES.pass(address, |left_out| {
        let address = address.map(tracing::field::display);
        tracing::warn!(address, left_out, "too many wrong API tokens from an address: slowing it");
    });
}

/// One account per network.
#[derive(Debug, Default)]
struct Accounts {
    known: HashMap<IpAddr, Account>,
    /// That of callers without an address, and of all who find the table full.
    others: Account,
    swept: Option<Instant>,
}

impl Accounts {
    fn of(&mut self, network: Option<IpAddr>, now: Instant) -> &mut Account {
        let Some(network) = network else { return &mut self.others };
        if self.known.len() >= MOST_ADDRESSES && !self.known.contains_key(&network) {
            self.sweep(now);
            if self.known.len() >= MOST_ADDRESSES {
                return &mut self.others;
            }
        }
        self.known.entry(network).or_default()
    }

    /// Forgets whoever has paid off everything. Not at each of very many attempts: it reads the
    /// whole table.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now < swept + INTERVAL) {
            return;
        }
        self.swept = Some(now);
        self.known.retain(|_, account| account.paid_off.is_some_and(|at| at > now));
    }
}

/// What an address owes: each wrong token costs it one interval.
#[derive(Debug, Default)]
struct Account {
    /// When it owes nothing any more.
    paid_off: Option<Instant>,
}

impl Account {
    /// Charges one wrong token; how long to wait instead, when it owes too much already.
    fn charge(&mut self, now: Instant) -> Option<Duration> {
        let owed = self.paid_off.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let excess = (owed + INTERVAL).saturating_sub(INTERVAL * BURST);
        if !excess.is_zero() {
            return Some(excess);
        }
        self.paid_off = Some(now + owed + INTERVAL);
        None
    }
}

/// Whom an address stands for. One subscriber has a whole /64 of IPv6 addresses.
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

    /// How long an address is told to wait after a wrong token; zero when that was fair.
    fn wait(attempts: &Attempts, address: Option<IpAddr>, now: Instant) -> Duration {
        match attempts.fail(address, now) {
            Verdict::Fair => Duration::ZERO,
            Verdict::TooMany { wait, .. } => wait,
        }
    }

    fn use_up(attempts: &Attempts, address: Option<IpAddr>, now: Instant) {
        for _ in 0..BURST {
            assert_eq!(wait(attempts, address, now), Duration::ZERO);
        }
    }

    #[test]
    fn a_few_are_fair_and_then_one_each_interval() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        let address = ip("192.0.2.1");
        use_up(&attempts, address, start);
        for _ in 0..1_000 {
            assert_eq!(wait(&attempts, address, start), INTERVAL, "waiting is not made longer");
        }
        let half = start + INTERVAL / 2;
        assert_eq!(wait(&attempts, address, half), INTERVAL / 2);
        let later = start + INTERVAL;
        assert_eq!(wait(&attempts, address, later), Duration::ZERO);
        assert_eq!(wait(&attempts, address, later), INTERVAL);
        use_up(&attempts, address, later + INTERVAL * BURST);
    }

    #[test]
    fn addresses_do_not_pay_for_each_other_but_networks_do() {
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
    fn very_many_addresses_take_no_more_memory() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        let nth = |n: u32| Some(IpAddr::V4((0x0a00_0000 + n).into()));
        let many = u32::try_from(MOST_ADDRESSES).expect("small");
        let fair = |from: u32, now| {
            (from..from + many * 4).filter(|n| wait(&attempts, nth(*n), now).is_zero()).count()
        };
        let expected = MOST_ADDRESSES + BURST as usize;
        assert_eq!(fair(0, start), expected, "the others share one account");
        let known = || attempts.accounts.lock().expect("no panic").known.len();
        assert_eq!(known(), MOST_ADDRESSES);
        // Once they have paid, there is room for others.
        assert_eq!(fair(many * 8, start + INTERVAL * BURST), expected);
        assert_eq!(known(), MOST_ADDRESSES);
    }

    #[test]
    fn only_so_many_answers_are_held_back() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        use_up(&attempts, ip("192.0.2.1"), now);
        let held = |verdict| matches!(verdict, Verdict::TooMany { hold: Some(_), .. });
        let verdicts: Vec<_> =
            (0..MOST_HELD).map(|_| attempts.fail(ip("192.0.2.1"), now)).collect();
        assert!(!held(attempts.fail(ip("192.0.2.1"), now)));
        assert!(verdicts.into_iter().all(held));
        assert!(held(attempts.fail(ip("192.0.2.1"), now)), "those are over");
    }
}
