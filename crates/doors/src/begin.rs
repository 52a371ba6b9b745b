//! Begin of a call: its place in the ledger and in the journal.

use std::sync::Arc;

use errand_agent::agent_api::{
    ModelCallBegun, ModelCallStart, Refusal, RefusedCall, RefusedTarget, StepCall, StepCallResult,
};
use errand_api::error_code::ErrorCode;
use errand_model::event::Failure;
use errand_wire::refusal::RefusalCause;
use errand_wire::{InstructedRequest, WireCall};
use hyper::Response;
use serde_json::{Map, Value};

use crate::answer::RecordedAnswer;
use crate::call::CallRequest;
use crate::context::DoorContext;
use crate::ledger::{Entry, Occurrence};
use crate::permit;
use crate::pump::Pump;
use crate::recorder::MaskedBody;
use crate::refuse::ClientShape;
use crate::respond::DoorBody;
use crate::sampled::SampledCall;
use crate::transcript::{AnswerEnd, TranscriptReader};

/// Kind of the steps of model calls.
const STEP_KIND: &str = "model";
/// Hexadecimal digits of a request's digest in the key of its step.
const KEY_DIGITS: usize = 24;

/// Answers a call: with that of a call under way, with the recorded one, or with a new one.
pub(crate) async fn answer(
    door: &Arc<DoorContext>,
    mut request: CallRequest,
) -> Response<DoorBody> {
    let shape = request.shape;
    let occurrence = match door.ledger().enter(&request.call.digest, request.sent) {
        Entry::Join(transcript) => return handed_on(shape, transcript.reader()).await,
        Entry::Begin(occurrence) => occurrence,
    };
    let reader = occurrence.transcript.reader();
    // The client may go away at any moment, and the call goes on.
    let (context, mut made) = (Arc::clone(door), occurrence);
    let (say, said) = tokio::sync::oneshot::channel();
    door.spawn(async move {
        let begun = loop {
            match begin(&context, &mut request, &made).await {
                // The call was made, and cannot be served: it is made again.
                Err(NotBegun::AnswerNotKept) => made = context.ledger().anew(&made),
                begun => break begun,
            }
        };
        match begun {
            Ok(begun) => {
                // The client reads the transcript.
                drop(say);
                let request = instructed(request, begun.instruction.as_deref());
                pump(&context, request, made, begun).run().await;
            }
            Err(NotBegun::Answered(response)) => {
                made.transcript.end(AnswerEnd::Cut);
                // A client that is gone needs no answer.
                drop(say.send(response));
            }
            // The loop has begun such a call anew.
            Err(NotBegun::AnswerNotKept) => made.transcript.end(AnswerEnd::Cut),
        }
    });
    match said.await {
        Ok(response) => *response,
        Err(_) => handed_on(shape, reader).await,
    }
}

/// Waits for the begin of an answer, and hands it on.
async fn handed_on(shape: ClientShape, reader: TranscriptReader) -> Response<DoorBody> {
    match reader.response().await {
        Some(response) => response,
        None => {
            let message = "the provider's answer came to no end: see the events of the run";
            shape.refusal(RefusalCause::Unreachable, ErrorCode::ModelAnswerIncomplete, message)
        }
    }
}

/// A call that is to be made.
struct BegunCall {
    /// Key of its step.
    key: String,
    reservation_id: String,
    /// Text that its request is to carry too.
    instruction: Option<String>,
    sampled: SampledCall,
}

/// Reason why a call is not made.
enum NotBegun {
    /// The client gets this response.
    Answered(Box<Response<DoorBody>>),
    /// The call was completed, and its answer was not kept.
    AnswerNotKept,
}

