//! `GET /v1/runs`: runs, newest first, a page at a time.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use errand_api::error_code::ErrorCode;
use errand_api::gateway::run::{RunPage, RunQuery};
use errand_engine::operations::{RunListQuery, RunOperations as _};
use errand_model::{RunId, scoped};
use errand_store::{Filter, Namespaces};

use crate::Gateway;
use crate::auth::Caller;
use crate::extract::Query;
use crate::refusal::Refusal;

/// Default number of runs on a page.
const LIMIT: u32 = 50;
/// Largest number of runs on a page.
const LARGEST_LIMIT: u32 = 500;

/// Lists a page of runs.
pub(crate) async fn list_runs(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(query): Query<RunQuery>,
) -> Result<Json<RunPage>, Refusal> {
    let limit = page_limit(query.limit, LIMIT, LARGEST_LIMIT)?;
    let after = query.cursor.as_deref().map(|text| run_id("cursor", text)).transpose()?;
    let filter = filter(&caller, query)?;
    let list = RunListQuery { filter, with_children: true, since: None, after, limit };
    let list = gateway.operations(&caller).list_runs(&list).await?;
    for refusal in &list.errors {
        tracing::warn!("a run of a list cannot be read: {}", refusal.detail());
    }
    Ok(Json(RunPage { runs: list.runs, next_cursor: list.next.map(|next| next.to_string()) }))
}

/// Converts the query into a filter.
pub(crate) fn filter(caller: &Caller, query: RunQuery) -> Result<Filter, Refusal> {
    let mut labels = BTreeMap::new();
    for label in &query.label {
        let pair = label.split_once('=').filter(|(key, _)| !key.is_empty());
        let Some((key, value)) = pair else {
            let detail = format!("{label:?} is no label");
            return Err(Refusal::field(ErrorCode::LabelInvalid, "label", detail)
                .hint("write label=key=value"));
        };
        labels.insert(key.to_owned(), value.to_owned());
    }
    let parent = query.parent_run_id.as_deref();
    Ok(Filter {
        namespaces: Namespaces::One(caller.namespace.clone()),
        live: query.live.unwrap_or_default(),
        kinds: query.kind.into_iter().collect(),
        agent: query.agent,
        labels,
        status: query.status.map(|status| status.as_str().to_owned()),
        name: query.name,
        session_id: query.session_id.map(|session| scoped(caller.namespace(), &session)),
        parent_run_id: parent.map(|text| run_id("parent_run_id", text)).transpose()?,
        ..Filter::default()
    })
}

/// Checks the limit of a page.
pub(crate) fn page_limit(given: Option<u32>, unless: u32, most: u32) -> Result<u32, Refusal> {
    let limit = given.unwrap_or(unless);
    if limit == 0 || limit > most {
        let detail = format!("limit is {limit}, and has to be from 1 to {most}");
        return Err(Refusal::parameter("limit", detail));
    }
    Ok(limit)
}

/// Parses a run id in a parameter.
fn run_id(name: &str, text: &str) -> Result<RunId, Refusal> {
    text.parse().map_err(|_| Refusal::parameter(name, format!("{text:?} is no run's id")))
}
