//! Decisions of policies about requests to models.

use errand_agent::agent_api::{AskedModel, BodyCheck, Refusal};
use errand_wire::{WireCall, WireFormat};
use serde_json::Value;

use crate::call::CallRequest;
use crate::context::DoorContext;
use crate::usage::ExpectedUsage;

/// A request in the place of the one that the agent sent.
struct ChangedRequest {
    body: Vec<u8>,
    call: WireCall,
}

/// Asks the policies about a request, and puts the changed one in its place, if one of them changed
/// it: that one is recorded, paid and sent.
///
/// # Errors
///
/// The refusal of the call.
pub(crate) async fn permit(
    door: &DoorContext,
    request: &mut CallRequest,
    (key, digest): (&str, &errand_model::Digest),
) -> Result<(), Refusal> {
    let provider = request.first.provider.name.as_str();
    let reserve = request.expected.reserve(provider, request.first.model.as_deref());
    let body = door.seen_body(&request.asked.body);
    let check = |changed: &Value| changed_request(door, request, changed).map(drop);
    let asked = AskedModel {
        key,
        reserve: &reserve,
        format: request.call.format.as_str(),
        digest,
        request: body.as_ref(),
        check: BodyCheck(&check),
    };
    let Some(changed) = door.backend().permit_request(asked).await? else { return Ok(()) };
    let made = changed_request(door, request, &changed);
    let ChangedRequest { body, call } = made.map_err(Refusal::internal)?;
    request.asked.body = body.into();
    request.call = call;
    request.expected = ExpectedUsage::of(&request.call, false);
    let first = request.asked.attempt(1, &request.call);
    request.first = first.ok_or_else(|| Refusal::internal(NOT_SENT))?;
    request.is_changed = true;
    Ok(())
}

/// Reason for which a changed request cannot be used.
const NOT_SENT: &str = "the changed request cannot be sent";

/// Checks a changed request: its call has the same format, model and kind of answer, for which the
/// client waits.
fn changed_request(
    door: &DoorContext,
    request: &CallRequest,
    changed: &Value,
) -> Result<ChangedRequest, String> {
    let CallRequest { asked, call, .. } = request;
    if call.format == WireFormat::Opaque {
        return Err(
            "errand does not know the format of this request, and cannot check another one"
                .to_owned(),
        );
    }
    if !changed.is_object() {
        return Err("the changed request is no JSON object".to_owned());
    }
    let body = changed.to_string().into_bytes();
    let target = asked.target();
    let made = WireCall::of(call.format, &target, &body, door.ignored())
        .map_err(|error| format!("the changed request cannot be read: {error}"))?;
    if made.model != call.model {
        let hint = "a ModelRoute sends calls to another model";
        return Err(format!("the changed request names another model: {hint}"));
    }
    if made.is_stream != call.is_stream {
        let hint = "the agent waits for the answer in the form that it asked for";
        return Err(format!("the changed request has another `stream`: {hint}"));
    }
    Ok(ChangedRequest { body, call: made })
}
