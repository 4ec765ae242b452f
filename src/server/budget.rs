//! Budgets that clients share: for the memory that answers take until they are read, and for the places
//! of streamed lists.
//!
//! A client may take as much as it leaves to others: alone, half of the budget, and beside another that
//! has taken half, a quarter. So no client can exhaust it, and none is limited to a fixed share while
//! others need nothing.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A budget. Clones refer to the same one.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<SharedLedger>);

#[derive(Debug)]
struct SharedLedger {
    ledger: Mutex<Ledger>,
    freed: Notify,
}

#[derive(Debug)]
struct Ledger {
    size: usize,
    taken: usize,
    by_client: HashMap<Arc<str>, usize>,
}

/// What a client has taken of a budget; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<SharedLedger>,
    client: Arc<str>,
    amount: usize,
}

impl Budget {
    pub(super) fn new(size: usize) -> Self {
        let ledger = Ledger { size, taken: 0, by_client: HashMap::new() };
        Self(Arc::new(SharedLedger { ledger: Mutex::new(ledger), freed: Notify::new() }))
    }

    /// Takes an amount for a client, if it is there.
    pub(super) fn try_take(&self, client: &Arc<str>, amount: usize) -> Option<Share> {
        let taken = self.0.lock().take(client, amount);
        taken.then(|| Share { budget: Arc::clone(&self.0), client: Arc::clone(client), amount })
    }

    /// Waits for an amount.
    pub(super) async fn take(&self, client: &Arc<str>, amount: usize) -> Share {
        loop {
            let mut freed = pin!(self.0.freed.notified());
            // From here on, no release is missed.
            freed.as_mut().enable();
            if let Some(share) = self.try_take(client, amount) {
                return share;
            }
            freed.await;
        }
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.0.lock().taken
    }
}

impl Share {
    /// Changes the amount to what is really used, which may be more than was there.
    pub(super) fn set(&mut self, amount: usize) {
        let mut ledger = self.budget.lock();
        ledger.give_back(&self.client, self.amount);
        ledger.add(&self.client, amount);
        drop(ledger);
        if amount < self.amount {
            self.budget.freed.notify_waiters();
        }
        self.amount = amount;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.lock().give_back(&self.client, self.amount);
        self.budget.freed.notify_waiters();
    }
}

impl SharedLedger {
    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    fn take(&mut self, client: &Arc<str>, amount: usize) -> bool {
        let own = self.by_client.get(client).copied().unwrap_or_default();
        let free = self.size.saturating_sub(self.taken);
        let is_allowed = own.saturating_add(amount) <= free;
        if is_allowed {
            self.add(client, amount);
        }
        is_allowed
    }

    fn add(&mut self, client: &Arc<str>, amount: usize) {
        self.taken += amount;
        *self.by_client.entry(Arc::clone(client)).or_default() += amount;
    }

    fn give_back(&mut self, client: &Arc<str>, amount: usize) {
        self.taken -= amount;
        if let Some(own) = self.by_client.get_mut(client) {
            *own -= amount;
            if *own == 0 {
                self.by_client.remove(client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(name: &str) -> Arc<str> {
        name.into()
    }

    #[test]
    fn a_client_takes_no_more_than_it_leaves() {
        let budget = Budget::new(64);
        let all = |name: &str| {
            let take = || budget.try_take(&client(name), 1);
            std::iter::from_fn(take).collect::<Vec<_>>()
        };
        let first = all("a");
        let second = all("b");
        let third = all("c");
        assert_eq!((first.len(), second.len(), third.len()), (32, 16, 8));
        drop(first);
        assert_eq!(all("c").len(), 16, "what others give back is there for everybody");
        drop((second, third));
        assert_eq!((budget.taken(), budget.0.lock().by_client.len()), (0, 0));
    }

    #[tokio::test]
    async fn a_client_waits_for_what_is_given_back() {
        let budget = Budget::new(10);
        let mut share = budget.try_take(&client("a"), 5).expect("half of it");
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.take(&client("a"), 4).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        share.set(1);
        let other = waiting.await.expect("no panic");
        assert_eq!(budget.taken(), 5);
        share.set(20);
        assert_eq!(budget.taken(), 24, "what is used counts, even if it was not there");
        drop((share, other));
        assert_eq!(budget.taken(), 0);
    }
}
