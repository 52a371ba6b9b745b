//! A tool call: its place in the journal, and the call of its server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use errand_agent::agent_api::{
    AnsweredTool, Backend, CalledTool, RefusedCall, RefusedTarget, StepCall, ToolCallBegun,
    ToolCallEnd, ToolCallResult, ToolCallStart,
};
use errand_api::error_code::ErrorCode;
use errand_model::event::Failure;
use errand_model::{Digest, Payload, canonical};
use serde_json::{Map, Value, json};

use super::bounds;
use super::exchange::Reply;
use super::gateway::ToolGateway;
use super::occurrences::Entered;
use super::offered::OfferedTool;
use super::server::CallFailure;
use crate::context::DoorContext;

/// Kind of the steps of tool calls.
const STEP_KIND: &str = "tool";
/// Hexadecimal digits of a call's digest in the key of its step.
const KEY_DIGITS: usize = 24;
/// Member of `_meta` with the key of a call, for servers that do things once.
const IDEMPOTENCY_KEY: &str = "errand.dev/idempotencyKey";

/// A call that an agent asks for.
#[derive(Debug)]
pub(crate) struct ToolRequest {
    pub(crate) tool: OfferedTool,
    pub(crate) arguments: Value,
    /// `_meta` of the request, without what is about the agent's own conversation.
    pub(crate) meta: Map<String, Value>,
}

/// Ending of a call, for the count of its occurrences.
enum Ending {
    /// The call is done for good.
    Final,
    /// The next equal call is made again.
    Repeatable,
}

/// Carries a call out, and returns its result as JSON. The call goes on if the client goes away.
pub(crate) async fn result(
    door: &Arc<DoorContext>,
    gateway: &Arc<ToolGateway>,
    request: ToolRequest,
) -> Arc<str> {
    let digest = digest(&request);
    let mut result = match entered(door, gateway, (&request.tool, &digest)) {
        Entered::Join(result) => result,
        Entered::Begin { number, result } => {
            let (context, gateway) = (Arc::clone(door), Arc::clone(gateway));
            door.spawn(async move {
                let key = key(&request.tool, &digest, number);
                let carried_out = carry_out(&context, &gateway, request, (key, &digest));
                let (ending, result) = tokio::select! {
                    ended = carried_out => ended,
                    () = context.drained() => (Ending::Repeatable, failed_tool("the attempt ended")),
                };
                match ending {
                    Ending::Final => gateway.occurrences.completed((&digest, number), result),
                    Ending::Repeatable => gateway.occurrences.failed((&digest, number), result),
                }
            });
            result
        }
    };
    let found = result.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
    found.unwrap_or_else(|| failed_tool("the attempt of the agent has ended"))
}

/// Enters a call. Equal ones that an earlier supervisor of the attempt answered count as made.
fn entered(
    door: &DoorContext,
    gateway: &ToolGateway,
    (tool, digest): (&OfferedTool, &Digest),
) -> Entered {
    loop {
        let entered = gateway.occurrences.enter(digest);
        match &entered {
            Entered::Begin { number, .. }
                if door.backend().was_answered(&key(tool, digest, *number)) =>
            {
                gateway.occurrences.completed((digest, *number), "".into());
            }
            Entered::Begin { .. } | Entered::Join(_) => return entered,
        }
    }
}

async fn carry_out(
    door: &DoorContext,
    gateway: &ToolGateway,
    request: ToolRequest,
    (key, digest): (String, &Digest),
) -> (Ending, Arc<str>) {
    let backend = door.backend();
    let called = request.tool.called();
    let Some(server) = gateway.server(&called.server) else {
        let message = format!("the tool server {} is not configured any more", called.server);
        note_refusal(door, Some(&called.offered), ErrorCode::ToolCallFailed, &message).await;
        return (Ending::Repeatable, failed_tool(&message));
    };
    let (effect, is_repeatable) = request.tool.effect(&server.order);
    let step = StepCall {
        kind: Some(STEP_KIND.to_owned()),
        fingerprint: Some(digest.clone()),
        detail: Some(format!("{} {}", called.offered, canonical::to_string(&request.arguments))),
        timeout: None,
    };
    let start = ToolCallStart {
        key: key.clone(),
        step,
        tool: called.clone(),
        arguments: request.arguments.clone(),
        is_repeatable,
        patience: server.order.timeout.min(bounds::PATIENCE),
    };
    let (reservation_id, arguments, idempotency_key) = match backend.begin_tool_call(start).await {
        Ok(ToolCallBegun::Call { reservation_id, changed, idempotency_key }) => {
            (reservation_id, changed.unwrap_or(request.arguments), idempotency_key)
        }
        Ok(ToolCallBegun::Recorded(output)) => return (Ending::Final, recorded(output)),
        Ok(ToolCallBegun::Failed(failure)) => return of_failure(&failure),
        Err(refusal) => {
            note_refusal(door, Some(&called.offered), refusal.code, &refusal.message).await;
            return (Ending::Repeatable, failed_tool(&refused(&refusal.message)));
        }
    };
    let mut meta = request.meta;
    meta.insert(IDEMPOTENCY_KEY.to_owned(), idempotency_key.into());
    let params = json!({ "name": called.name, "arguments": arguments, "_meta": meta });
    let began = Instant::now();
    let answer = server.call(&called.name, &params).await;
    let answer = answer.map_err(|failure| failure_of(&called.server, &called.name, failure));
    let mut event = Map::new();
    event.insert("name".to_owned(), called.offered.clone().into());
    event.insert("server".to_owned(), called.server.clone().into());
    event.insert("tool".to_owned(), called.name.clone().into());
    event.insert("arguments".to_owned(), arguments);
    if let Some(effect) = effect {
        event.insert("side_effect".to_owned(), json!(effect));
    }
    if !server.order.labels.is_empty() {
        event.insert("labels".to_owned(), json!(server.order.labels));
    }
    end(backend, (key, reservation_id, called), event, (began.elapsed(), answer)).await
}

