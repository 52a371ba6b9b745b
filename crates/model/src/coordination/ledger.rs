//! A map that is cheap to copy: a turn is tried on a copy, and a coordinator may have thousands of
//! children.
//!
//! Entries are kept in pages that copies share until one of them changes a page. Deliberately
//! absent: everything that a coordinator does not need of a map.

use std::collections::{BTreeMap, btree_map};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A page with more entries is split: copying one is then still cheap.
const PAGE_LIMIT: usize = 64;

/// Entries by key, in the order of their keys.
#[derive(Clone, Debug)]
pub struct Ledger<V> {
    /// In order; none is empty.
    pages: Vec<Arc<BTreeMap<String, V>>>,
    len: usize,
}

impl<V> Default for Ledger<V> {
    fn default() -> Self {
        Self { pages: Vec::new(), len: 0 }
    }
}

impl<V> Ledger<V> {
    /// Returns the number of entries.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns true if there is no entry.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entry of that key.
    pub fn get(&self, key: &str) -> Option<&V> {
        self.pages.get(self.page_of(key)?)?.get(key)
    }

    /// Returns true if there is an entry of that key.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// All entries, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &V)> {
        self.pages.iter().flat_map(|page| page.iter())
    }

    /// All keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.iter().map(|(key, _)| key)
    }

    /// All values, in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// The page in which the key is, if it is anywhere.
    fn page_of(&self, key: &str) -> Option<usize> {
        let begins_before = |page: &Arc<BTreeMap<String, V>>| {
            page.first_key_value().is_some_and(|(first, _)| first.as_str() <= key)
        };
        self.pages.partition_point(begins_before).checked_sub(1)
    }
}

impl<V: Clone> Ledger<V> {
    /// The entry of that key, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        let page = self.page_of(key)?;
        if !self.pages.get(page)?.contains_key(key) {
            return None;
        }
        Arc::make_mut(self.pages.get_mut(page)?).get_mut(key)
    }

    /// Puts an entry there, and returns the one that was there before.
    pub fn insert(&mut self, key: String, value: V) -> Option<V> {
        let at = self.page_of(&key).unwrap_or(0);
        let Some(page) = self.pages.get_mut(at) else {
            self.pages.push(Arc::new(BTreeMap::from([(key, value)])));
            self.len = 1;
            return None;
        };
        let page = Arc::make_mut(page);
        let before = page.insert(key, value);
        if page.len() > PAGE_LIMIT {
            let middle = page.keys().nth(PAGE_LIMIT / 2).cloned().unwrap_or_default();
            let upper = page.split_off(&middle);
            self.pages.insert(at + 1, Arc::new(upper));
        }
        self.len += usize::from(before.is_none());
        before
    }

    /// Takes the entry of that key away.
    pub fn remove(&mut self, key: &str) -> Option<V> {
        let at = self.page_of(key)?;
        if !self.pages.get(at)?.contains_key(key) {
            return None;
        }
        let page = Arc::make_mut(self.pages.get_mut(at)?);
        let value = page.remove(key);
        if page.is_empty() {
            self.pages.remove(at);
        }
        self.len -= usize::from(value.is_some());
        value
    }
}

/// Two with the same entries are equal, however they came about.
impl<V: PartialEq> PartialEq for Ledger<V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<V: Clone> FromIterator<(String, V)> for Ledger<V> {
    fn from_iter<T: IntoIterator<Item = (String, V)>>(entries: T) -> Self {
        let mut ledger = Self::default();
        for (key, value) in entries {
            ledger.insert(key, value);
        }
        ledger
    }
}

impl<V: Serialize> Serialize for Ledger<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, V: Clone + Deserialize<'de>> Deserialize<'de> for Ledger<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries: BTreeMap<String, V> = Deserialize::deserialize(deserializer)?;
        let entries: btree_map::IntoIter<String, V> = entries.into_iter();
        Ok(entries.collect())
    }
}

/// Something large that many copies share.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shared<T>(Arc<T>);

impl<T> Shared<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Arc::new(value))
    }

    pub(crate) fn get(&self) -> &T {
        &self.0
    }
}

impl<T: Serialize> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_map_that_it_stands_for() {
        let mut map = BTreeMap::new();
        let mut ledger = Ledger::default();
        for round in 0..4_000_u32 {
            let key = format!("k{}", round.wrapping_mul(2_654_435_761) % 700);
            if round % 3 == 0 {
                assert_eq!(ledger.remove(&key), map.remove(&key));
            } else {
                let copy = ledger.clone();
                assert_eq!(ledger.insert(key.clone(), round), map.insert(key, round));
                assert!(copy.len() <= ledger.len());
            }
            assert_eq!(ledger.len(), map.len());
        }
        assert!(ledger.iter().eq(map.iter()));
        let text = serde_json::to_string(&ledger).unwrap();
        assert_eq!(serde_json::from_str::<Ledger<u32>>(&text).unwrap(), ledger);
        for key in map.keys() {
            *ledger.get_mut(key).unwrap() += 1;
        }
        assert!(ledger.values().eq(map.values().map(|value| value + 1).collect::<Vec<_>>().iter()));
    }
}
