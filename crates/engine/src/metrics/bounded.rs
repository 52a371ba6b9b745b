//! Counters by name, with a bound on the number of names.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Name that stands for all names beyond the bound.
pub const OTHER: &str = "_other";

/// A name type with a substitute for names beyond the bound.
pub trait Overflow {
    /// Returns the substitute.
    fn overflow(&self) -> Self;
}

impl Overflow for &'static str {
    fn overflow(&self) -> Self {
        OTHER
    }
}

impl Overflow for String {
    fn overflow(&self) -> Self {
        OTHER.to_owned()
    }
}

/// Of agent and status, the status is kept.
impl Overflow for (String, &'static str) {
    fn overflow(&self) -> Self {
        (OTHER.to_owned(), self.1)
    }
}

impl Overflow for (String, String) {
    fn overflow(&self) -> Self {
        (OTHER.to_owned(), OTHER.to_owned())
    }
}

/// Values by name; all names beyond the bound share one value.
#[derive(Debug)]
pub struct Bounded<K, V> {
    limit: usize,
    values: Mutex<BTreeMap<K, Arc<V>>>,
}

impl<K: Ord + Clone + Overflow, V> Bounded<K, V> {
    /// Returns an empty map for at most `limit` names and one substitute.
    pub const fn new(limit: usize) -> Self {
        Self { limit, values: Mutex::new(BTreeMap::new()) }
    }

    /// Returns the value of a name; `make` creates it at first use.
    pub fn of(&self, name: K, make: impl FnOnce() -> V) -> Arc<V> {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let has_place = values.len() < self.limit || values.contains_key(&name);
        let name = if has_place { name } else { name.overflow() };
        Arc::clone(values.entry(name).or_insert_with(|| Arc::new(make())))
    }

    /// Returns all values with their names.
    pub fn all(&self) -> Vec<(K, Arc<V>)> {
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        values.iter().map(|(name, value)| (name.clone(), Arc::clone(value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Counter;

    #[test]
    fn names_beyond_the_limit_are_counted_together() {
        let bounded: Bounded<String, Counter> = Bounded::new(2);
        for name in ["a", "b", "c", "d", "a"] {
            bounded.of(name.to_owned(), Counter::default).add(1);
        }
        let all: Vec<_> =
            bounded.all().into_iter().map(|(name, value)| (name, value.get())).collect();
        let expected = [(OTHER, 2), ("a", 2), ("b", 1)];
        assert_eq!(all, expected.map(|(name, count)| (name.to_owned(), count)));
    }
}
