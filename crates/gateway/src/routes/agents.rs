//! Reads and removals of registered agents.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use errand_api::gateway::agent::{AgentPage, AgentVersion, PageQuery, VersionPage};
use errand_engine::agents::{self, Version};

use super::list_runs::page_limit;
use crate::Gateway;
use crate::auth::Caller;
use crate::extract::{Params, Query};
use crate::refusal::Refusal;

/// Default number of agents on a page.
const LIMIT: u32 = 50;
/// Largest number of agents on a page.
const LARGEST_LIMIT: u32 = 500;

/// `GET /v1/agents`
pub(crate) async fn list_agents(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<AgentPage>, Refusal> {
    let limit = page_limit(query.limit, LIMIT, LARGEST_LIMIT)?;
    let (engine, namespace) = (gateway.engine(), caller.namespace());
    let found = agents::list(engine, namespace, query.cursor.as_deref(), limit + 1).await?;
    let (found, next_cursor) = page(found, limit, |version| version.name.clone());
    let agents = found.iter().map(|version| shown(version, Some(true))).collect();
    Ok(Json(AgentPage { agents, next_cursor }))
}

/// `GET /v1/agents/{agent}/versions`
pub(crate) async fn list_versions(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
    Query(query): Query<PageQuery>,
) -> Result<Json<VersionPage>, Refusal> {
    let limit = page_limit(query.limit, LIMIT, LARGEST_LIMIT)?;
    let (engine, namespace, name) = (gateway.engine(), caller.namespace(), params.get("agent")?);
    let current = agents::current(engine, namespace, name).await?.version;
    let after = query.cursor.as_deref();
    let found = agents::versions(engine, namespace, name, after, limit + 1).await?;
    let (found, next_cursor) = page(found, limit, |version| version.version.clone());
    let is_current = |version: &Version| Some(version.version == current);
    let versions = found.iter().map(|version| shown(version, is_current(version))).collect();
    Ok(Json(VersionPage { versions, next_cursor }))
}

/// `GET /v1/agents/{agent}`
pub(crate) async fn get_agent(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<Json<AgentVersion>, Refusal> {
    let (engine, namespace) = (gateway.engine(), caller.namespace());
    let found = agents::current(engine, namespace, params.get("agent")?).await?;
    with_definition(&gateway, &found, Some(true))
}

/// `GET /v1/agents/{agent}/versions/{version}`
pub(crate) async fn get_version(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<Json<AgentVersion>, Refusal> {
    let (engine, namespace) = (gateway.engine(), caller.namespace());
    let (name, version) = (params.get("agent")?, params.get("version")?);
    let found = agents::find(engine, namespace, name, Some(version)).await?;
    let current = agents::current(engine, namespace, name).await?;
    with_definition(&gateway, &found, Some(current.version == found.version))
}

/// `DELETE /v1/agents/{agent}`
pub(crate) async fn delete_agent(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<StatusCode, Refusal> {
    remove(&gateway, &caller, (params.get("agent")?, None)).await
}

/// `DELETE /v1/agents/{agent}/versions/{version}`
pub(crate) async fn delete_version(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<StatusCode, Refusal> {
    remove(&gateway, &caller, (params.get("agent")?, Some(params.get("version")?))).await
}

async fn remove(
    gateway: &Gateway,
    caller: &Caller,
    which: (&str, Option<&str>),
) -> Result<StatusCode, Refusal> {
    agents::remove(gateway.engine(), caller.namespace(), which, &caller.actor()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn with_definition(
    gateway: &Gateway,
    version: &Version,
    is_current: Option<bool>,
) -> Result<Json<AgentVersion>, Refusal> {
    let parcel = gateway.parcel(version)?;
    let definition = serde_json::to_value(&parcel.agent).ok();
    Ok(Json(AgentVersion { definition, ..shown(version, is_current) }))
}

/// Converts a version for a response.
pub(crate) fn shown(version: &Version, is_current: Option<bool>) -> AgentVersion {
    AgentVersion {
        name: version.name.clone(),
        version: version.version.clone(),
        digest: version.digest.to_string(),
        description: version.description.clone(),
        registered_at_ms: version.registered_at.as_millis(),
        source: version.source.clone(),
        is_current,
        outcome: None,
        definition: None,
    }
}

/// Cuts a list to a page. A further element means that there is another page.
pub(crate) fn page<T>(
    mut found: Vec<T>,
    limit: u32,
    key: impl Fn(&T) -> String,
) -> (Vec<T>, Option<String>) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().map(key).filter(|_| has_more);
    (found, next)
}
