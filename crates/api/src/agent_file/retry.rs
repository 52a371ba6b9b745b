//! The retry policy as a file writes it.

use std::time::Duration;

use errand_model::retry::{Backoff, DispatchRetry, RetryPolicy};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::at::At;
use super::reader::Reader;
use super::scalar::{DelayText, DurationText, RetryOn};
use super::section::Section;
use super::shape::Shape;

const DEFAULT_INITIAL_DELAY: Duration = Duration::from_secs(1);
const DEFAULT_MAX_DELAY: Duration = Duration::from_secs(30);

/// Retry policy.
// Not the model's `RetryPolicy`: each delay has a default that depends on the other one.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RetryPolicy")]
pub(super) struct RetryPolicyForm {
    /// Attempts after the first.
    #[schemars(range(max = 1000), extend("examples" = [3]))]
    max_retries: u32,
    /// Growth of the delay: `exponential` if left out.
    #[serde(default = "exponential")]
    backoff: Backoff,
    /// Delay before the first retry: `1s` if left out.
    #[schemars(with = "Option<DelayText>")]
    initial_delay: Option<u64>,
    /// No delay is longer: `30s` if left out.
    #[schemars(with = "Option<DelayText>")]
    max_delay: Option<u64>,
    /// Failures that are tried again: all that may pass by themselves if left out.
    #[serde(default)]
    #[schemars(with = "Vec<RetryOn>", extend("uniqueItems" = true))]
    retry_on: Vec<String>,
    /// Retries of the way to a dispatcher, for an agent with one: two more, `1s` and `2s` apart, if left
    /// out. They are counted apart from failures of the agent.
    #[schemars(with = "Option<Section<DispatchRetryForm>>")]
    dispatch: Option<DispatchRetryForm>,
}

/// Retries of the way to a dispatcher: it does not answer, answers with a status of 5xx, or none is
/// active. No other failure of dispatch is tried again.
// Not the model's `DispatchRetry`: each delay has a default that depends on the other one.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DispatchRetry")]
pub(super) struct DispatchRetryForm {
    /// Attempts after the first.
    #[schemars(range(max = 1000), extend("examples" = [2]))]
    max_retries: u32,
    /// Growth of the delay: `exponential` if left out.
    #[serde(default = "exponential")]
    backoff: Backoff,
    /// Delay before the first retry: `1s` if left out.
    #[schemars(with = "Option<DelayText>")]
    initial_delay: Option<u64>,
    /// No delay is longer: `30s` if left out.
    #[schemars(with = "Option<DelayText>")]
    max_delay: Option<u64>,
    /// Time for the dispatcher to answer a request, or to take a task from a bus before it is sent
    /// again: `30s` if left out.
    #[schemars(with = "Option<DurationText>")]
    timeout: Option<u64>,
}

const fn exponential() -> Backoff {
    Backoff::Exponential
}

/// Reads a policy into the JSON of the model's.
pub(super) fn read(shape: &Shape, reader: &mut Reader, at: &At<'_>, _: &Value) -> Option<Value> {
    let mut form: RetryPolicyForm = shape.read_as(reader, at, shape.root())?;
    let both = delays(reader, at, (form.initial_delay, form.max_delay));
    let dispatch = form.dispatch.take().map(|form| {
        let at = at.field("dispatch");
        let given = (form.initial_delay, form.max_delay);
        let (initial_delay, max_delay) = match &at {
            Some(at) => delays(reader, at, given),
            None => filled(given),
        };
        let DispatchRetryForm { max_retries, backoff, timeout, .. } = form;
        let timeout = timeout.map_or(DispatchRetry::DEFAULT.timeout, Duration::from_millis);
        DispatchRetry { max_retries, backoff, initial_delay, max_delay, timeout }
    });
    let RetryPolicyForm { max_retries, backoff, retry_on, .. } = form;
    let (initial_delay, max_delay) = both;
    let policy = RetryPolicy { max_retries, backoff, initial_delay, max_delay, retry_on, dispatch };
    serde_json::to_value(policy).ok()
}

/// Delays in milliseconds, the first and the longest, as far as the file has them.
type GivenDelays = (Option<u64>, Option<u64>);

/// Returns both delays of a policy, and reports two that contradict each other.
fn delays(reader: &mut Reader, at: &At<'_>, given: GivenDelays) -> (Duration, Duration) {
    if let ((Some(initial), Some(longest)), Some(at)) = (given, at.field("max_delay"))
        && initial > longest
    {
        reader.report(&at, "max_delay is shorter than initial_delay");
    }
    filled(given)
}

fn filled((initial, longest): GivenDelays) -> (Duration, Duration) {
    let (initial, longest) =
        (initial.map(Duration::from_millis), longest.map(Duration::from_millis));
    let initial_delay = initial.unwrap_or_else(|| {
        longest.map_or(DEFAULT_INITIAL_DELAY, |longest| DEFAULT_INITIAL_DELAY.min(longest))
    });
    (initial_delay, longest.unwrap_or_else(|| DEFAULT_MAX_DELAY.max(initial_delay)))
}
