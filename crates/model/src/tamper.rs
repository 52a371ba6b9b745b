//! Diagnosis of a damaged journal from its hashes.
//!
//! The chain shows the first event that was changed. The events behind it that continue the chain,
//! and their numbers, tell which of four kinds of damage it is. Deliberately absent: a second copy
//! of the journal for comparison.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

use crate::chain::{Head, hash_at};
use crate::event::Event;
use crate::hash::Hash;

/// Largest number of hashes that one diagnosis computes.
const PATIENCE: usize = 200_000;

/// Kind of damage to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tampering {
    /// The event has another content, number or hash than the one that was written.
    Changed,
    /// The event is missing.
    Removed,
    /// The event stands in another place.
    Reordered,
    /// The event was never written, or is a copy of another one.
    Added,
}

impl fmt::Display for Tampering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Reordered => "reordered",
            Self::Added => "added",
        })
    }
}

/// The first event that is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Tampered {
    /// Its place in the journal: up to the one before it, all is as it was written.
    pub seq: u64,
    /// Kind of damage.
    pub tampering: Tampering,
}

impl fmt::Display for Tampered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seq = self.seq;
        match self.tampering {
            Tampering::Changed => write!(f, "event {seq} was changed"),
            Tampering::Removed => write!(f, "event {seq} was removed"),
            Tampering::Reordered => write!(f, "event {seq} is not in its place: it was reordered"),
            Tampering::Added => write!(f, "an event was added in the place of event {seq}"),
        }
    }
}

/// Says what was done to a journal that holds up to `head`, and not beyond: `rest` is what stands
/// there, in the order in which it stands; empty if nothing does although more was written.
pub fn diagnose(head: Head, rest: &[Event]) -> Tampered {
    let seq = head.seq + 1;
    let tampering = Suspect { rest, patience: PATIENCE }.tampering(head);
    Tampered { seq, tampering }
}

struct Suspect<'e> {
    rest: &'e [Event],
    patience: usize,
}

impl Suspect<'_> {
    fn tampering(&mut self, head: Head) -> Tampering {
        let seq = head.seq + 1;
        let Some(first) = self.rest.first() else { return Tampering::Removed };
        match self.continuing(head, 0..self.rest.len(), &[]) {
            // Either the event under another number, or a copy of an event that follows.
            Some(0) if self.rest.get(1).is_some_and(|next| is_next(head, next)) => Tampering::Added,
            Some(0) => Tampering::Changed,
            Some(found) => self.displaced(head, found),
            None if first.seq > seq => Tampering::Removed,
            None if first.seq < seq => Tampering::Added,
            None => self.replaced(seq),
        }
    }

    /// The event that was written next stands at `found`: does what stands before it belong further
    /// back, or nowhere?
    fn displaced(&mut self, mut head: Head, mut found: usize) -> Tampering {
        let mut used = vec![false; self.rest.len()];
        loop {
            let (Some(event), Some(used_up)) = (self.rest.get(found), used.get_mut(found)) else {
                return Tampering::Added;
            };
            *used_up = true;
            head = Head { seq: head.seq + 1, hash: event.hash };
            if self.rest.first().is_some_and(|first| is_next(head, first)) {
                return Tampering::Reordered;
            }
            // Most often what follows stands right behind.
            let behind = self.continuing(head, found + 1..self.rest.len(), &used);
            match behind.or_else(|| self.continuing(head, 1..found, &used)) {
                Some(next) => found = next,
                None => return Tampering::Added,
            }
        }
    }

    /// Another event has the number of the one that was written. Where those behind it moved up,
    /// it was removed; otherwise it was changed.
    fn replaced(&self, seq: u64) -> Tampering {
        let [first, second, ..] = self.rest else { return Tampering::Changed };
        // What stands first was written as number `seq + 1` then, and what follows as `seq + 2`.
        let moved_up = Head { seq: seq + 1, hash: first.hash };
        if is_next(moved_up, second) { Tampering::Removed } else { Tampering::Changed }
    }

    /// The first event of `places` that continues `head` under whatever number, but for those that
    /// are `used` up.
    fn continuing(&mut self, head: Head, places: Range<usize>, used: &[bool]) -> Option<usize> {
        for place in places {
            if used.get(place) == Some(&true) {
                continue;
            }
            self.patience = self.patience.checked_sub(1)?;
            if self.rest.get(place).is_some_and(|event| is_next(head, event)) {
                return Some(place);
            }
        }
        None
    }
}

