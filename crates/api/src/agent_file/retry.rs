//! The retry policy as a file writes it.

use std::time::Duration;

use errand_model::retry::{Backoff, RetryPolicy};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::at::At;
use super::reader::Reader;
use super::scalar::{DelayText, RetryOn};
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
}

const fn exponential() -> Backoff {
    Backoff::Exponential
}

/// Reads a policy into the JSON of the model's.
pub(super) fn read(shape: &Shape, reader: &mut Reader, at: &At<'_>, _: &Value) -> Option<Value> {
    let form: RetryPolicyForm = shape.read_as(reader, at, shape.root())?;
    let (initial, longest) =
        (form.initial_delay.map(Duration::from_millis), form.max_delay.map(Duration::from_millis));
    if let (Some(initial), Some(longest), Some(at)) = (initial, longest, at.field("max_delay"))
        && initial > longest
    {
        reader.report(&at, "max_delay is shorter than initial_delay");
    }
    let initial_delay = initial.unwrap_or_else(|| {
        longest.map_or(DEFAULT_INITIAL_DELAY, |longest| DEFAULT_INITIAL_DELAY.min(longest))
    });
    let max_delay = longest.unwrap_or_else(|| DEFAULT_MAX_DELAY.max(initial_delay));
    let RetryPolicyForm { max_retries, backoff, retry_on, .. } = form;
    let policy = RetryPolicy { max_retries, backoff, initial_delay, max_delay, retry_on };
    serde_json::to_value(policy).ok()
}
