//! `GET /v1/runs/{run_id}/steps`: the steps of a run.

use axum::Json;
use axum::extract::State;
use errand_api::gateway::run::{StepPage, StepRecord};
use errand_api::record::step_output;
use errand_model::RunId;
use errand_model::step::{Step, StepState};
use serde_json::json;

use crate::Gateway;
use crate::extract::OneRun;
use crate::refusal::Refusal;

/// Lists all steps.
pub(crate) async fn list_steps(
    State(gateway): State<Gateway>,
    OneRun(stored): OneRun,
) -> Result<Json<StepPage>, Refusal> {
    let steps = gateway.engine().store().steps(&stored.run.id).await?;
    // A coordinator's steps continue beyond its attempt, until it is over.
    let live = stored.run.live_attempt().map(|attempt| attempt.number);
    let goes_on = |step: &Step| {
        live == Some(step.attempt)
            || (stored.run.coordination.is_some() && !stored.run.status.is_terminal())
    };
    let records = steps.iter().map(|step| record(&stored.run.id, step, goes_on(step)));
    Ok(Json(StepPage { steps: records.collect() }))
}

fn record(run_id: &RunId, step: &Step, goes_on: bool) -> StepRecord {
    let (status, ended_at, output, error) = match &step.state {
        StepState::Started if goes_on => ("running", None, None, None),
        StepState::Started => ("interrupted", None, None, None),
        StepState::Completed(result) => {
            let output = step_output(run_id, result.output.as_ref());
            ("completed", Some(result.at), Some(output), None)
        }
        StepState::Failed { error, exit_code, at } => {
            let error = json!({
                "code": error.code, "message": error.message, "exit_code": exit_code,
            });
            ("failed", Some(*at), None, Some(error))
        }
    };
    StepRecord {
        key: step.key.clone(),
        status: status.to_owned(),
        attempt: step.attempt,
        started_at_ms: step.started_at.as_millis(),
        ended_at_ms: ended_at.map(errand_model::Timestamp::as_millis),
        output,
        error,
    }
}