/// Returns true if `event` was written after `head`, apart from its number.
fn is_next(head: Head, event: &Event) -> bool {
    event.hash != Hash::ZERO && hash_at(head.hash, event, head.seq + 1) == event.hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventBody, OutputDelta};
    use crate::{RunId, Timestamp};

    fn journal(length: u64) -> Vec<Event> {
        let run_id = RunId::new(Timestamp::from_millis(1), 1);
        let mut head = Head::EMPTY;
        (0..length)
            .map(|n| {
                let body =
                    EventBody::OutputDelta(OutputDelta { text: n.to_string(), offset: None });
                head.seal(&run_id, Timestamp::from_millis(5), 1, &body)
            })
            .collect()
    }

    /// Returns the diagnosis of a journal of six events after a change.
    fn found(change: impl FnOnce(&mut Vec<Event>)) -> Option<(u64, Tampering)> {
        let mut events = journal(6);
        change(&mut events);
        let mut head = Head::EMPTY;
        for (place, event) in events.iter().enumerate() {
            if head.verify(event).is_err() {
                let told = diagnose(head, &events[place..]);
                return Some((told.seq, told.tampering));
            }
        }
        None
    }

    fn renumber(events: &mut [Event]) {
        for (event, seq) in events.iter_mut().zip(1..) {
            event.seq = seq;
        }
    }

    #[test]
    fn what_was_done_is_told_from_the_hashes_alone() {
        use Tampering::{Added, Changed, Removed, Reordered};
        assert_eq!(found(|_| ()), None);
        for place in 0..6 {
            let seq = u64::try_from(place).unwrap() + 1;
            let changed = found(|events| events[place].data = "{\"text\":\"x\"}".to_owned());
            assert_eq!(changed, Some((seq, Changed)));
            assert_eq!(found(|events| events[place].attempt += 1), Some((seq, Changed)));
            assert_eq!(found(|events| events[place].hash = Hash::ZERO), Some((seq, Changed)));
            assert_eq!(found(|events| events[place].seq += 70), Some((seq, Changed)));
            let stranger = || Event { data: "{}".to_owned(), ..journal(1)[0].clone() };
            assert_eq!(
                found(|events| events.insert(place, Event { seq, ..stranger() })),
                Some((seq, Added))
            );
            let renumbered = found(|events| {
                events.insert(place, stranger());
                renumber(events);
            });
            assert_eq!(renumbered, Some((seq, Added)));
            let twice = found(|events| events.insert(place + 1, events[place].clone()));
            assert_eq!(twice, Some((seq + 1, Added)));
            let before =
                found(|events| events.insert(place, Event { seq: 0, ..events[place].clone() }));
            assert_eq!(before, Some((seq, Added)));
        }
        for place in 0..5 {
            let seq = u64::try_from(place).unwrap() + 1;
            assert_eq!(found(|events| drop(events.remove(place))), Some((seq, Removed)));
            assert_eq!(found(|events| events.swap(place, place + 1)), Some((seq, Reordered)));
            let renumbered = found(|events| {
                events.swap(place, place + 1);
                renumber(events);
            });
            assert_eq!(renumbered, Some((seq, Reordered)));
            assert_eq!(found(|events| events[place..].reverse()), Some((seq, Reordered)));
        }
        for place in 0..4 {
            let seq = u64::try_from(place).unwrap() + 1;
            let renumbered = found(|events| {
                events.remove(place);
                renumber(events);
            });
            assert_eq!(renumbered, Some((seq, Removed)));
        }
        assert_eq!(diagnose(Head::EMPTY, &[]).tampering, Removed);
    }
}
