//! Tasks of a dispatcher.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use errand_api::gateway::agent::PageQuery;
use errand_api::gateway::file::LogQuery;
use errand_api::gateway::task::{CancelTaskQuery, Task, TaskDecision, TaskPage, TaskRequest};
use errand_engine::ask::{begin_cancel, pause, resume};
use errand_engine::tasks::{self, FoundTask, OrderRef, TaskSender};
use errand_model::event::CancelCause;
use errand_model::run::Cancel;
use errand_store::Stored;
use futures_util::stream;

use super::by::by;
use super::files::{artifact_of, log_of};
use super::list_runs::page_limit;
use crate::Gateway;
use crate::auth::Caller;
use crate::callback_url::allowed;
use crate::extract::{Bytes as BytesBody, JsonBody, Params, Query};
use crate::order::OrderNumber;
use crate::refusal::Refusal;

/// Default number of tasks on a page.
const LIMIT: u32 = 50;
/// Largest number of tasks on a page.
const LARGEST_LIMIT: u32 = 500;
/// Events of a journal that are read at once.
const EVENTS_AT_ONCE: u32 = 500;
/// Time that an agent has to exit.
const GRACE: Duration = Duration::from_secs(10);

/// `POST /tasks`
pub(crate) async fn send_task(
    State(gateway): State<Gateway>,
    caller: Caller,
    order: Option<Extension<OrderNumber>>,
    JsonBody(request): JsonBody<TaskRequest>,
) -> Result<Response, Refusal> {
    if let Some(url) = &request.callback_url {
        allowed(&gateway, url).await.map_err(|refusal| refusal.at("/callback_url"))?;
    }
    let sender = TaskSender {
        namespace: caller.namespace.clone(),
        name: caller.name(),
        order: order.map(|Extension(OrderNumber(order))| order),
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
    let (engine, namespace) = (gateway.engine(), caller.namespace());
    let task_id = params.get("task_id")?;
    let found = tasks::find(engine, namespace, task_id).await;
    let known = found.as_ref().ok().and_then(|found| found.order);
    // A task that came by no bus has no refusal, unless it was missing.
    if known.is_some() || found.is_err() {
        let refused = tasks::refusal(engine, namespace, task_id).await?;
        if let Some(refused) = refused.filter(|refused| refused.order > known) {
            return Ok(Json(refused));
        }
    }
    Ok(Json(tasks::view(engine, &found?)))
}

/// `POST /tasks/{task_id}/cancel`
pub(crate) async fn cancel_task(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
    Query(query): Query<CancelTaskQuery>,
) -> Result<Response, Refusal> {
    if let Some(order) = query.order
        && let Some(withdrawn) = withdraw(&gateway, &caller, &params, order).await?
    {
        return Ok((StatusCode::OK, Json(withdrawn)).into_response());
    }
    let found = find(&gateway, &caller, &params).await?;
    let how = Cancel { cause: CancelCause::Stopped, by: Some(caller.name()), grace: GRACE };
    let stored = begin_cancel(gateway.engine(), &found.stored.run.id, &how).await?;
    let task = now(&gateway, found, stored);
    let status = if task.status.is_terminal() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(task)).into_response())
}

/// `POST /tasks/{task_id}/pause`
///
/// Responds once nothing in the container executes.
pub(crate) async fn pause_task(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<Json<Task>, Refusal> {
    let found = find(&gateway, &caller, &params).await?;
    let stored = pause(gateway.engine(), &found.stored.run.id, Some(caller.name())).await?;
    Ok(Json(now(&gateway, found, stored)))
}

/// `POST /tasks/{task_id}/resume`
pub(crate) async fn resume_task(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<Json<Task>, Refusal> {
    let found = find(&gateway, &caller, &params).await?;
    let stored = resume(gateway.engine(), &found.stored.run.id, Some(caller.name())).await?;
    Ok(Json(now(&gateway, found, stored)))
}

/// `POST /tasks/{task_id}/decisions`
pub(crate) async fn decide_task(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
    JsonBody(decision): JsonBody<TaskDecision>,
) -> Result<Json<Task>, Refusal> {
    let found = find(&gateway, &caller, &params).await?;
    let by = by(&caller, decision.by.as_deref());
    let stored = tasks::decide(gateway.engine(), &found, (decision, by)).await?;
    Ok(Json(now(&gateway, found, stored)))
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

/// `PUT /briefs/{id}/{name}`
pub(crate) async fn put_task_brief(
    State(gateway): State<Gateway>,
    params: Params,
    BytesBody(brief): BytesBody,
) -> Result<StatusCode, Refusal> {
    let key = format!("briefs/{}/{}", params.get("id")?, params.get("name")?);
    tasks::keep_brief(gateway.engine(), &key, brief.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /tasks/{task_id}/artifacts/{name}`
pub(crate) async fn get_task_artifact(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let found = find(&gateway, &caller, &params).await?;
    artifact_of(&gateway, &found.stored, params.get("name")?, &headers)
}

/// `GET /tasks/{task_id}/journal`
pub(crate) async fn get_task_journal(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<Response, Refusal> {
    let found = find(&gateway, &caller, &params).await?;
    let run_id = found.stored.run.id.clone();
    let lines = stream::unfold(Some((gateway, run_id, 0_u64)), |state| async move {
        let (gateway, run_id, after) = state?;
        let read = gateway.engine().store().events(&run_id, after, EVENTS_AT_ONCE).await;
        let events = match read {
            Ok(events) => events,
            Err(error) => return Some((Err(io::Error::other(error)), None)),
        };
        let last = events.last()?.seq;
        let mut text = String::new();
        for event in &events {
            event.write_json_line(&mut text);
            text.push('\n');
        }
        Some((Ok(Bytes::from(text)), Some((gateway, run_id, last))))
    });
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((headers, Body::from_stream(lines)).into_response())
}

/// Withdraws an order of a bus that was not taken. Returns the withdrawn task, unless there is a task to
/// be cancelled: that of the order, or that of an older one.
async fn withdraw(
    gateway: &Gateway,
    caller: &Caller,
    params: &Params,
    order: u32,
) -> Result<Option<Task>, Refusal> {
    let (engine, namespace) = (gateway.engine(), caller.namespace());
    let task_id = params.get("task_id")?;
    let at = OrderRef { namespace, task_id, order };
    tasks::withdraw(engine, at).await?;
    // Taken meanwhile, it is cancelled like any other task.
    match tasks::find(engine, namespace, task_id).await {
        Ok(found) if !found.stored.run.status.is_terminal() => Ok(None),
        Ok(found) if found.order >= Some(order) => Ok(None),
        Ok(_) | Err(_) => Ok(tasks::refusal(engine, namespace, task_id).await?),
    }
}

/// Returns the task as it is once its run was changed.
fn now(gateway: &Gateway, found: FoundTask, stored: Stored) -> Task {
    tasks::view(gateway.engine(), &FoundTask { stored: Box::new(stored), ..found })
}

/// Finds the task of the path in the caller's namespace.
async fn find(gateway: &Gateway, caller: &Caller, params: &Params) -> Result<FoundTask, Refusal> {
    let task_id = params.get("task_id")?;
    Ok(tasks::find(gateway.engine(), caller.namespace(), task_id).await?)
}
