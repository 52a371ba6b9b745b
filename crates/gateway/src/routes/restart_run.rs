//! `POST /v1/runs/{run_id}/restart`: a new attempt, or a new run in the place of a terminal one.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use errand_api::gateway::run::RestartRequest;
use errand_engine::again;
use errand_engine::again::{Restarted, replace, restart};
use errand_model::event::CancelCause;
use errand_model::run::Cancel;

use super::cancel_run::grace;
use super::create_run::queued;
use crate::Gateway;
use crate::again::{choice, start};
use crate::auth::Caller;
use crate::extract::{JsonBody, OneRun};
use crate::record::whole_record;
use crate::refusal::Refusal;

/// Restarts the run.
pub(crate) async fn restart_run(
    State(gateway): State<Gateway>,
    caller: Caller,
    OneRun(stored): OneRun,
    JsonBody(request): JsonBody<RestartRequest>,
) -> Result<Response, Refusal> {
    let grace = grace(request.grace_period.as_deref(), request.force)?;
    let run_id = &stored.run.id;
    let engine = gateway.engine();
    let choice = choice(request.version, request.latest)?;
    if !choice.is_recorded() {
        let cancel = Cancel { cause: CancelCause::Stopped, by: Some(caller.name()), grace };
        let submission = Box::pin(replace(engine, run_id, &cancel, choice)).await?;
        return queued(&gateway, start(&gateway, &caller, submission).await?).await;
    }
    if stored.run.status.is_terminal() {
        let submission = again::anew(engine, run_id).await?;
        return queued(&gateway, start(&gateway, &caller, submission).await?).await;
    }
    match restart(engine, run_id, Some(caller.name()), grace).await? {
        Restarted::Attempt(stored) => {
            Ok(Json(whole_record(&gateway, &stored).await?).into_response())
        }
        Restarted::Run(new) => {
            let stored = crate::submit::stored(&gateway, &new).await?;
            let submitted = crate::submit::Submitted { stored: Box::new(stored), is_old: false };
            queued(&gateway, submitted).await
        }
    }
}
