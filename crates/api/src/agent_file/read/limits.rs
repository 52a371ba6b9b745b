//! Resources, timeouts and retries.

use std::time::Duration;

use errand_model::retry::{Backoff, RetryPolicy};

use super::super::definition::{Agent, Resources, Timeouts};
use super::super::reader::{At, Object, Reader};
use super::quantity;

/// More attempts than that are a loop, not a retry.
const MAX_RETRIES: u32 = 1_000;
const MAX_GPUS: u32 = 1_024;
const DEFAULT_INITIAL_DELAY: Duration = Duration::from_secs(1);
const DEFAULT_MAX_DELAY: Duration = Duration::from_secs(30);

const BACKOFFS: &[(&str, Backoff)] =
    &[("exponential", Backoff::Exponential), ("fixed", Backoff::Fixed), ("none", Backoff::None)];

pub(super) fn read(reader: &mut Reader, spec: &Object<'_>, agent: &mut Agent) {
    if let Some(at) = spec.get("resources") {
        agent.resources = resources(reader, &at).unwrap_or_default();
    }
    if let Some(at) = spec.get("timeouts") {
        agent.timeouts = timeouts(reader, &at).unwrap_or_default();
    }
    if let Some(at) = spec.get("retry_policy")
        && let Some(policy) = retry_policy(reader, &at)
    {
        agent.retry_policy = policy;
    }
}

fn resources(reader: &mut Reader, at: &At<'_>) -> Option<Resources> {
    let fields = reader.object(at, &["cpu", "memory", "gpu"])?;
    Some(Resources {
        cpu_millis: fields.get("cpu").and_then(|at| quantity::cpu_millis(reader, &at)),
        memory_bytes: fields.get("memory").and_then(|at| quantity::memory_bytes(reader, &at)),
        gpu: fields.get("gpu").and_then(|at| reader.whole32(&at, 0..=MAX_GPUS)).unwrap_or(0),
    })
}

fn timeouts(reader: &mut Reader, at: &At<'_>) -> Option<Timeouts> {
    let fields = reader.object(at, &["run", "step", "queue", "approval"])?;
    let mut get = |name: &str| fields.get(name).and_then(|at| reader.duration_ms(&at));
    Some(Timeouts {
        run_ms: get("run"),
        step_ms: get("step"),
        queue_ms: get("queue"),
        approval_ms: get("approval"),
    })
}

fn retry_policy(reader: &mut Reader, at: &At<'_>) -> Option<RetryPolicy> {
    let known = ["max_retries", "backoff", "initial_delay", "max_delay", "retry_on"];
    let fields = reader.object(at, &known)?;
    let max_retries = fields
        .require(reader, "max_retries", "write max_retries: 3")
        .and_then(|at| reader.whole32(&at, 0..=MAX_RETRIES))
        .unwrap_or(0);
    let backoff = fields
        .get("backoff")
        .and_then(|at| reader.choice(&at, "a back-off", BACKOFFS))
        .unwrap_or(Backoff::Exponential);
    let delay = |reader: &mut Reader, name: &str| {
        fields.get(name).and_then(|at| reader.delay_ms(&at)).map(Duration::from_millis)
    };
    let initial = delay(reader, "initial_delay");
    let longest = delay(reader, "max_delay");
    if let (Some(initial), Some(longest)) = (initial, longest)
        && initial > longest
        && let Some(at) = fields.get("max_delay")
    {
        reader.report(&at, "max_delay is shorter than initial_delay");
    }
    let initial_delay = initial.unwrap_or_else(|| {
        longest.map_or(DEFAULT_INITIAL_DELAY, |longest| DEFAULT_INITIAL_DELAY.min(longest))
    });
    let max_delay = longest.unwrap_or_else(|| DEFAULT_MAX_DELAY.max(initial_delay));
    let retry_on = fields.get("retry_on").map(|at| retry_on(reader, &at)).unwrap_or_default();
    Some(RetryPolicy { max_retries, backoff, initial_delay, max_delay, retry_on })
}

/// Codes of failures that another attempt may mend.
fn retry_on(reader: &mut Reader, at: &At<'_>) -> Vec<String> {
    let choices: Vec<(&str, &str)> = crate::error_code::ErrorCode::RETRYABLE
        .iter()
        .map(|code| (code.as_str(), code.as_str()))
        .collect();
    let mut codes: Vec<String> = Vec::new();
    for item in reader.list(at) {
        if let Some(code) = reader.choice(&item, "a failure that can be retried", &choices) {
            if codes.iter().any(|known| known == code) {
                reader.report(&item, format!("{code:?} is listed twice"));
            } else {
                codes.push(code.to_owned());
            }
        }
    }
    codes
}
