//! Items that came in a certain order, and may come so again.
//!
//! A run of one attempt is repeated item by item. A run of several attempts is repeated by a single
//! attempt from the start to the end: each attempt but the last may have stopped at any point, and
//! the next continued there or repeated some of it. Every order that leads from the first item to
//! the end of the last attempt in that way matches the record.
//!
//! Items that came while a step was under way may be from its command, which a replay does not
//! execute: such an item may come or not.

use std::collections::BTreeSet;

/// Recorded items by attempt, and the position of a replay.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ReplayTrack<T> {
    attempts: Vec<Vec<Item<T>>>,
    /// Places (attempt, item) that the replay may stand at: before that item.
    places: BTreeSet<(usize, usize)>,
}

/// Something that came.
#[derive(Clone, Debug, PartialEq)]
struct Item<T> {
    what: T,
    /// True if it came while a step was under way.
    in_step: bool,
}

impl<T> Default for ReplayTrack<T> {
    fn default() -> Self {
        Self { attempts: Vec::new(), places: BTreeSet::from([(0, 0)]) }
    }
}

impl<T: PartialEq> ReplayTrack<T> {
    /// Takes down an item of attempt `number`, which counts from 1.
    pub(super) fn record(&mut self, number: u32, what: T, in_step: bool) {
        self.reach(number);
        if let Some(last) = self.attempts.last_mut() {
            last.push(Item { what, in_step });
        }
    }

    /// Takes down that there was an attempt of that number.
    pub(super) fn reach(&mut self, number: u32) {
        let number = usize::try_from(number).unwrap_or(0);
        while self.attempts.len() < number.max(1) {
            self.attempts.push(Vec::new());
        }
    }

    /// Takes one item of the replay in.
    ///
    /// # Errors
    ///
    /// Recorded event in its place; `None`: nothing more was recorded.
    pub(super) fn follow(&mut self, found: &T) -> Result<(), Option<&T>> {
        let open = self.open();
        let next: BTreeSet<_> = open
            .iter()
            .filter(|place| self.at(**place).is_some_and(|item| item.what == *found))
            .map(|(attempt, item)| (*attempt, item + 1))
            .collect();
        if next.is_empty() {
            return Err(self.due(&open));
        }
        self.places = next;
        Ok(())
    }

    /// Returns a recorded item that did not come; `None`: the end is reached.
    pub(super) fn rest(&self) -> Option<&T> {
        let open = self.open();
        let (last, length) = match self.attempts.split_last() {
            Some((items, before)) => (before.len(), items.len()),
            None => return None,
        };
        if open.contains(&(last, length)) {
            return None;
        }
        self.due(&open)
    }

    /// Returns the item that comes next at one of these positions, the last of them first.
    fn due(&self, open: &BTreeSet<(usize, usize)>) -> Option<&T> {
        let items = || open.iter().rev().filter_map(|place| self.at(*place));
        items().find(|item| !item.in_step).or_else(|| items().next()).map(|item| &item.what)
    }

    /// Returns the number of recorded items.
    pub(super) fn len(&self) -> usize {
        self.attempts.iter().map(Vec::len).sum()
    }

    fn at(&self, (attempt, item): (usize, usize)) -> Option<&Item<T>> {
        self.attempts.get(attempt)?.get(item)
    }

    /// All places that the replay may stand at: an attempt may be left anywhere, and what came in
    /// a step be left out.
    fn open(&self) -> BTreeSet<(usize, usize)> {
        let first = self.places.iter().map(|(attempt, _)| *attempt).min().unwrap_or(0);
        let later = (first + 1..self.attempts.len()).map(|attempt| (attempt, 0));
        let mut open: BTreeSet<_> = self.places.iter().copied().chain(later).collect();
        for (attempt, item) in open.clone() {
            let mut next = item;
            while self.at((attempt, next)).is_some_and(|item| item.in_step) {
                next += 1;
                open.insert((attempt, next));
            }
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(recorded: &[&str], replayed: &str) -> Result<(), String> {
        let mut track = ReplayTrack::default();
        for (number, items) in (1..).zip(recorded) {
            track.reach(number);
            // Capitals come within a step.
            items
                .chars()
                .for_each(|c| track.record(number, c.to_ascii_lowercase(), c.is_ascii_uppercase()));
        }
        for found in replayed.chars() {
            let shown = |expected: Option<&char>| format!("{found} for {expected:?}");
            track.follow(&found).map_err(shown)?;
        }
        track.rest().map_or(Ok(()), |rest| Err(format!("no {rest}")))
    }

    #[test]
    fn one_attempt_is_repeated_item_by_item() {
        assert_eq!(check(&["abc"], "abc"), Ok(()));
        assert_eq!(check(&[], ""), Ok(()));
        assert_eq!(check(&["abc"], "ab"), Err("no c".to_owned()));
        assert_eq!(check(&["abc"], "aXc"), Err("X for Some('b')".to_owned()));
        assert_eq!(check(&["abc"], "abcd"), Err("d for None".to_owned()));
        assert_eq!(check(&[], "d"), Err("d for None".to_owned()));
    }

    #[test]
    fn what_came_in_a_step_may_come_or_not() {
        for replayed in ["ab", "axb", "ayb", "axyb"] {
            assert_eq!(check(&["aXYb"], replayed), Ok(()), "{replayed}");
        }
        assert_eq!(check(&["aXYb"], "ayxb"), Err("x for Some('b')".to_owned()));
        assert_eq!(check(&["aX"], "a"), Ok(()));
        assert_eq!(check(&["Xa"], "x"), Err("no a".to_owned()));
    }

    #[test]
    fn several_attempts_are_repeated_as_one() {
        for replayed in ["abcd", "abbcd", "bcd"] {
            assert_eq!(check(&["ab", "bcd"], replayed), Ok(()), "{replayed}");
        }
        assert_eq!(check(&["abc", "", "abcd"], "abcd"), Ok(()));
        assert_eq!(check(&["ab", "bcd"], "ab"), Err("no c".to_owned()));
        assert!(check(&["ab", "bcd"], "acd").is_err());
        assert_eq!(check(&["ab", ""], "a"), Ok(()));
    }
}
