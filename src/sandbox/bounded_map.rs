//! A map of bounded size.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Maximum number of entries.
const MAX_ENTRIES: usize = 10_000;
/// Maximum size of all entries together, in bytes.
const MAX_BYTES: usize = 32 << 20;

/// A map that drops its oldest entries when there are too many or they are too large.
#[derive(Debug)]
pub(super) struct BoundedMap<K, V> {
    order: VecDeque<K>,
    entries: HashMap<K, (V, usize)>,
    bytes: usize,
}

impl<K, V> Default for BoundedMap<K, V> {
    fn default() -> Self {
        Self { order: VecDeque::new(), entries: HashMap::new(), bytes: 0 }
    }
}

impl<K: Clone + Eq + Hash, V> BoundedMap<K, V> {
    /// Inserts `value`, of about `bytes`, as the newest entry.
    pub(super) fn insert(&mut self, key: K, value: V, bytes: usize) {
        self.remove(&key);
        self.order.push_back(key.clone());
        self.entries.insert(key, (value, bytes));
        self.bytes += bytes;
        // The newest entry is kept, whatever its size.
        while self.order.len() > MAX_ENTRIES || (self.bytes > MAX_BYTES && self.order.len() > 1) {
            let Some(oldest) = self.order.pop_front() else { break };
            self.drop_entry(&oldest);
        }
    }

    pub(super) fn remove(&mut self, key: &K) {
        if self.entries.contains_key(key) {
            self.order.retain(|kept| kept != key);
            self.drop_entry(key);
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

    /// The values, in any order.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.values_mut().map(|(value, _)| value)
    }

    fn drop_entry(&mut self, key: &K) {
        if let Some((_, bytes)) = self.entries.remove(key) {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entry_is_dropped_first() {
        let mut map = BoundedMap::default();
        for number in 0..MAX_ENTRIES + 5 {
            map.insert(number, number, 1);
        }
        assert_eq!(map.values().count(), MAX_ENTRIES);
        assert!(!map.contains(&4) && map.contains(&5));
        assert_eq!(map.values().next(), Some(&5));
    }

    #[test]
    fn large_entries_displace_others() {
        let mut map = BoundedMap::default();
        map.insert("small", 1, 10);
        map.insert("huge", 2, MAX_BYTES + 1);
        assert!(!map.contains(&"small") && map.contains(&"huge"));
        map.remove(&"huge");
        map.insert("small", 3, MAX_BYTES);
        assert_eq!(map.values().collect::<Vec<_>>(), [&3]);
    }

    #[test]
    fn a_key_has_one_entry() {
        let mut map = BoundedMap::default();
        map.insert("key", 1, 1);
        map.insert("key", 2, 1);
        assert_eq!(map.values().collect::<Vec<_>>(), [&2]);
        assert_eq!(map.bytes, 1);
    }
}
