//! Occurrences of equal calls in an attempt, and calls under way.
//!
//! A call is a step whose key is made of its digest and its occurrence, so that the next attempt
//! finds it again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use errand_model::Digest;
use tokio::sync::watch;

use super::bounds;

/// Result of a call, as JSON, once it is there.
pub(crate) type CallResult = watch::Receiver<Option<Arc<str>>>;

/// Calls of an attempt by their digests.
#[derive(Debug, Default)]
pub(crate) struct Occurrences(Mutex<HashMap<Digest, Vec<CallState>>>);

#[derive(Debug)]
enum CallState {
    UnderWay(watch::Sender<Option<Arc<str>>>),
    Completed,
    Failed,
}

/// Place of a call among equal ones.
#[derive(Debug)]
pub(crate) enum Entered {
    /// The call is to be made, or was made in an earlier attempt.
    Begin {
        /// Number of the occurrence, from 1.
        number: usize,
        result: CallResult,
    },
    /// An equal call is under way whose client has gone: its result is for this client.
    Join(CallResult),
}

impl Occurrences {
    /// Enters a call.
    pub(crate) fn enter(&self, digest: &Digest) -> Entered {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() >= bounds::DIGESTS && !calls.contains_key(digest) {
            calls.retain(|_, states| {
                states.iter().any(|state| matches!(state, CallState::UnderWay(_)))
            });
        }
        let states = calls.entry(digest.clone()).or_default();
        for state in states.iter() {
            if let CallState::UnderWay(result) = state
                && result.receiver_count() == 0
            {
                return Entered::Join(result.subscribe());
            }
        }
        let (sender, result) = watch::channel(None);
        let state = CallState::UnderWay(sender);
        let failed = states.iter().position(|state| matches!(state, CallState::Failed));
        let number = match failed {
            Some(place) => {
                states[place] = state;
                place + 1
            }
            None => {
                states.push(state);
                states.len()
            }
        };
        Entered::Begin { number, result }
    }

    /// Hands the result of a call to its client, and notes that the call was completed.
    pub(crate) fn completed(&self, (digest, number): (&Digest, usize), result: Arc<str>) {
        self.end((digest, number), CallState::Completed, result);
    }

    /// Hands the result of a call to its client, and notes that the next equal call makes it again.
    pub(crate) fn failed(&self, (digest, number): (&Digest, usize), result: Arc<str>) {
        self.end((digest, number), CallState::Failed, result);
    }

    fn end(&self, (digest, number): (&Digest, usize), ended: CallState, result: Arc<str>) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let states = calls.get_mut(digest);
        if let Some(state) = states.and_then(|states| states.get_mut(number - 1))
            && let CallState::UnderWay(client) = std::mem::replace(state, ended)
        {
            client.send_replace(Some(result));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(entered: &Entered) -> Option<usize> {
        match entered {
            Entered::Begin { number, .. } => Some(*number),
            Entered::Join(_) => None,
        }
    }

    #[test]
    fn equal_calls_are_occurrences_and_a_failed_one_is_made_again() {
        let (all, digest) = (Occurrences::default(), Digest::of(b"call"));
        let first = all.enter(&digest);
        assert_eq!(number(&first), Some(1));
        let second = all.enter(&digest);
        assert_eq!(number(&second), Some(2), "the client of the first is still there");
        all.failed((&digest, 1), "{}".into());
        assert_eq!(number(&all.enter(&digest)), Some(1), "it failed");
        drop(second);
        assert!(number(&all.enter(&digest)).is_none(), "its client has gone");
        all.completed((&digest, 2), "{}".into());
        all.completed((&digest, 1), "{}".into());
        assert_eq!(number(&all.enter(&digest)), Some(3));
    }
}
