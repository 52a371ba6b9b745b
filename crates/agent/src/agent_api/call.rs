//! The calls of the agent API: they translate requests for the backend, and its results into
//! answers.

use errand_api::agent_protocol::{
    self as wire, BeginStepAnswer, Checkback, Checkin, CheckpointAnswer, CompleteStep, Done,
    FailStep, OutputPart, PutSession, ReportEvents, ReportEventsAnswer, STEP_KINDS, SaveCheckpoint,
    SetOutput, ValueEncoding, limit,
};
use errand_api::error_code::ErrorCode;
use errand_model::event::Failure;
use errand_model::{Digest, Payload};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response};
use serde::de::DeserializeOwned;

use super::body::{self, Answer};
use super::context::Context;
use super::control::Stream;
use super::response::{ok, ok_bytes, ok_events};
use super::route::Route;
use super::value::{payload, unpacked};
use super::{
    AttemptResult, Backend, Refusal, StepBegun, StepCall, StepCallResult, message, person, session,
    upload,
};

/// Performs the call of a route.
pub(super) async fn carry_out(
    context: &Context,
    route: Route,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Refusal> {
    let backend = context.backend.as_ref();
    let puts = request.method() == Method::PUT;
    match route {
        Route::Checkin => {
            let Checkin {} = json(request).await?;
            ok(&backend.checkin().await?)
        }
        Route::BeginStep(key) => ok(&begin_step(backend, &key, json(request).await?).await?),
        Route::CompleteStep(key) => {
            let result = step_result(json(request).await?)?;
            backend.complete_step(&key, result).await?;
            ok(&Done {})
        }
        Route::FailStep(key) => fail_step(backend, key, json(request).await?).await,
        Route::Checkpoint if puts => {
            let SaveCheckpoint { state } = json(request).await?;
            backend.save_checkpoint(state).await?;
            ok(&Done {})
        }
        Route::Checkpoint => checkpoint(backend).await,
        Route::Events => report(backend, json(request).await?).await,
        Route::Reserve => ok(&backend.reserve(json(request).await?).await?),
        Route::Release(id) => {
            backend.release(&id).await?;
            ok(&Done {})
        }
        Route::Output if puts => {
            let SetOutput { output, encoding } = with_output(backend, request).await?;
            backend.set_output(payload(output, encoding)?).await?;
            ok(&Done {})
        }
        Route::Output => {
            let OutputPart { text } = json(request).await?;
            backend.output_part(text).await?;
            ok(&Done {})
        }
        Route::Artifact(name) => {
            let media_type = request.headers().get(CONTENT_TYPE);
            let media_type = media_type.and_then(|value| value.to_str().ok()).map(str::to_owned);
            ok(&upload::keep(context, name, media_type, request.into_body()).await?)
        }
        Route::Brief => Ok(ok_bytes(backend.brief().await?)),
        Route::Session if puts => {
            let PutSession { state, revision } = json(request).await?;
            ok(&backend.put_session(state, revision).await?)
        }
        Route::Session => ok(&backend.session().await?),
        Route::SessionMessages if request.method() == Method::POST => {
            ok(&session::append(backend, json(request).await?).await?)
        }
        Route::SessionMessages => ok(&session::messages(backend, request.uri().query()).await?),
        Route::SessionResult(tool) if puts => {
            ok(&session::keep(backend, &tool, json(request).await?).await?)
        }
        Route::SessionResult(tool) => {
            ok(&session::result(backend, &tool, request.uri().query()).await?)
        }
        Route::Control => Ok(ok_events(Stream::new(backend.control(), context.closing.clone()))),
        Route::Checkback => check_back(backend, with_output(backend, request).await?).await,
        Route::Approvals => ok(&person::approve(backend, json(request).await?).await?),
        Route::Inputs => ok(&person::input(backend, json(request).await?).await?),
        Route::SendMessage => ok(&message::send(backend, json(request).await?).await?),
        Route::NextMessage => ok(&message::next(backend, request.uri().query()).await?),
        Route::HandOver => ok(&message::hand_over(backend, json(request).await?).await?),
    }
}

async fn checkpoint(backend: &dyn Backend) -> Result<Response<Answer>, Refusal> {
    let state = backend.checkpoint().await?.map(unpacked).transpose()?;
    ok(&CheckpointAnswer { state: state.map(|(state, _)| state) })
}

async fn json<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Refusal> {
    body::json(request.into_body(), limit::JSON_BODY_BYTES).await
}

/// Reads the body of a call that has the run's output. The limit is that of the output, and some
/// more for the escapes of JSON.
async fn with_output<T: DeserializeOwned>(
    backend: &dyn Backend,
    request: Request<Incoming>,
) -> Result<T, Refusal> {
    let limit_bytes = backend.output_limit_bytes();
    let body_bytes = limit_bytes.saturating_add(limit_bytes / 4).max(limit::JSON_BODY_BYTES);
    let read = body::json(request.into_body(), body_bytes).await;
    read.map_err(|refusal| {
        if refusal.code == ErrorCode::RequestTooLarge {
            Refusal::output_too_large(limit_bytes)
        } else {
            refusal
        }
    })
}

async fn begin_step(
    backend: &dyn Backend,
    key: &str,
    step: wire::BeginStep,
) -> Result<BeginStepAnswer, Refusal> {
    let fingerprint = step.fingerprint.map(Digest::try_from).transpose();
    let fingerprint =
        fingerprint.map_err(|error| Refusal::request(format!("fingerprint: {error}")))?;
    let wire::BeginStep { kind, detail, timeout, .. } = step;
    // A step with a misspelled kind would evade the budget.
    if let Some(kind) = kind.as_deref().filter(|kind| !STEP_KINDS.contains(kind)) {
        let message = format!("kind: {kind:?} is no kind of step: {}", STEP_KINDS.join(", "));
        return Err(Refusal::request(message).with_hint("leave kind out for any other work"));
    }
    let step = StepCall { kind, fingerprint, detail, timeout };
    match backend.begin_step(key, step).await? {
        StepBegun::Run { timeout, traceparent } => {
            Ok(BeginStepAnswer::Run { timeout, traceparent })
        }
        StepBegun::Done(result) => done(result),
        StepBegun::Failed { error, exit_code } => {
            let Failure { code, message, step: _, retryable, stderr_tail: _ } = error;
            let error = wire::StepError { code: code.into(), message, retryable };
            Ok(BeginStepAnswer::Failed { error, exit_code })
        }
    }
}

fn done(result: StepCallResult) -> Result<BeginStepAnswer, Refusal> {
    let (output, encoding) = match result.output {
        Some(output) => {
            let (output, encoding) = unpacked(output)?;
            (Some(output), encoding)
        }
        None => (None, ValueEncoding::Json),
    };
    let (stderr, stderr_base64) = match result.stderr {
        Some(Payload::Text(text)) => (Some(text), None),
        Some(Payload::Base64(text)) => (None, Some(text)),
        // Errand records stderr as text or base64. Any other payload is written as JSON.
        Some(Payload::Json(value)) => (Some(value.to_string()), None),
        Some(blob @ Payload::Blob(_)) => (Some(unpacked(blob)?.0.to_string()), None),
        None => (None, None),
    };
    Ok(BeginStepAnswer::Done { output, encoding, stderr, stderr_base64 })
}

fn step_result(step: CompleteStep) -> Result<StepCallResult, Refusal> {
    let output = step.output.map(|output| payload(output, step.encoding)).transpose()?;
    let stderr = match (step.stderr, step.stderr_base64) {
        (Some(_), Some(_)) => {
            return Err(Refusal::request("stderr and stderr_base64 exclude each other"));
        }
        (Some(text), None) => Some(Payload::Text(text)),
        (None, Some(text)) => Some(payload(text.into(), ValueEncoding::Base64)?),
        (None, None) => None,
    };
    Ok(StepCallResult { output, stderr })
}

async fn fail_step(
    backend: &dyn Backend,
    key: String,
    failed: FailStep,
) -> Result<Response<Answer>, Refusal> {
    let error = Failure {
        code: failed.error.code.into(),
        message: failed.error.message,
        step: Some(key.clone()),
        retryable: failed.error.retryable,
        stderr_tail: None,
    };
    backend.fail_step(&key, error, failed.exit_code).await?;
    ok(&Done {})
}

async fn report(
    backend: &dyn Backend,
    ReportEvents { events }: ReportEvents,
) -> Result<Response<Answer>, Refusal> {
    let count = events.len();
    if !(1..=limit::EVENTS_PER_BATCH).contains(&count) {
        let most = limit::EVENTS_PER_BATCH;
        return Err(Refusal::request(format!("a batch has 1 to {most} events, not {count}")));
    }
    backend.report(events).await?;
    ok(&ReportEventsAnswer { recorded: u64::try_from(count).unwrap_or(u64::MAX) })
}

async fn check_back(backend: &dyn Backend, result: Checkback) -> Result<Response<Answer>, Refusal> {
    let Checkback { status, output, error, exit_code } = result;
    if status == wire::CheckbackStatus::Completed && error.is_some() {
        return Err(Refusal::request("an attempt that completed has no error"));
    }
    backend.checkback(AttemptResult { status, output, error, exit_code }).await?;
    ok(&Done {})
}
