//! `GET /v1/usage`: sums of the use by calls.

use axum::Json;
use axum::extract::State;
use errand_api::gateway::usage::UsageQuery as Asked;
use errand_api::usage::UsageDocument;
use errand_engine::operations::{RunOperations as _, UsageQuestion};
use errand_model::RunId;
use errand_model::price::Day;
use errand_store::UsageBy;

use crate::Gateway;
use crate::auth::Caller;
use crate::extract::Query;
use crate::refusal::Refusal;

/// Responds with sums.
pub(crate) async fn get_usage(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<UsageDocument>, Refusal> {
    let typed = asked.by.unwrap_or_else(|| "agent".to_owned());
    let by = UsageBy::of_word(&typed).ok_or_else(|| {
        Refusal::parameter("by", format!("{typed:?} is nothing to sum up by"))
            .hint("run, agent, model, session, day, step, tool, label=KEY")
    })?;
    let question = UsageQuestion {
        by,
        by_word: typed,
        since: day("since", asked.since)?,
        until: day("until", asked.until)?,
        agent: asked.agent,
        run_id: run(&gateway, &caller, asked.run_id).await?,
    };
    Ok(Json(gateway.operations(&caller).usage(question).await?))
}

fn day(name: &str, text: Option<String>) -> Result<Option<Day>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        Refusal::parameter(name, format!("{text:?} is no day")).hint("write 2025-03-31")
    })
}

/// Returns the requested run, if it is the caller's.
async fn run(
    gateway: &Gateway,
    caller: &Caller,
    text: Option<String>,
) -> Result<Option<RunId>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let run_id: RunId = text
        .parse()
        .map_err(|_| Refusal::parameter("run_id", format!("{text:?} is no run's id")))?;
    let stored = gateway.engine().store().load(&run_id).await?;
    let is_own = stored.is_some_and(|stored| stored.run.spec.namespace == caller.namespace);
    if is_own { Ok(Some(run_id)) } else { Err(Refusal::no_run(&text)) }
}
