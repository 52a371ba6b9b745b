//! Resources, concurrency, timeouts and retries.

use std::time::Duration;

use errand_model::retry::{Backoff, ERROR_PREFIX, EXIT_PREFIX, RetryPolicy};

use super::super::definition::{Agent, Resources, Timeouts};
use super::super::reader::{At, Object, Reader};
use super::super::yaml::Kind;
use super::quantity;
use crate::error_code::ErrorCode;

/// More attempts than that are a loop, not a retry.
const MAX_RETRIES: u32 = 1_000;
const MAX_GPUS: u32 = 1_024;
/// More runs at once than any fleet has slots.
const MAX_CONCURRENCY: u32 = 1_000_000;
const DEFAULT_INITIAL_DELAY: Duration = Duration::from_secs(1);
const DEFAULT_MAX_DELAY: Duration = Duration::from_secs(30);

const BACKOFFS: &[(&str, Backoff)] =
    &[("exponential", Backoff::Exponential), ("fixed", Backoff::Fixed), ("none", Backoff::None)];

pub(super) fn read(reader: &mut Reader, spec: &Object<'_>, agent: &mut Agent) {
    if let Some(at) = spec.get("resources") {
        agent.resources = resources(reader, &at).unwrap_or_default();
    }
    agent.concurrency =
        spec.get("concurrency").and_then(|at| reader.whole32(&at, 1..=MAX_CONCURRENCY));
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

/// What another attempt may mend: error codes, exit codes, the agent's own codes.
fn retry_on(reader: &mut Reader, at: &At<'_>) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for item in reader.list(at) {
        let Some(word) = retry_on_word(reader, &item) else { continue };
        if words.contains(&word) {
            reader.report(&item, format!("{word:?} is listed twice"));
        } else {
            words.push(word);
        }
    }
    words
}

fn retry_on_word(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let what = "a failure that can be retried";
    match &at.node.kind {
        Kind::Number { text } => {
            let hint = format!("for the agent's exit code write {EXIT_PREFIX}{text}");
            reader.report_hint(at, format!("{text} is not {what}"), hint);
            return None;
        }
        Kind::Text { text } if text.starts_with(EXIT_PREFIX) => {
            let code = text[EXIT_PREFIX.len()..].parse::<u8>().ok().filter(|code| *code > 0);
            let word = code.map(|code| format!("{EXIT_PREFIX}{code}"));
            if word.is_none() {
                let hint = format!("exit codes of failures are 1 to 255: {EXIT_PREFIX}75");
                reader.report_hint(at, format!("{text:?} is not {what}"), hint);
            }
            return word;
        }
        Kind::Text { text } if text.starts_with(ERROR_PREFIX) => {
            let code = &text[ERROR_PREFIX.len()..];
            let is_code = code.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
            if is_code && code.starts_with(|first: char| first.is_ascii_lowercase()) {
                return Some(text.clone());
            }
            let hint = format!(
                "a code of the agent's own is lower-case words joined by underscores: \
                 {ERROR_PREFIX}rate_limited"
            );
            reader.report_hint(at, format!("{text:?} is not {what}"), hint);
            return None;
        }
        Kind::Text { .. } | Kind::Null | Kind::Bool { .. } | Kind::List(_) | Kind::Map(_) => {}
    }
    let codes = ErrorCode::RETRYABLE.iter().map(|code| (code.as_str(), code.as_str()));
    let choices: Vec<(&str, &str)> =
        codes.chain([("exit:<n>", ""), ("error:<code>", "")]).collect();
    reader.choice(at, what, &choices).filter(|code| !code.is_empty()).map(str::to_owned)
}
