//! Limit on the number of events by which a run's stored fold may lag behind its journal.

use errand_model::run::Run;

/// Upper bound on the events between a run's stored fold and the end of its journal: a load folds
/// at most so many, however long the journal is.
const FOLD_LIMIT: u64 = 64;

/// Returns true if a fold has to be stored for a journal with `seq` events whose stored fold covers
/// `stored_seq` (0: none is stored).
///
/// A coordinator's fold grows with its children, as its journal does. It is stored whenever the
/// journal has twice as many events as the stored fold, so that all stored folds together are no
/// longer than the journal. A load then folds at most half of the journal.
pub(crate) const fn is_behind(run: &Run, seq: u64, stored_seq: u64) -> bool {
    seq.saturating_sub(stored_seq) >= limit(run.coordination.is_some(), stored_seq)
}

const fn limit(grows: bool, stored_seq: u64) -> u64 {
    if grows && stored_seq > FOLD_LIMIT { stored_seq } else { FOLD_LIMIT }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts the folds that are stored on the way to that many events, and the events in all of
    /// them.
    fn stored(grows: bool, events: u64) -> (u64, u64) {
        let (mut count, mut total, mut last) = (0, 0, 0);
        for seq in 1..=events {
            if seq - last >= limit(grows, last) {
                (count, total, last) = (count + 1, total + seq, seq);
            }
        }
        (count, total)
    }

    #[test]
    fn stored_folds_that_grow_sum_to_at_most_twice_their_journal() {
        for events in [64, 1_000, 40_000] {
            let (_, total) = stored(true, events);
            assert!(total <= 2 * events, "{total} of {events}");
        }
        assert_eq!(stored(false, 6_400).0, 100);
    }
}
