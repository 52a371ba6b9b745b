//! Lock of a server: whether it requires API keys.
//!
//! A server is open only on a loopback address, and only while there is no key: the first key locks
//! every server within moments, and nothing unlocks a running one.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use errand_engine::{Engine, keys};
use errand_model::Timestamp;
use thiserror::Error;

/// Error: a server would be open to other machines.
#[derive(Clone, Debug, Error)]
#[error("{address} can be reached by other machines, and there is no API key")]
pub struct ListenOpen {
    /// Address of the server.
    pub address: SocketAddr,
}

/// State that says whether keys are required.
#[derive(Debug, Default)]
pub struct Lock {
    is_locked: AtomicBool,
    looked_at: Mutex<Option<Timestamp>>,
}

impl Lock {
    /// Reads from the registry whether there are keys.
    ///
    /// # Errors
    ///
    /// [`keys::Error`] if the registry fails.
    pub async fn of(engine: &Engine) -> Result<Self, keys::Error> {
        let lock = Self::default();
        lock.is_locked.store(keys::any(engine).await?, Ordering::Relaxed);
        Ok(lock)
    }

    /// Returns true if keys are required, as far as this process knows.
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

    /// Returns true if keys are required now. An open server checks the registry for new keys now
    /// and then.
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
