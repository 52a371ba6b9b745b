//! Decisions of policies about answers of models.

use errand_agent::agent_api::{AnsweredModel, Backend, ModelCallResult, StepCallResult};
use http_body_util::{BodyExt as _, Collected};
use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::answer::RecordedAnswer;
use crate::refuse::ClientShape;
use crate::transcript::AnswerHead;

/// A refusal that the agent gets, and the step keeps, in place of an answer.
pub(crate) struct WithheldAnswer {
    pub(crate) head: AnswerHead,
    pub(crate) body: Bytes,
    pub(crate) result: ModelCallResult,
}

/// Asks the policies about an answer; `None`: the agent gets it.
pub(crate) async fn withheld(
    backend: &dyn Backend,
    shape: ClientShape,
    answered: AnsweredModel<'_>,
) -> Option<WithheldAnswer> {
    let mut refusal = backend.permit_answer(answered).await.err()?;
    refusal.message =
        format!("the model answered, and the answer is withheld: {}", refusal.message);
    let (parts, body) = shape.of_backend(&refusal).into_parts();
    let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    let (status, headers) = (parts.status, parts.headers);
    let kept = RecordedAnswer::new(status.as_u16(), &headers, body.to_vec(), Vec::new());
    let kept = StepCallResult { output: Some(kept.into_payload()), stderr: None };
    let head = AnswerHead { status, headers };
    Some(WithheldAnswer { head, body, result: ModelCallResult::Completed(kept) })
}

/// Returns an answer as policies see it, in a form that all providers share.
pub(crate) fn shown(answer: &errand_wire::ModelAnswer, body: Option<&[u8]>) -> Value {
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
