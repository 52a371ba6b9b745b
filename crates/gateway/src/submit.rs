//! Submission of runs: everything is checked before anything is created.

use std::time::Duration;

use axum::http::HeaderMap;
use errand_api::error_code::ErrorCode;
use errand_api::gateway::run::{RequestedKind, RunBudgets, RunRequest};
use errand_engine::agents::{self, Version};
use errand_engine::brief::BriefParts;
use errand_engine::payload;
use errand_engine::run_options::{NAME_LIMIT_CHARS, RunOptions, check_variable, is_name};
use errand_engine::submission::{CheckedSubmission, Submission};
use errand_engine::submit::{self, SubmittedRun};
use errand_engine::trace_context;
use errand_model::budget::LimitName;
use errand_model::event::{RunKind, Trigger, TriggerKind};
use errand_model::placement::{Placement, PlacementDemands};
use errand_model::{RunId, Timestamp, parse_duration};
use errand_store::Stored;
use serde_json::Value;

use crate::Gateway;
use crate::auth::Caller;
use crate::callback_url::allowed;
use crate::extract::amount;
use crate::refusal::Refusal;

/// Header with the caller's idempotency key.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Length limit of the key.
const KEY_LIMIT_BYTES: usize = 255;
/// Size limit of an input.
const INPUT_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// A submitted run.
#[derive(Debug)]
pub(crate) struct Submitted {
    /// The run.
    pub(crate) stored: Box<Stored>,
    /// True if the run existed before.
    pub(crate) is_old: bool,
}

/// Submits a run.
pub(crate) async fn submit(
    gateway: &Gateway,
    caller: &Caller,
    headers: &HeaderMap,
    request: RunRequest,
) -> Result<Submitted, Refusal> {
    let submission = submission(gateway, caller, headers, request).await?;
    admit(gateway, submission).await
}

/// Admits a checked submission.
pub(crate) async fn admit(
    gateway: &Gateway,
    submission: CheckedSubmission,
) -> Result<Submitted, Refusal> {
    Ok(match submit::submit(gateway.engine(), submission).await? {
        SubmittedRun::Created(stored) => Submitted { stored, is_old: false },
        SubmittedRun::Existing(existing) => {
            let stored = Box::new(stored(gateway, &existing).await?);
            Submitted { stored, is_old: true }
        }
    })
}

/// Loads a run.
pub(crate) async fn stored(gateway: &Gateway, run_id: &RunId) -> Result<Stored, Refusal> {
    let found = gateway.engine().store().load(run_id).await?;
    found.ok_or_else(|| Refusal::no_run(run_id.as_str()))
}

/// Reads and checks a request; creates nothing.
async fn submission(
    gateway: &Gateway,
    caller: &Caller,
    headers: &HeaderMap,
    request: RunRequest,
) -> Result<CheckedSubmission, Refusal> {
    let version = version(gateway, caller, &request.agent, request.version.as_deref()).await?;
    let parcel = gateway.parcel(&version)?;
    let kind = match request.kind {
        None | Some(RequestedKind::Job) => RunKind::Job,
        Some(RequestedKind::Heartbeat) => RunKind::Heartbeat,
    };
    let input = request.input.as_ref().map(input).transpose()?;
    if let Some(url) = &request.callback_url {
        allowed(gateway, url).await.map_err(|refusal| refusal.at("/callback_url"))?;
    }
    let options = options(gateway, caller, headers, request)?;
    let trigger = Trigger { kind: TriggerKind::Manual, source: Some(caller.name()), payload: None };
    let submission = Submission::new(parcel, version.source, kind, trigger, options);
    check(gateway, Submission { input, ..submission })
}

/// Checks everything that can be checked before anything is created.
pub(crate) fn check(
    gateway: &Gateway,
    submission: Submission,
) -> Result<CheckedSubmission, Refusal> {
    Ok(if gateway.config().workers_elsewhere {
        CheckedSubmission::for_any_worker(gateway.engine(), submission)?
    } else {
        CheckedSubmission::for_here(gateway.engine(), submission)?
    })
}

/// Finds the version that a caller names: `name`, `name@version`, or both separately.
pub(crate) async fn version(
    gateway: &Gateway,
    caller: &Caller,
    reference: &str,
    apart: Option<&str>,
) -> Result<Version, Refusal> {
    let (name, within) = agents::split_reference(reference);
    if let (Some(within), Some(apart)) = (within, apart)
        && within != apart
    {
        let detail = format!("{reference:?} names another version than {apart:?}");
        return Err(Refusal::field(ErrorCode::RequestInvalid, "/version", detail));
    }
    let (engine, namespace) = (gateway.engine(), caller.namespace());
    let found = gateway.versions().find(engine, namespace, name, within.or(apart)).await;
    found.map_err(|error| Refusal::from(error).at("/agent"))
}

/// Returns the bytes of the agent's input.
pub(crate) fn input(value: &Value) -> Result<Vec<u8>, Refusal> {
    let bytes = payload::input_of_value(value);
    if bytes.len() > INPUT_LIMIT_BYTES {
        let detail = format!("the input has more than {}", amount(INPUT_LIMIT_BYTES));
        return Err(Refusal::field(ErrorCode::PayloadTooLarge, "/input", detail));
    }
    Ok(bytes)
}

