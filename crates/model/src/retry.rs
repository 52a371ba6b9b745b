//! Retry policy: the failures after which an attempt is repeated, and the delay.
//!
//! Pure: a replay computes the same delays, jitter included.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error_code::{CodeClass, ErrorCode};
use crate::failure::{Failure, FailureCode};

/// Bounds on the number and delay of attempts after failures. From the agent file's `retry_policy`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Attempts after the first; 0: none.
    pub max_retries: u32,
    /// Growth of delays.
    pub backoff: Backoff,
    /// The delay before the first retry.
    #[serde(rename = "initial_delay_ms", with = "crate::millis")]
    pub initial_delay: Duration,
    /// No delay is longer.
    #[serde(rename = "max_delay_ms", with = "crate::millis")]
    pub max_delay: Duration,
    /// Failures that are retried; empty: those that [`is_transient`] names. Each is an error code
    /// of errand's, `exit:<n>` for the agent's exit code, or `error:<code>` for an error code of
    /// the agent's own.
    pub retry_on: Vec<String>,
    /// Retries of the way to a dispatcher; `None` for an agent that has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatch: Option<DispatchRetry>,
}

/// Bounds on attempts that fail on the way to a dispatcher: it does not answer, or none is active. They
/// do not count as failures of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DispatchRetry {
    /// Attempts after the first of such a series; 0: none.
    pub max_retries: u32,
    /// Growth of delays.
    pub backoff: Backoff,
    /// The delay before the first retry.
    #[serde(rename = "initial_delay_ms", with = "crate::millis")]
    pub initial_delay: Duration,
    /// No delay is longer.
    #[serde(rename = "max_delay_ms", with = "crate::millis")]
    pub max_delay: Duration,
    /// Time for a dispatcher to answer a request, or to take a task from a bus.
    #[serde(
        rename = "timeout_ms",
        with = "crate::millis",
        default = "default_timeout",
        skip_serializing_if = "is_default_timeout"
    )]
    pub timeout: Duration,
}

const fn default_timeout() -> Duration {
    DispatchRetry::DEFAULT.timeout
}

fn is_default_timeout(timeout: &Duration) -> bool {
    *timeout == default_timeout()
}

/// Growth of delays from retry to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
        dispatch: None,
    };

    /// Returns true if an attempt that failed with `failure` may be followed by another, after
    /// `failures` failed ones.
    pub fn allows(&self, failures: u32, failure: &Failure, exit_code: Option<i32>) -> bool {
        failures <= self.max_retries && self.is_retryable(failure, exit_code)
    }

    /// Returns true if the policy retries such a failure, attempts left or not. The agent's own
    /// statement takes precedence. `exit_code`: the agent's, if it exited by itself.
    pub fn is_retryable(&self, failure: &Failure, exit_code: Option<i32>) -> bool {
        failure.retryable.unwrap_or_else(|| {
            if self.retry_on.is_empty() {
                is_transient(&failure.code, exit_code)
            } else {
                self.retry_on.iter().any(|word| names(word, &failure.code, exit_code))
            }
        })
    }

    /// The delay before retry number `retry`, which counts from 1.
    ///
    /// `spread` (0 to 255) takes up to a quarter off, so that runs that failed together do not
    /// come back together.
    pub fn delay_before(&self, retry: u32, spread: u8) -> Duration {
        self.backoff.delay_before(retry, (self.initial_delay, self.max_delay), spread)
    }
}

impl DispatchRetry {
    /// Three attempts in all, with exponential delays.
    pub const DEFAULT: Self = Self {
        max_retries: 2,
        backoff: Backoff::Exponential,
        initial_delay: Duration::from_secs(1),
        max_delay: Duration::from_secs(30),
        timeout: Duration::from_secs(30),
    };

    /// Returns true if a failure with this code happened on the way to a dispatcher.
    pub const fn applies_to(code: ErrorCode) -> bool {
        matches!(
            code,
            ErrorCode::DispatcherUnreachable
                | ErrorCode::NoActiveDispatcher
                | ErrorCode::BusUnreachable
        )
    }

    /// The delay before retry number `retry`, as [`RetryPolicy::delay_before`].
    pub fn delay_before(&self, retry: u32, spread: u8) -> Duration {
        self.backoff.delay_before(retry, (self.initial_delay, self.max_delay), spread)
    }
}

impl Backoff {
    fn delay_before(
        self,
        retry: u32,
        (initial, longest): (Duration, Duration),
        spread: u8,
    ) -> Duration {
        let full = match self {
            Self::None => return Duration::ZERO,
            Self::Fixed => initial,
            Self::Exponential => {
                // A shift of 32 or more overflows: the cap holds long before that.
                let factor = 1_u32.checked_shl(retry.saturating_sub(1)).unwrap_or(u32::MAX);
                initial.saturating_mul(factor)
            }
        };
        let full = full.min(longest);
        full.saturating_sub(full / 4 * u32::from(spread) / 255)
    }
}

/// Prefix of an agent's exit code in `retry_on`.
pub const EXIT_PREFIX: &str = "exit:";
/// Prefix of an agent's own error code in `retry_on`.
pub const ERROR_PREFIX: &str = "error:";

