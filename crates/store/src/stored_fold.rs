//! How far a run's stored fold may be behind its journal.

use errand_model::run::Run;

/// No more events than so many lie between a run's stored fold and the end of its journal: what a
/// load has to fold at most, however long the journal is.
const FOLD_LIMIT: u64 = 64;

/// Whether a fold has to be stored now that a journal has `seq` events, where the one that is stored
/// has `stored_seq` of them (0: there is none).
///
/// A coordinator's fold grows with its children, as its journal does: it is stored whenever the
/// journal has twice as many events as the fold that is there, so that all of them together are no
/// more than the journal. A load then folds no more than half of the journal.
pub(crate) const fn is_behind(run: &Run, seq: u64, stored_seq: u64) -> bool {
    seq.saturating_sub(stored_seq) >= limit(run.coordination.is_some(), stored_seq)
}

const fn limit(grows: bool, stored_seq: u64) -> u64 {
    if grows && stored_seq > FOLD_LIMIT { stored_seq } else { FOLD_LIMIT }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many folds are stored on the way to that many events, and the events in all of them.
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
    fn what_is_stored_of_a_fold_that_grows_is_no_more_than_twice_its_journal() {
        for events in [64, 1_000, 40_000] {
            let (_, total) = stored(true, events);
            assert!(total <= 2 * events, "{total} of {events}");
        }
        assert_eq!(stored(false, 6_400).0, 100);
    }
}
