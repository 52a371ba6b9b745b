//! Decisions of policies about answers of models.

use errand_agent::agent_api::{
    AnsweredModel, Backend, BodyCheck, ModelCallResult, Refusal, StepCallResult,
};
use errand_wire::{AnswerDecoder, AnswerShape, EndReason, ModelAnswer, WireFormat};
use http_body_util::{BodyExt as _, Collected};
use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::answer::RecordedAnswer;
use crate::refuse::ClientShape;
use crate::transcript::AnswerHead;

/// An answer, or a refusal, that the agent gets and the step keeps in place of an answer.
pub(crate) struct ReplacedAnswer {
    pub(crate) head: AnswerHead,
    pub(crate) body: Bytes,
    /// Bytes in place of the body for a stream whose client has its head already.
    pub(crate) event: Bytes,
    pub(crate) result: ModelCallResult,
}

/// An answer as policies see it.
pub(crate) struct SeenAnswer {
    /// Form that all providers share.
    pub(crate) result: Value,
    /// Body of an answer that did not stream, if it is JSON.
    pub(crate) response: Option<Value>,
    /// Begin of that answer.
    pub(crate) head: AnswerHead,
    pub(crate) format: WireFormat,
}

/// A call whose answer policies are asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnsweredCall<'a> {
    /// Key of the step.
    pub(crate) key: &'a str,
    /// Provider that answered.
    pub(crate) provider: &'a str,
    /// Model that was asked for.
    pub(crate) model: Option<&'a str>,
}

/// Asks the policies about an answer; `None`: the agent gets it.
pub(crate) async fn replaced(
    backend: &dyn Backend,
    shape: ClientShape,
    call: AnsweredCall<'_>,
    seen: &SeenAnswer,
) -> Option<ReplacedAnswer> {
    let check = |changed: &Value| seen.check(changed);
    let AnsweredCall { key, provider, model } = call;
    let answered = AnsweredModel {
        key,
        provider,
        model,
        result: &seen.result,
        response: seen.response.as_ref(),
        check: BodyCheck(&check),
    };
    match backend.permit_answer(answered).await {
        Ok(None) => None,
        Ok(Some(changed)) => {
            let body = Bytes::from(changed.to_string());
            Some(ReplacedAnswer::new(seen.head.clone(), body))
        }
        Err(refusal) => Some(withheld(shape, refusal).await),
    }
}

/// Returns the refusal in the place of an answer.
async fn withheld(shape: ClientShape, mut refusal: Refusal) -> ReplacedAnswer {
    refusal.message =
        format!("the model answered, and the answer is withheld: {}", refusal.message);
    let (parts, body) = shape.of_backend(&refusal).into_parts();
    let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    let head = AnswerHead { status: parts.status, headers: parts.headers };
    ReplacedAnswer { event: shape.stream_event(&refusal).into(), ..ReplacedAnswer::new(head, body) }
}

impl ReplacedAnswer {
    fn new(head: AnswerHead, body: Bytes) -> Self {
        let AnswerHead { status, headers } = &head;
        let kept = RecordedAnswer::new(status.as_u16(), headers, body.to_vec(), Vec::new());
        let kept = StepCallResult { output: Some(kept.into_payload()), stderr: None };
        Self { head, body, event: Bytes::new(), result: ModelCallResult::Completed(kept) }
    }
}

impl SeenAnswer {
    /// Returns the answer that was received whole, with its body if it did not stream.
    pub(crate) fn of(
        format: WireFormat,
        answer: &ModelAnswer,
        (head, body, is_stream): (AnswerHead, &[u8], bool),
    ) -> Self {
        let as_it_is = (!format.is_generation()).then_some(body);
        let response = (!is_stream).then(|| serde_json::from_slice(body).ok()).flatten();
        Self { result: shown(answer, as_it_is), response, head, format }
    }

    /// Checks a body in the place of the one of this answer. `Err` has the reason for which it cannot
    /// be used.
    fn check(&self, changed: &Value) -> Result<(), String> {
        if self.response.is_none() {
            return Err(
                "an answer that streams, or is no JSON, cannot be changed: deny it".to_owned()
            );
        }
        if self.format == WireFormat::Opaque {
            return Err(
                "errand does not know the format of this answer, and cannot check another one"
                    .to_owned(),
            );
        }
        let body = changed.to_string();
        let events = AnswerDecoder::decode(self.format, AnswerShape::Whole, body.as_bytes());
        let mut answer = ModelAnswer::default();
        events.iter().for_each(|decoded| answer.apply(&decoded.event));
        match (answer.error, answer.end) {
            (Some(error), _) => Err(format!("the changed answer cannot be read: {error}")),
            (None, Some(EndReason::Cut) | None) => {
                Err("the changed answer has no end: keep the members of the answer".to_owned())
            }
            (None, Some(_)) => Ok(()),
        }
    }
}

/// Returns an answer in a form that all providers share.
fn shown(answer: &ModelAnswer, body: Option<&[u8]>) -> Value {
    let tools = answer.tool_uses.iter().map(|tool| {
        let arguments = serde_json::from_str(&tool.arguments);
        json!({
            "name": tool.name,
            "arguments": arguments.unwrap_or_else(|_| Value::String(tool.arguments.clone())),
        })
    });
    let tools: Vec<Value> = tools.collect();
    // An answer in a format that is not understood is shown as it is.
    let text = body.map(|body| String::from_utf8_lossy(body).into_owned());
    json!({ "text": text.unwrap_or_else(|| answer.text.clone()), "tool_calls": tools })
}