/// Returns whether errand tries a failure of this code again without a `retry_on`. An agent that
/// exited with a code of its own failed no less than one that only has an exit code.
pub fn is_transient(code: &FailureCode, exit_code: Option<i32>) -> bool {
    match code.class() {
        CodeClass::Transient(_) => true,
        CodeClass::AgentsOwn => exit_code.is_some(),
        CodeClass::Permanent(_) => false,
    }
}

/// Returns whether a word of `retry_on` names such a failure.
fn names(word: &str, code: &FailureCode, exit_code: Option<i32>) -> bool {
    if let Some(number) = word.strip_prefix(EXIT_PREFIX) {
        return exit_code.is_some_and(|exit_code| number == exit_code.to_string());
    }
    if let Some(own) = word.strip_prefix(ERROR_PREFIX) {
        return own == code.as_str();
    }
    word == code.as_str()
        || (word == ErrorCode::ExitNonzero.as_str()
            && exit_code.is_some()
            && code.class() == CodeClass::AgentsOwn)
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
            ..RetryPolicy::NEVER
        };
        let seconds = [1, 2, 4, 8, 16, 30, 30].map(Duration::from_secs);
        assert_eq!([1, 2, 3, 4, 5, 6, 40].map(|retry| policy.delay_before(retry, 0)), seconds);
        assert_eq!(policy.delay_before(3, 255), Duration::from_secs(3));
    }

    fn failure(code: &str, retryable: Option<bool>) -> Failure {
        Failure { retryable, ..Failure::new(code, "") }
    }

    fn policy(retry_on: &[&str]) -> RetryPolicy {
        let retry_on = retry_on.iter().map(|word| (*word).to_owned()).collect();
        RetryPolicy { max_retries: 1, retry_on, ..RetryPolicy::NEVER }
    }

    #[test]
    fn what_is_tried_again_is_named_by_code_exit_code_or_the_agents_own_word() {
        let check = |retry_on: &[&str], code: &str, exit_code| {
            policy(retry_on).is_retryable(&failure(code, None), exit_code)
        };
        for (code, exit_code, expect) in [
            ("exit_nonzero", Some(3), true),
            ("killed_by_signal", None, true),
            ("timeout_step", None, true),
            ("helper_died", None, true),
            ("rate_limited", Some(3), true),
            ("output_invalid", Some(0), false),
            ("command_not_found", None, false),
            ("input_invalid", Some(1), false),
            ("out_of_memory", Some(1), false),
            ("secret_missing", None, false),
            ("policy_denied", Some(1), false),
            ("io_failed", None, true),
            ("parcel_damaged", None, false),
            ("timeout_run", None, false),
        ] {
            assert_eq!(check(&[], code, exit_code), expect, "{code}");
        }
        assert!(check(&[], "exit_nonzero", Some(75)));
        assert!(check(&[], "other", Some(0)), "the agent reported a failure and exited with 0");
        assert!(check(&["exit:75"], "exit_nonzero", Some(75)));
        assert!(!check(&["exit:75"], "exit_nonzero", Some(3)));
        assert!(check(&["killed_by_signal", "exit:75"], "exit_nonzero", Some(75)));
        assert!(check(&["killed_by_signal"], "killed_by_signal", None));
        assert!(check(&["exit_nonzero"], "other", Some(1)));
        assert!(!check(&["error:rate_limited"], "other", Some(1)));
        assert!(check(&["exit:75"], "rate_limited", Some(75)));
        assert!(!check(&["exit:75"], "exit_nonzero", Some(7)));
        assert!(!check(&["exit:75"], "killed_by_signal", None));
        assert!(check(&["error:rate_limited"], "rate_limited", Some(1)));
        assert!(!check(&["error:rate_limited"], "exit_nonzero", Some(1)));
        assert!(check(&["exit_nonzero"], "rate_limited", Some(1)));
        assert!(!check(&["exit_nonzero"], "timeout_step", Some(124)));
        assert!(check(&["output_invalid"], "output_invalid", Some(0)));
    }

    #[test]
    fn a_policy_allows_as_many_attempts_as_it_has_retries_and_one() {
        let policy = RetryPolicy { max_retries: 2, ..policy(&[]) };
        let allowed = [1, 2, 3]
            .map(|failures| policy.allows(failures, &failure("exit_nonzero", None), Some(75)));
        assert_eq!(allowed, [true, true, false]);
    }

    #[test]
    fn what_the_agent_says_counts_more_than_the_policy() {
        let said = |retryable| failure("exit_nonzero", Some(retryable));
        assert!(!policy(&["exit_nonzero"]).is_retryable(&said(false), Some(1)));
        assert!(policy(&["timeout_step"]).is_retryable(&said(true), Some(1)));
        assert!(!policy(&[]).allows(2, &said(true), Some(1)), "attempts are spent all the same");
    }

    #[test]
    fn jitter_spreads_runs_and_is_never_more_than_a_quarter() {
        let policy = RetryPolicy {
            backoff: Backoff::Fixed,
            initial_delay: Duration::from_secs(100),
            max_delay: Duration::from_secs(100),
            ..policy(&[])
        };
        let delays: std::collections::BTreeSet<Duration> =
            (0..=255).map(|spread| policy.delay_before(1, spread)).collect();
        assert_eq!(delays.len(), 256);
        assert_eq!(delays.first(), Some(&Duration::from_secs(75)));
        assert_eq!(delays.last(), Some(&Duration::from_secs(100)));
    }
}
