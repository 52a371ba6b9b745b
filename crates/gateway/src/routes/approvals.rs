//! `/v1/approvals`: questions of agents to people, and their answers.

use axum::Json;
use axum::extract::State;
use errand_api::error_code::ErrorCode;
use errand_api::gateway::people::{
    DecideApprovalBody, Decided, ProvideInputBody, Provided, QuestionQuery,
};
use errand_api::question::QuestionList;
use errand_engine::ask::AnswerDraft;
use errand_engine::operations::{ActionOperations as _, PeopleOperations as _};
use errand_model::{Digest, RunId, run};
use errand_store::Questions;

use super::by::by;
use crate::Gateway;
use crate::auth::Caller;
use crate::extract::{JsonBody, OneRun, Params, Query};
use crate::refusal::Refusal;

/// Lists questions.
pub(crate) async fn list_approvals(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(query): Query<QuestionQuery>,
) -> Result<Json<QuestionList>, Refusal> {
    let which = if query.all.unwrap_or_default() { Questions::All } else { Questions::Open };
    Ok(Json(gateway.operations(&caller).questions(which).await?))
}

/// Decides the approval that the path names.
pub(crate) async fn decide_approval(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
    OneRun(stored): OneRun,
    JsonBody(body): JsonBody<DecideApprovalBody>,
) -> Result<Json<Decided>, Refusal> {
    let approval_id = Some(params.get("approval_id")?.to_owned());
    decide(&gateway, &caller, (&stored.run.id, approval_id), body).await
}

/// Decides the only open approval of a run.
pub(crate) async fn decide_only_approval(
    State(gateway): State<Gateway>,
    caller: Caller,
    OneRun(stored): OneRun,
    JsonBody(body): JsonBody<DecideApprovalBody>,
) -> Result<Json<Decided>, Refusal> {
    decide(&gateway, &caller, (&stored.run.id, None), body).await
}

async fn decide(
    gateway: &Gateway,
    caller: &Caller,
    (run_id, approval_id): (&RunId, Option<String>),
    body: DecideApprovalBody,
) -> Result<Json<Decided>, Refusal> {
    let digest =
        body.digest.map(Digest::try_from).transpose().map_err(|error| {
            Refusal::field(ErrorCode::RequestInvalid, "/digest", error.to_string())
        })?;
    let decide = run::DecideApproval {
        approval_id,
        decision: body.decision,
        by: by(caller, body.by.as_deref()),
        comment: body.comment,
        digest,
        decision_id: None,
    };
    Ok(Json(gateway.operations(caller).decide(run_id, decide).await?))
}

/// Answers a question of a run.
pub(crate) async fn provide_input(
    State(gateway): State<Gateway>,
    caller: Caller,
    OneRun(stored): OneRun,
    JsonBody(body): JsonBody<ProvideInputBody>,
) -> Result<Json<Provided>, Refusal> {
    let by = by(&caller, body.by.as_deref());
    let draft = AnswerDraft { input_id: body.input_id, answer: body.answer, by, decision_id: None };
    Ok(Json(gateway.operations(&caller).provide(&stored.run.id, draft).await?))
}
