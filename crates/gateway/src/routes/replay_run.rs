//! `POST /v1/runs/{run_id}/replay`: replay of a run: as a report, strictly, or with new calls.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use errand_api::error_code::ErrorCode;
use errand_api::gateway::run::{ReplayPolicyWord, ReplayRequest};
use errand_engine::agents::Parcel;
use errand_engine::{replay, view};

use super::create_run::queued;
use crate::Gateway;
use crate::again::start;
use crate::auth::Caller;
use crate::extract::{JsonBody, OneRun};
use crate::refusal::Refusal;
use crate::submit::version;

/// Reports the run, or queues the replay.
pub(crate) async fn replay_run(
    State(gateway): State<Gateway>,
    caller: Caller,
    OneRun(stored): OneRun,
    JsonBody(request): JsonBody<ReplayRequest>,
) -> Result<Response, Refusal> {
    let policy = request.policy.unwrap_or_default();
    let only = |field: &str, with: &str| {
        let detail = format!("{field} goes with {with} only");
        Err(Refusal::field(ErrorCode::RequestInvalid, &format!("/{field}"), detail))
    };
    if request.agent.is_some() && policy == ReplayPolicyWord::Inspect {
        return only("agent", "strict or live");
    }
    if request.allow_effects.is_some() && policy != ReplayPolicyWord::Live {
        return only("allow_effects", "live");
    }
    let (run_id, engine) = (&stored.run.id, gateway.engine());
    let agent = agent(&gateway, &caller, request.agent.as_deref()).await?;
    let submission = match policy {
        ReplayPolicyWord::Inspect => {
            let narrative = replay::inspect(engine, run_id).await?;
            return Ok(Json(view::story(narrative)).into_response());
        }
        ReplayPolicyWord::Strict => replay::strict(engine, run_id, agent).await?,
        ReplayPolicyWord::Live => {
            let by = request.allow_effects.unwrap_or_default().then(|| caller.name());
            replay::live(engine, run_id, by, agent).await?
        }
    };
    queued(&gateway, start(&gateway, &caller, submission).await?).await
}

/// Returns the agent that replaces the recorded one.
async fn agent(
    gateway: &Gateway,
    caller: &Caller,
    reference: Option<&str>,
) -> Result<Option<(Parcel, String)>, Refusal> {
    let Some(reference) = reference else { return Ok(None) };
    let version = version(gateway, caller, reference, None).await?;
    let parcel = gateway.parcel(&version)?;
    Ok(Some((parcel.as_ref().clone(), version.source)))
}
