//! Whether anybody is let in without a key.
//!
//! Only on a loopback address, and only for as long as there is no key: the first key locks the
//! door of every server within moments, and nothing unlocks it while the server runs.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use errand_engine::{Engine, keys};
use errand_model::Timestamp;
use thiserror::Error;

/// A server would let in whoever reaches it.
#[derive(Clone, Debug, Error)]
#[error("{address} can be reached by other machines, and there is no API key")]
pub struct ListenOpen {
    /// Where it would listen.
    pub address: SocketAddr,
}

/// Whether keys are asked for.
#[derive(Debug, Default)]
pub struct Lock {
    is_locked: AtomicBool,
    looked_at: Mutex<Option<Timestamp>>,
}

impl Lock {
    /// Looks whether there are keys.
    ///
    /// # Errors
    ///
    /// [`keys::Error`] if the registry fails.
    pub async fn of(engine: &Engine) -> Result<Self, keys::Error> {
        let lock = Self::default();
        lock.is_locked.store(keys::any(engine).await?, Ordering::Relaxed);
        Ok(lock)
    }

    /// Whether a key is asked for, as far as that is known.
    pub fn is_locked(&self) -> bool {
        self.is_locked.load(Ordering::Relaxed)
    }

    /// Refuses an address that other machines reach while there is no key.
    ///
    /// # Errors
    ///
    /// [`ListenOpen`].
    pub fn check(&self, address: SocketAddr) -> Result<(), ListenOpen> {
        if self.is_locked() || address.ip().is_loopback() {
            Ok(())
        } else {
            Err(ListenOpen { address })
        }
    }

    /// Whether a key is asked for now: while the door is open, it is looked now and then whether
    /// somebody made a key.
    ///
    /// # Errors
    ///
    /// [`keys::Error`] if the registry fails.
    pub(crate) async fn is_locked_now(&self, engine: &Engine) -> Result<bool, keys::Error> {
        if self.is_locked() {
            return Ok(true);
        }
        if self.is_due(engine.now()) && keys::any(engine).await? {
            self.is_locked.store(true, Ordering::Relaxed);
        }
        Ok(self.is_locked())
    }

    fn is_due(&self, now: Timestamp) -> bool {
        let mut looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = looked_at.is_some_and(|at| now >= at && now.since(at) < keys::ACTS_WITHIN);
        if !is_fresh {
            *looked_at = Some(now);
        }
        !is_fresh
    }
}