fn options(
    gateway: &Gateway,
    caller: &Caller,
    headers: &HeaderMap,
    request: RunRequest,
) -> Result<RunOptions, Refusal> {
    for (name, pointer) in [(&request.name, "/name"), (&request.session_id, "/session_id")] {
        if let Some(name) = name.as_ref().filter(|name| !is_name(name)) {
            let detail = format!("{name:?} cannot be a name");
            let hint = format!(
                "1 to {NAME_LIMIT_CHARS} characters without control characters or blanks at the \
                 ends"
            );
            return Err(Refusal::field(ErrorCode::NameInvalid, pointer, detail).hint(hint));
        }
    }
    for (name, value) in &request.env {
        check_variable(name, value).map_err(|error| {
            let detail = format!("{name:?} cannot be set: {error}");
            Refusal::field(ErrorCode::EnvInvalid, &format!("/env/{}", escaped(name)), detail)
        })?;
    }
    if request.labels.keys().any(String::is_empty) {
        return Err(Refusal::field(ErrorCode::LabelInvalid, "/labels", "a label has no name"));
    }
    if !request.callback_events.is_empty() && request.callback_url.is_none() {
        let detail = "callback_events goes with callback_url only";
        return Err(Refusal::field(ErrorCode::RequestInvalid, "/callback_events", detail));
    }
    if request.on_busy.is_some() && request.session_id.is_none() {
        let detail = "on_busy goes with session_id only";
        return Err(Refusal::field(ErrorCode::RequestInvalid, "/on_busy", detail));
    }
    let session_id = request.session_id.as_deref();
    let session_id = session_id
        .map(|session| caller.session(session).map_err(|refusal| refusal.at("/session_id")))
        .transpose()?;
    let brief = BriefParts {
        instructions: request.instructions,
        context: request.context,
        skills: request.skills,
        configs: request.configs,
    };
    let timeouts = request.timeouts.unwrap_or_default();
    let not_before = request.scheduled_at.as_deref().map(moment).transpose()?;
    let placement = Placement {
        priority: request.priority.unwrap_or_default(),
        not_before,
        demands: PlacementDemands { affinity: request.affinity, ..PlacementDemands::default() },
    };
    Ok(RunOptions {
        name: request.name,
        labels: request.labels,
        env: request.env,
        session_turn: session_id.as_ref().map(|_| request.on_busy.unwrap_or_default()),
        session_id,
        budgets: request.budgets.map(|it| limits(&it, "/budgets")).transpose()?.unwrap_or_default(),
        timeout: timeouts.run.map(|text| duration(&text, "/timeouts/run")).transpose()?,
        queue_timeout: timeouts.queue.map(|text| duration(&text, "/timeouts/queue")).transpose()?,
        idempotency_key: idempotency_key(caller, headers)?,
        dedup: false,
        detached: true,
        cwd: cwd(gateway),
        callback_url: request.callback_url,
        callback_events: request.callback_events,
        namespace: caller.namespace.clone(),
        placement: Some(placement),
        traceparent: header(headers, "traceparent"),
        tracestate: header(headers, "tracestate").filter(|it| trace_context::is_tracestate(it)),
        caller_env: None,
        by: Some(caller.name()),
        brief,
        task: None,
        model_route: request.model_route,
    })
}

/// Returns the working directory of a server's runs: the folder of its registry.
fn cwd(gateway: &Gateway) -> String {
    let root = gateway.engine().registry().root();
    root.parent().unwrap_or(root).display().to_string()
}

/// Parses the given limits; `pointer` is their place in the body.
pub(crate) fn limits(
    budgets: &RunBudgets,
    pointer: &str,
) -> Result<Vec<(LimitName, u64)>, Refusal> {
    budgets.limits().map_err(|error| {
        let pointer = format!("{pointer}/{}", error.field);
        Refusal::field(ErrorCode::BudgetInvalid, &pointer, error.to_string())
    })
}

/// Parses a duration above zero.
pub(crate) fn duration(text: &str, pointer: &str) -> Result<Duration, Refusal> {
    let refused = |detail: String| Refusal::field(ErrorCode::RequestInvalid, pointer, detail);
    let duration = parse_duration(text)
        .map_err(|error| refused(error.to_string()).hint(errand_model::MalformedDuration::HINT))?;
    if duration.is_zero() {
        return Err(refused("a limit is longer than nothing".to_owned()));
    }
    Ok(duration)
}

fn moment(text: &str) -> Result<Timestamp, Refusal> {
    text.parse().map_err(|error: errand_model::MalformedTimestamp| {
        Refusal::field(ErrorCode::RequestInvalid, "/scheduled_at", error.to_string())
    })
}

/// Returns a header, if it is readable text.
fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Returns the stored form of the caller's idempotency key, which is separate for each namespace.
fn idempotency_key(caller: &Caller, headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let is_key = |key: &&str| !key.trim().is_empty() && key.len() <= KEY_LIMIT_BYTES;
    let Some(key) = value.to_str().ok().filter(is_key) else {
        let detail = format!("Idempotency-Key has 1 to {KEY_LIMIT_BYTES} visible characters");
        return Err(Refusal::parameter("Idempotency-Key", detail));
    };
    // No header contains a line break, so that keys of different namespaces never collide.
    Ok(Some(match caller.namespace() {
        Some(namespace) => format!("{namespace}\n{key}"),
        None => key.to_owned(),
    }))
}

/// Escapes a name for a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
