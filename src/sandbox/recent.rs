//! A memory that keeps only the newest.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// How many entries a memory keeps at most.
const MAX_ENTRIES: usize = 10_000;
/// How many bytes the entries of one memory may hold together: sandboxes run for weeks too.
const MAX_BYTES: usize = 32 << 20;

/// A map that forgets its oldest entries when it has too many, or too large ones.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    order: VecDeque<K>,
    entries: HashMap<K, (V, usize)>,
    bytes: usize,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { order: VecDeque::new(), entries: HashMap::new(), bytes: 0 }
    }
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    /// Keeps `value`, which holds about `bytes`, as the newest.
    pub(super) fn insert(&mut self, key: K, value: V, bytes: usize) {
        self.remove(&key);
        self.order.push_back(key.clone());
        self.entries.insert(key, (value, bytes));
        self.bytes += bytes;
        // The newest stays, whatever its size.
        while self.order.len() > MAX_ENTRIES || (self.bytes > MAX_BYTES && self.order.len() > 1) {
            let Some(oldest) = self.order.pop_front() else { break };
            self.forget(&oldest);
        }
    }

    /// Forgets an entry.
    pub(super) fn remove(&mut self, key: &K) {
        if self.entries.contains_key(key) {
            self.order.retain(|kept| kept != key);
            self.forget(key);
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(value, _)| value)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(value, _)| value)
    }

    pub(super) fn contains(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    /// The values, oldest first.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.order.iter().filter_map(|key| self.get(key))
    }

    fn forget(&mut self, key: &K) {
        if let Some((_, bytes)) = self.entries.remove(key) {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first() {
        let mut recent = Recent::default();
        for number in 0..MAX_ENTRIES + 5 {
            recent.insert(number, number, 1);
        }
        assert_eq!(recent.values().count(), MAX_ENTRIES);
        assert!(!recent.contains(&4) && recent.contains(&5));
        assert_eq!(recent.values().next(), Some(&5));
    }

    #[test]
    fn large_entries_push_others_out() {
        let mut recent = Recent::default();
        recent.insert("small", 1, 10);
        recent.insert("huge", 2, MAX_BYTES + 1);
        assert!(!recent.contains(&"small") && recent.contains(&"huge"));
        recent.remove(&"huge");
        recent.insert("small", 3, MAX_BYTES);
        assert_eq!(recent.values().collect::<Vec<_>>(), [&3]);
    }

    #[test]
    fn an_entry_is_kept_once() {
        let mut recent = Recent::default();
        recent.insert("key", 1, 1);
        recent.insert("key", 2, 1);
        assert_eq!(recent.values().collect::<Vec<_>>(), [&2]);
        assert_eq!(recent.bytes, 1);
    }
}
