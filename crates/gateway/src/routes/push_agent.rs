//! `POST /v1/agents`: registration of a version of an agent.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use errand_api::agent_file::FILE_NAME;
use errand_api::error_code::ErrorCode;
use errand_api::gateway::agent::{AgentVersion, PushOutcome, PushQuery};
use errand_engine::agents::{
    self, MalformedArchive, ParcelPlan, Registration, RegistrationOutcome, Replace, Unpacked,
};
use tokio::task::spawn_blocking;

use super::agents::shown;
use crate::Gateway;
use crate::auth::Caller;
use crate::extract::{Bytes, Query};
use crate::refusal::Refusal;

/// Checks the folder, stores it and registers it.
pub(crate) async fn push_agent(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(query): Query<PushQuery>,
    Bytes(archive): Bytes,
) -> Result<Response, Refusal> {
    let engine = gateway.engine().clone();
    // Unpacked and hashed on a thread that may block.
    let planned = spawn_blocking(move || plan(&engine, &archive));
    let (folder, plan) = planned.await.map_err(|error| {
        Refusal::new(ErrorCode::Internal, format!("the check ended early: {error}"))
    })??;
    let replace = if query.force == Some(true) { Replace::Yes } else { Replace::No };
    let by = caller.actor();
    let registration = Registration {
        namespace: caller.namespace(),
        source: query.source.unwrap_or_else(|| format!("pushed from {}", by.from)),
        replace,
        by: &by,
    };
    let registered = agents::register(gateway.engine(), plan, registration).await;
    drop(folder);
    let (version, outcome) = registered?;
    let location = format!("/v1/agents/{}/versions/{}", version.name, version.version);
    let (status, outcome) = match outcome {
        RegistrationOutcome::Created => (StatusCode::CREATED, PushOutcome::Created),
        RegistrationOutcome::Replaced => (StatusCode::CREATED, PushOutcome::Replaced),
        RegistrationOutcome::Same => (StatusCode::OK, PushOutcome::Same),
    };
    let answer = AgentVersion { outcome: Some(outcome), ..shown(&version, None) };
    Ok((status, [(header::LOCATION, location)], Json(answer)).into_response())
}

/// Unpacks an archive and checks its content.
fn plan(engine: &errand_engine::Engine, archive: &[u8]) -> Result<(Unpacked, ParcelPlan), Refusal> {
    let folder = agents::unpack(engine, archive)?;
    let plan = agents::check_sent(folder.folder(), FILE_NAME)?;
    Ok((folder, plan))
}

impl From<MalformedArchive> for Refusal {
    fn from(error: MalformedArchive) -> Self {
        let code = match error {
            MalformedArchive::Io(error) => return error.into(),
            MalformedArchive::Randomness(error) => return error.into(),
            MalformedArchive::Archive(_) => ErrorCode::RequestMalformed,
            MalformedArchive::Entry { .. } => ErrorCode::ParcelInvalid,
            MalformedArchive::TooLarge { .. } => ErrorCode::ParcelTooLarge,
        };
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        Self::new(code, format!("{error}{}", cause.unwrap_or_default()))
            .hint("send a tar archive of the agent's folder, with agent.yaml at its top")
    }
}
