//! Tasks of a dispatcher.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use errand_api::gateway::agent::PageQuery;
use errand_api::gateway::file::LogQuery;
use errand_api::gateway::task::{Task, TaskPage, TaskRequest};
use errand_engine::ask::begin_cancel;
use errand_engine::tasks::{self, FoundTask, TaskSender};
use errand_model::event::CancelCause;
use errand_model::run::Cancel;

use super::files::log_of;
use super::list_runs::page_limit;
use crate::Gateway;
use crate::auth::Caller;
use crate::callback_url::allowed;
use crate::extract::{JsonBody, Params, Query};
use crate::refusal::Refusal;

/// Default number of tasks on a page.
const LIMIT: u32 = 50;
/// Largest number of tasks on a page.
const LARGEST_LIMIT: u32 = 500;
/// Time that an agent has to exit.
const GRACE: Duration = Duration::from_secs(10);

/// `POST /tasks`
pub(crate) async fn send_task(
    State(gateway): State<Gateway>,
    caller: Caller,
    JsonBody(request): JsonBody<TaskRequest>,
) -> Result<Response, Refusal> {
    if let Some(url) = &request.callback_url {
        allowed(&gateway, url).await.map_err(|refusal| refusal.at("/callback_url"))?;
    }
    let sender = TaskSender {
        namespace: caller.namespace.clone(),
        name: caller.name(),
        cache: gateway.task_cache(),
    };
    let sent = tasks::send(gateway.engine(), &sender, &request).await?;
    let status = if sent.is_old { StatusCode::OK } else { StatusCode::ACCEPTED };
    let location = format!("/tasks/{}", sent.found.task_id);
    let task = tasks::view(gateway.engine(), &sent.found);
    Ok((status, [(header::LOCATION, location)], Json(task)).into_response())
}

/// `GET /tasks`
pub(crate) async fn list_tasks(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<TaskPage>, Refusal> {
    let limit = page_limit(query.limit, LIMIT, LARGEST_LIMIT)?;
    let engine = gateway.engine();
    let found = tasks::list(engine, caller.namespace(), query.cursor.as_deref(), limit).await?;
    let tasks = found.tasks.iter().map(|found| tasks::view(engine, found)).collect();
    Ok(Json(TaskPage { tasks, next_cursor: found.next }))
}

/// `GET /tasks/{task_id}`
pub(crate) async fn get_task(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<Json<Task>, Refusal> {
    let found = find(&gateway, &caller, &params).await?;
    Ok(Json(tasks::view(gateway.engine(), &found)))
}

/// `POST /tasks/{task_id}/cancel`
pub(crate) async fn cancel_task(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<Response, Refusal> {
    let found = find(&gateway, &caller, &params).await?;
    let how = Cancel { cause: CancelCause::Stopped, by: Some(caller.name()), grace: GRACE };
    let engine = gateway.engine();
    let stored = Box::new(begin_cancel(engine, &found.stored.run.id, &how).await?);
    let task = tasks::view(engine, &FoundTask { stored, ..found });
    let status = if task.status.is_terminal() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(task)).into_response())
}

/// `GET /tasks/{task_id}/log`
pub(crate) async fn get_task_log(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
    headers: HeaderMap,
    Query(query): Query<LogQuery>,
) -> Result<Response, Refusal> {
    let found = find(&gateway, &caller, &params).await?;
    log_of(&gateway, &found.stored.run, (&headers, &query)).await
}

/// Finds the task of the path in the caller's namespace.
async fn find(gateway: &Gateway, caller: &Caller, params: &Params) -> Result<FoundTask, Refusal> {
    let task_id = params.get("task_id")?;
    Ok(tasks::find(gateway.engine(), caller.namespace(), task_id).await?)
}