/// Begins a call in the journal. Returns the response to a call that is not to be made.
async fn begin(
    door: &DoorContext,
    request: &mut CallRequest,
    occurrence: &Occurrence,
) -> Result<BegunCall, NotBegun> {
    // The key is that of the request of the agent, which the next attempt sends again.
    let key = key(&request.call, occurrence);
    if let Err(refusal) = permit::permit(door, request, (&key, &occurrence.digest)).await {
        door.ledger().failed(occurrence);
        return Err(NotBegun::Answered(Box::new(refused(door, request, &refusal).await)));
    }
    let CallRequest { call, shape, first, asked, .. } = &*request;
    let step = StepCall {
        kind: Some(STEP_KIND.to_owned()),
        fingerprint: Some(occurrence.digest.clone()),
        detail: Some(request.detail.clone()),
        timeout: None,
    };
    let reserve = request.expected.reserve(first.provider.name.as_str(), first.model.as_deref());
    let keeps = door.sampling().keeps(&key);
    let (data, body) = requested(door, request, keeps);
    let takes_instruction = door.backend().may_instruct()
        && InstructedRequest::of(call.format, &asked.body, "").is_some();
    let start =
        ModelCallStart { key: key.clone(), step, reserve, request: Some(data), takes_instruction };
    match door.backend().begin_model_call(start).await {
        Ok(ModelCallBegun::Call { reservation_id, instruction }) => {
            if let Some(body) = body {
                door.recorder().keep(body);
            }
            let sampled = match (keeps, door.sampling().keeps_failed()) {
                (true, _) => SampledCall::Kept,
                (false, false) => SampledCall::LeftOut,
                (false, true) => {
                    SampledCall::KeptIfFailed(Box::new(requested(door, request, true).0))
                }
            };
            Ok(BegunCall { key, reservation_id, instruction, sampled })
        }
        Ok(ModelCallBegun::Recorded(result)) if result.output.is_none() => {
            Err(NotBegun::AnswerNotKept)
        }
        Ok(ModelCallBegun::Recorded(result)) => {
            door.ledger().completed(occurrence);
            Err(NotBegun::Answered(Box::new(recorded(*shape, result, call, first.drops_usage))))
        }
        Ok(ModelCallBegun::Failed(failure)) => {
            door.ledger().failed(occurrence);
            Err(NotBegun::Answered(Box::new(failed(*shape, &failure))))
        }
        Err(refusal) => {
            door.ledger().failed(occurrence);
            Err(NotBegun::Answered(Box::new(refused(door, request, &refusal).await)))
        }
    }
}

/// Notes the refusal of a call, and returns the response with it.
async fn refused(
    door: &DoorContext,
    request: &CallRequest,
    refusal: &Refusal,
) -> Response<DoorBody> {
    let provider = Some(request.first.provider.name.as_str().to_owned());
    let model = request.first.model.clone();
    let noted = RefusedCall {
        target: RefusedTarget::Model { provider, model },
        code: refusal.code,
        message: refusal.message.clone(),
    };
    door.backend().note_refusal(noted).await;
    request.shape.of_backend(refusal)
}

/// Puts a text of errand's own into a request.
fn instructed(mut request: CallRequest, text: Option<&str>) -> CallRequest {
    let CallRequest { call, asked, .. } = &mut request;
    let change = text.and_then(|text| InstructedRequest::of(call.format, &asked.body, text));
    if let Some(change) = change {
        asked.body = change.apply(&asked.body).into();
        if let Some(first) = asked.attempt(1, call) {
            request.first = first;
        }
    }
    request
}

/// Returns the data of the event with a request, and its body as it is kept.
fn requested(
    door: &DoorContext,
    request: &CallRequest,
    keeps: bool,
) -> (Map<String, Value>, Option<MaskedBody>) {
    let CallRequest { call, asked, .. } = request;
    let mut data = Map::new();
    let mut put = |name: &str, value: Value| drop(data.insert(name.to_owned(), value));
    put("provider", asked.provider.name.as_str().into());
    put("format", call.format.as_str().into());
    put("method", asked.method.as_str().into());
    put("path", asked.path_at_provider().into());
    if let Some(model) = &call.model {
        put("model", model.as_str().into());
    }
    if request.is_changed {
        put("changed", true.into());
    }
    if !keeps {
        door.recorder().put_digest(&mut data, &asked.body);
        return (data, None);
    }
    let body = door.recorder().put(&mut data, &asked.body);
    (data, body)
}

/// Returns the key of a call's step.
fn key(call: &WireCall, Occurrence { digest, number, .. }: &Occurrence) -> String {
    let digest = digest.to_string();
    let hex = digest.rsplit(':').next().unwrap_or_default();
    format!("{}/{}/{number}", call.format.as_str(), &hex[..hex.len().min(KEY_DIGITS)])
}

/// Returns the recorded answer as the client got it: without the chunk with the usage, if errand alone
/// asked for that.
fn recorded(
    shape: ClientShape,
    result: StepCallResult,
    call: &WireCall,
    drops_usage: bool,
) -> Response<DoorBody> {
    let answer = result.output.and_then(RecordedAnswer::of_payload);
    answer.and_then(|answer| answer.into_response(call, drops_usage)).unwrap_or_else(|| {
        let message = "the recorded answer of this call cannot be read";
        shape.refusal(RefusalCause::Forbidden, ErrorCode::Internal, message)
    })
}

fn failed(shape: ClientShape, failure: &Failure) -> Response<DoorBody> {
    shape.refusal(RefusalCause::Unreachable, ErrorCode::ProviderUnreachable, &failure.message)
}

/// Returns what carries the call out.
fn pump(
    door: &Arc<DoorContext>,
    request: CallRequest,
    occurrence: Occurrence,
    BegunCall { key, reservation_id, sampled, .. }: BegunCall,
) -> Pump {
    let CallRequest { asked, first, expected, shape, call, .. } = request;
    Pump {
        door: Arc::clone(door),
        asked,
        current: first,
        expected,
        shape,
        call,
        occurrence,
        key,
        reservation_id,
        sampled,
    }
}