/// Notes that a call was refused before it was a step.
pub(crate) async fn note_refusal(
    door: &DoorContext,
    name: Option<&str>,
    code: ErrorCode,
    message: &str,
) {
    let target = RefusedTarget::Tool { name: name.map(str::to_owned) };
    door.backend().note_refusal(RefusedCall { target, code, message: message.to_owned() }).await;
}

/// Records the end of a call, and returns its result once it is durable.
async fn end(
    backend: &dyn Backend,
    (key, reservation_id, tool): (String, String, CalledTool),
    mut called: Map<String, Value>,
    (took, answer): (Duration, Result<Reply, Failure>),
) -> (Ending, Arc<str>) {
    let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    called.insert("duration_ms".to_owned(), took.into());
    let (ending, text, result) = match answer {
        Ok(reply) => {
            let text = text_of(reply);
            match serde_json::from_str::<Value>(&text) {
                Ok(value) => {
                    let is_error = value["isError"] == true;
                    called.insert("success".to_owned(), (!is_error).into());
                    let answered = AnsweredTool {
                        key: &key,
                        tool: &tool,
                        arguments: called.get("arguments").unwrap_or(&Value::Null),
                        result: &value,
                    };
                    let (text, value) = permitted(backend, answered, text).await;
                    (Ending::Final, text, ToolCallResult::Completed(Payload::Json(value)))
                }
                // Readers of messages let nothing else pass.
                Err(error) => {
                    let failure = Failure::new(ErrorCode::ToolCallFailed, error.to_string());
                    (
                        Ending::Repeatable,
                        failed_tool(&failure.message),
                        ToolCallResult::Failed(failure),
                    )
                }
            }
        }
        Err(failure) => {
            called.insert("success".to_owned(), false.into());
            let text = failed_tool(&failure.message);
            (Ending::Repeatable, text, ToolCallResult::Failed(failure))
        }
    };
    match backend.end_tool_call(ToolCallEnd { key, reservation_id, called, result }).await {
        Ok(()) => (ending, text),
        // What is not recorded is not handed on: the next attempt would not know it.
        Err(refusal) => (Ending::Repeatable, failed_tool(&refused(&refusal.message))),
    }
}

/// Returns the result that the agent gets, which the step keeps: that of the server, or what the
/// policies put in its place.
async fn permitted(
    backend: &dyn Backend,
    answered: AnsweredTool<'_>,
    text: Arc<str>,
) -> (Arc<str>, Value) {
    match backend.permit_result(answered).await {
        Ok(None) => (text, answered.result.clone()),
        Ok(Some(changed)) => (changed.to_string().into(), changed),
        Err(refusal) => {
            let text =
                format!("the call was made, and its result is withheld: {}", refusal.message);
            let withheld = failed_result(&text);
            (withheld.to_string().into(), withheld)
        }
    }
}

/// Returns the result of an answered call. An error of the protocol becomes the result of a failed
/// tool: many clients never show the former to the model.
fn text_of(reply: Reply) -> Arc<str> {
    match reply {
        Ok(result) => result.into(),
        Err(error) => failed_tool(&error.to_string()),
    }
}

fn failure_of(server: &str, tool: &str, failure: CallFailure) -> Failure {
    let message = match failure {
        CallFailure::Down(down) => return super::gateway::failure(down),
        CallFailure::Link(error) => {
            format!("the tool server {server} did not answer the call of {tool}: {error}")
        }
    };
    Failure::new(ErrorCode::ToolCallFailed, message)
}

fn of_failure(failure: &Failure) -> (Ending, Arc<str>) {
    let is_cut = failure.code.as_str() == ErrorCode::InterruptedEffect.as_str();
    let ending = if is_cut { Ending::Final } else { Ending::Repeatable };
    let advice = if is_cut { ". Look whether it happened before you call it again." } else { "" };
    (ending, failed_tool(&format!("{}{advice}", failure.message)))
}

fn recorded(output: Option<Payload>) -> Arc<str> {
    match output {
        Some(Payload::Json(value)) => value.to_string().into(),
        Some(Payload::Text(_) | Payload::Base64(_) | Payload::Blob(_)) | None => {
            failed_tool("the recorded result of this call cannot be read")
        }
    }
}

fn refused(message: &str) -> String {
    format!("this call was refused: {message}")
}

/// Returns the result of a tool that failed, with a text for the model.
pub(crate) fn failed_tool(text: &str) -> Arc<str> {
    failed_result(text).to_string().into()
}

fn failed_result(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }], "isError": true })
}

fn digest(request: &ToolRequest) -> Digest {
    let call = json!({
        "server": request.tool.server, "tool": request.tool.own_name(),
        "arguments": request.arguments,
    });
    Digest::of(canonical::to_string(&call).as_bytes())
}

fn key(tool: &OfferedTool, digest: &Digest, number: usize) -> String {
    format!("tool/{}/{}/{number}", tool.offered_name(), &digest.hex()[..KEY_DIGITS])
}
