//! Ledger of an attempt's calls: which occurrence of a request a call is, and which calls are under
//! way.
//!
//! A call is a step, and its key is made of the digest of its request and of the occurrence, so that
//! the next attempt of the run finds it again. A request that a client repeats because it got no
//! answer is the same occurrence.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use errand_model::Digest;

use crate::bounds::DIGESTS;
use crate::transcript::Transcript;

/// Calls of an attempt by the digest of their requests.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<HashMap<Digest, Vec<CallState>>>);

/// State of one occurrence of a request.
#[derive(Clone, Debug)]
enum CallState {
    UnderWay(Arc<Transcript>),
    Completed,
    Failed,
}

/// Way in which a client sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Try {
    /// The client says that it sends the request for the first time.
    First,
    /// The client says that it repeats the request.
    Again,
    /// The client does not say.
    Unsaid,
}

/// Entry of a request in the ledger.
#[derive(Debug)]
pub(crate) enum Entry {
    /// The call is under way: its answer is for this client too.
    Join(Arc<Transcript>),
    /// The call is to be made, or was made in an earlier attempt.
    Begin(Occurrence),
}

/// Occurrence of a request that is to be called.
#[derive(Clone, Debug)]
pub(crate) struct Occurrence {
    pub(crate) digest: Digest,
    /// Number of the occurrence, from 1.
    pub(crate) number: usize,
    /// Transcript of its answer.
    pub(crate) transcript: Arc<Transcript>,
}

impl Ledger {
    /// Enters a request.
    pub(crate) fn enter(&self, digest: &Digest, sent: Try) -> Entry {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() >= DIGESTS && !calls.contains_key(digest) {
            calls.retain(|_, states| {
                states.iter().any(|state| matches!(state, CallState::UnderWay(_)))
            });
        }
        let states = calls.entry(digest.clone()).or_default();
        let repeated = match states.last() {
            Some(CallState::UnderWay(transcript)) => {
                let joins = match sent {
                    Try::First => false,
                    Try::Again => true,
                    // Two equal requests at once are two calls; one whose client went away is
                    // repeated.
                    Try::Unsaid => transcript.is_abandoned(),
                };
                if joins {
                    return Entry::Join(Arc::clone(transcript));
                }
                false
            }
            Some(CallState::Completed) => sent == Try::Again,
            Some(CallState::Failed) => true,
            None => false,
        };
        let transcript = Transcript::new();
        let state = CallState::UnderWay(Arc::clone(&transcript));
        match states.last_mut().filter(|_| repeated) {
            Some(last) => *last = state,
            None => states.push(state),
        }
        Entry::Begin(Occurrence { digest: digest.clone(), number: states.len(), transcript })
    }

    /// Enters a call whose recorded answer was not kept as a further occurrence of its request, with
    /// the same transcript.
    pub(crate) fn anew(&self, occurrence: &Occurrence) -> Occurrence {
        self.completed(occurrence);
        let Occurrence { digest, transcript, .. } = occurrence;
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let states = calls.entry(digest.clone()).or_default();
        states.push(CallState::UnderWay(Arc::clone(transcript)));
        let number = states.len();
        Occurrence { digest: digest.clone(), number, transcript: Arc::clone(transcript) }
    }

    /// Notes that a call was completed, and recorded.
    pub(crate) fn completed(&self, occurrence: &Occurrence) {
        self.end(occurrence, CallState::Completed);
    }

    /// Notes that a call failed, or was refused: the next equal request makes it again.
    pub(crate) fn failed(&self, occurrence: &Occurrence) {
        self.end(occurrence, CallState::Failed);
    }

    fn end(&self, occurrence: &Occurrence, ended: CallState) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let states = calls.get_mut(&occurrence.digest);
        if let Some(state) = states.and_then(|states| states.get_mut(occurrence.number - 1)) {
            *state = ended;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(entry: Entry) -> Option<(usize, Occurrence)> {
        match entry {
            Entry::Begin(occurrence) => Some((occurrence.number, occurrence)),
            Entry::Join(_) => None,
        }
    }

    #[test]
    fn equal_requests_are_occurrences_and_repeated_ones_are_not() {
        let (ledger, digest) = (Ledger::default(), Digest::of(b"request"));
        let (first, call) = number(ledger.enter(&digest, Try::First)).unwrap();
        assert_eq!(first, 1);
        let reader = call.transcript.reader();
        assert!(number(ledger.enter(&digest, Try::Again)).is_none(), "a retry joins");
        let (second, other) = number(ledger.enter(&digest, Try::Unsaid)).unwrap();
        assert_eq!(second, 2, "its client is still there");
        ledger.failed(&other);
        let (again, other) = number(ledger.enter(&digest, Try::First)).unwrap();
        assert_eq!(again, 2, "a failed call is made again");
        ledger.completed(&other);
        drop(reader);
        let (repeated, other) = number(ledger.enter(&digest, Try::Again)).unwrap();
        assert_eq!(repeated, 2, "a completed call is served again");
        ledger.completed(&other);
        assert_eq!(number(ledger.enter(&digest, Try::Unsaid)).map(|it| it.0), Some(3));
        assert!(number(ledger.enter(&digest, Try::Unsaid)).is_none(), "nobody reads it");
    }
}
