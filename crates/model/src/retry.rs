//! When a failed attempt is tried again, and after how long.
//!
//! Pure: a replay computes the same delays, jitter included.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Failure;

/// How often and how late a failed attempt is tried again. From the agent file's `retry_policy`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Attempts after the first; 0: none.
    pub max_retries: u32,
    /// How delays grow.
    pub backoff: Backoff,
    /// The delay before the first retry.
    #[serde(rename = "initial_delay_ms", with = "crate::millis")]
    pub initial_delay: Duration,
    /// No delay is longer.
    #[serde(rename = "max_delay_ms", with = "crate::millis")]
    pub max_delay: Duration,
    /// Error codes that are tried again; empty: all that [`is_transient`] says.
    pub retry_on: Vec<String>,
}

/// How delays grow from retry to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backoff {
    /// Each is double the one before.
    Exponential,
    /// All are alike.
    Fixed,
    /// There is none.
    None,
}

impl RetryPolicy {
    /// No second attempt.
    pub const NEVER: Self = Self {
        max_retries: 0,
        backoff: Backoff::None,
        initial_delay: Duration::ZERO,
        max_delay: Duration::ZERO,
        retry_on: Vec::new(),
    };

    /// Whether an attempt that failed so may be followed by another, after `failures` failed ones.
    pub fn allows(&self, failures: u32, failure: &Failure) -> bool {
        failures <= self.max_retries && self.is_retryable(failure)
    }

    /// Whether the policy tries such a failure again, attempts left or not.
    pub fn is_retryable(&self, failure: &Failure) -> bool {
        failure.retryable.unwrap_or_else(|| {
            if self.retry_on.is_empty() {
                is_transient(&failure.code)
            } else {
                self.retry_on.contains(&failure.code)
            }
        })
    }

    /// The delay before retry number `retry`, which counts from 1.
    ///
    /// `spread` (0 to 255) takes up to a quarter off, so that runs that failed together do not
    /// come back together.
    pub fn delay_before(&self, retry: u32, spread: u8) -> Duration {
        let full = match self.backoff {
            Backoff::None => return Duration::ZERO,
            Backoff::Fixed => self.initial_delay,
            Backoff::Exponential => {
                // A shift of 32 or more overflows: the cap holds long before that.
                let factor = 1_u32.checked_shl(retry.saturating_sub(1)).unwrap_or(u32::MAX);
                self.initial_delay.saturating_mul(factor)
            }
        };
        let full = full.min(self.max_delay);
        full.saturating_sub(full / 4 * u32::from(spread) / 255)
    }
}

/// Whether a failure of this code may pass by itself.
pub fn is_transient(code: &str) -> bool {
    matches!(
        code,
        "exit_nonzero"
            | "killed_by_signal"
            | "timeout_step"
            | "spawn_failed"
            | "helper_died"
            | "supervisor_stopped"
            | "lease_lost"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_spread_takes_a_quarter_at_most() {
        let policy = RetryPolicy {
            max_retries: 40,
            backoff: Backoff::Exponential,
            initial_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(30),
            retry_on: Vec::new(),
        };
        let seconds = [1, 2, 4, 8, 16, 30, 30].map(Duration::from_secs);
        assert_eq!([1, 2, 3, 4, 5, 6, 40].map(|retry| policy.delay_before(retry, 0)), seconds);
        assert_eq!(policy.delay_before(3, 255), Duration::from_secs(3));
    }
}
