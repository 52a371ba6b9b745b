//! Lookups of agents' versions: requests that arrive together share one.
//!
//! Deliberately absent: a cache. A version may be replaced at any time, also by another process, so
//! every lookup begins after the requests that it is for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use errand_engine::Engine;
use errand_engine::agents::{self, Version};
use tokio::sync::oneshot;

/// An agent as a request names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct LookupKey {
    namespace: Option<String>,
    name: String,
    version: Option<String>,
}

/// Lookups that are about to begin, each with the requests that wait for it: no more than the
/// server has requests.
#[derive(Debug, Default)]
pub(crate) struct VersionLookups {
    waiting: Mutex<HashMap<LookupKey, Vec<oneshot::Sender<Version>>>>,
}

impl VersionLookups {
    /// Returns the version of an agent, as [`agents::find`] does.
    ///
    /// # Errors
    ///
    /// As [`agents::find`].
    pub(crate) async fn find(
        &self,
        engine: &Engine,
        namespace: Option<&str>,
        name: &str,
        version: Option<&str>,
    ) -> Result<Version, agents::Error> {
        let key = LookupKey {
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
            version: version.map(str::to_owned),
        };
        if let Some(answer) = self.join(&key)
            && let Ok(found) = answer.await
        {
            return Ok(found);
        }
        // The first of several requests, or one whose first failed: it gets an error of its own.
        let mut lookup = PendingLookup { lookups: self, key: Some(key) };
        tokio::task::yield_now().await;
        let others = lookup.close();
        let found = agents::find(engine, namespace, name, version).await?;
        for other in others {
            // The request may have been dropped.
            drop(other.send(found.clone()));
        }
        Ok(found)
    }

    /// Joins the lookup that is about to begin; `None` if the caller has to begin one.
    fn join(&self, key: &LookupKey) -> Option<oneshot::Receiver<Version>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(others) = waiting.get_mut(key) {
            let (sender, answer) = oneshot::channel();
            others.push(sender);
            return Some(answer);
        }
        waiting.insert(key.clone(), Vec::new());
        None
    }
}

/// A lookup that others may join. Dropping it lets each of them look for itself.
struct PendingLookup<'a> {
    lookups: &'a VersionLookups,
    /// Set while others may join.
    key: Option<LookupKey>,
}

impl PendingLookup<'_> {
    /// Returns the requests that joined. Later ones join another lookup.
    fn close(&mut self) -> Vec<oneshot::Sender<Version>> {
        let Some(key) = self.key.take() else { return Vec::new() };
        let mut waiting = self.lookups.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(&key).unwrap_or_default()
    }
}

impl Drop for PendingLookup<'_> {
    fn drop(&mut self) {
        drop(self.close());
    }
}
