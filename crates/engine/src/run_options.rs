//! Run options: what a caller may ask for beyond agent and input, and the rules for names of runs
//! and sessions and for environment variables that callers choose.

use std::collections::BTreeMap;
use std::time::Duration;

use errand_model::DispatchedTask;
use errand_model::budget::LimitName;
use errand_model::callback::CallbackEvent;
use errand_model::event::{CallerEnvironment, OnBusy};
use errand_model::placement::Placement;
use thiserror::Error;

use crate::brief::BriefParts;

/// Longest name of a run or a session, in characters.
pub const NAME_LIMIT_CHARS: usize = 128;

/// Returns whether `name` is allowed for a run or a session.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().count() <= NAME_LIMIT_CHARS
        && !name.chars().any(char::is_control)
        && name.trim() == name
}

/// Options that a caller may give beside agent and input.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Name of the run.
    pub name: Option<String>,
    /// Labels; they win over the agent's.
    pub labels: BTreeMap<String, String>,
    /// Environment variables; they win over the agent's.
    pub env: BTreeMap<String, String>,
    /// Session of the run.
    pub session_id: Option<String>,
    /// Behaviour while another run of the session has the turn; `None`: the run takes no turns.
    pub session_turn: Option<OnBusy>,
    /// Limits; the smaller of these and the agent's holds.
    pub budgets: Vec<(LimitName, u64)>,
    /// Time for the run; wins over the agent's `timeouts.run`.
    pub timeout: Option<Duration>,
    /// Time in the queue; wins over the agent's `timeouts.queue`.
    pub queue_timeout: Option<Duration>,
    /// Idempotency key of the request.
    pub idempotency_key: Option<String>,
    /// Set if an equal run that is unfinished or completed stands in for this one.
    pub dedup: bool,
    /// Set if the caller does not wait for the run.
    pub detached: bool,
    /// Directory that the run is started from.
    pub cwd: String,
    /// Callback address for reports about the run.
    pub callback_url: Option<String>,
    /// Events that are reported to that address; empty: the end of the run.
    pub callback_events: Vec<CallbackEvent>,
    /// Namespace of the run; `None`: the default namespace.
    pub namespace: Option<String>,
    /// Placement of a run that any worker may claim. Needs of the agent are added to it.
    pub placement: Option<Placement>,
    /// Trace and span of the caller, as in the header `traceparent`.
    pub traceparent: Option<String>,
    /// Vendors' entries of that trace, as in the header `tracestate`.
    pub tracestate: Option<String>,
    /// Environment that all attempts see; `None`: that of this process, if it acts for one caller
    /// ([`crate::Engine::recording_environment`]), or else that of the process that starts an
    /// attempt.
    pub caller_env: Option<Box<CallerEnvironment>>,
    /// User or program that asks, if known.
    pub by: Option<String>,
    /// Parts of the brief.
    pub brief: BriefParts,
    /// Model route in the place of the agent's.
    pub model_route: Option<String>,
    /// Task of a dispatcher that the run carries out.
    pub task: Option<Box<DispatchedTask>>,
}

/// Reasons against setting an environment variable.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Unsettable {
    /// The name or the value is not possible for an environment variable.
    #[error("names have letters, digits and _, and values no NUL")]
    Malformed,
    /// The name is reserved for errand.
    #[error("names that begin with ERRAND_ are errand's own")]
    Own,
}

/// Checks that an agent may be given an environment variable.
///
/// # Errors
///
/// [`Unsettable`].
pub fn check_variable(name: &str, value: &str) -> Result<(), Unsettable> {
    let is_name = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit());
    if !is_name || value.contains('\0') {
        return Err(Unsettable::Malformed);
    }
    if name.starts_with("ERRAND_") { Err(Unsettable::Own) } else { Ok(()) }
}
