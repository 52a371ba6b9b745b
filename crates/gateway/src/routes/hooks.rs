//! Hooks: defined, looked at, and forgotten.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use errand_api::error_code::ErrorCode;
use errand_api::gateway::agent::PageQuery;
use errand_api::gateway::hook::{
    Hook, HookDedupe, HookDelivery, HookDeliveryPage, HookEvents, HookOutcome, HookPage, HookPlace,
    HookRequest, HookScheme, HookSignature,
};
use errand_engine::hooks::{
    self, Dedupe, Definition, Events, Logged, Place, Scheme, Secret, Signature, View,
};
use errand_model::parse_duration;

use super::agents::page;
use super::list_runs::page_limit;
use crate::Gateway;
use crate::auth::Caller;
use crate::extract::{JsonBody, Params, Query};
use crate::refusal::Refusal;

/// Hooks on a page unless said.
const LIMIT: u32 = 50;
/// Hooks on a page at most.
const LARGEST_LIMIT: u32 = 500;

/// `GET /v1/hooks`
pub(crate) async fn list_hooks(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<HookPage>, Refusal> {
    let limit = page_limit(query.limit, LIMIT, LARGEST_LIMIT)?;
    let (engine, namespace) = (gateway.engine(), caller.namespace());
    let found = hooks::list(engine, namespace, query.cursor.as_deref(), limit + 1).await?;
    let (found, next_cursor) = page(found, limit, |view| view.name.clone());
    let hooks = found.into_iter().map(|view| shown(&caller, view, None)).collect();
    Ok(Json(HookPage { hooks, next_cursor }))
}

/// `PUT /v1/hooks/{hook}`
pub(crate) async fn put_hook(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
    JsonBody(request): JsonBody<HookRequest>,
) -> Result<(StatusCode, Json<Hook>), Refusal> {
    let name = params.get("hook")?;
    let secret = request.signature.secret.clone().map(Secret::new);
    let definition = definition(request)?;
    let (engine, namespace) = (gateway.engine(), caller.namespace());
    let (view, is_new, made_up) =
        hooks::define(engine, namespace, name, (&definition, secret.as_ref())).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(shown(&caller, view, made_up.as_ref()))))
}

/// `GET /v1/hooks/{hook}`
pub(crate) async fn get_hook(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<Json<Hook>, Refusal> {
    let name = params.get("hook")?;
    let view = hooks::get(gateway.engine(), caller.namespace(), name).await?;
    Ok(Json(shown(&caller, view, None)))
}

/// `DELETE /v1/hooks/{hook}`
pub(crate) async fn delete_hook(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<StatusCode, Refusal> {
    hooks::remove(gateway.engine(), caller.namespace(), params.get("hook")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/hooks/{hook}/deliveries`
pub(crate) async fn list_hook_deliveries(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
    Query(query): Query<PageQuery>,
) -> Result<Json<HookDeliveryPage>, Refusal> {
    let limit = page_limit(query.limit, LIMIT, LARGEST_LIMIT)?;
    let (engine, namespace, name) = (gateway.engine(), caller.namespace(), params.get("hook")?);
    hooks::get(engine, namespace, name).await?;
    let which = (query.cursor.as_deref(), limit + 1);
    let found = hooks::deliveries(engine, namespace, name, which).await?;
    let (found, next_cursor) = page(found, limit, |logged| logged.id.clone());
    let deliveries = found.into_iter().map(delivery).collect();
    Ok(Json(HookDeliveryPage { deliveries, next_cursor }))
}

fn definition(request: HookRequest) -> Result<Definition, Refusal> {
    let dedupe = request.dedupe.map(|dedupe| {
        let window = parse_duration(&dedupe.window).map_err(|error| {
            Refusal::field(ErrorCode::HookInvalid, "/dedupe/window", error.to_string())
        })?;
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        Ok::<_, Refusal>(Dedupe { key: place(dedupe.key, "/dedupe/key")?, window_ms })
    });
    let events = request.events.map(|events| {
        let from = events.from.map(|from| place(from, "/events/from")).transpose()?;
        Ok::<_, Refusal>(Events { from, any_of: events.any_of })
    });
    let signature = Signature {
        scheme: match request.signature.scheme {
            HookScheme::HmacSha256 => Scheme::HmacSha256,
            HookScheme::Github => Scheme::Github,
            HookScheme::StandardWebhooks => Scheme::StandardWebhooks,
            HookScheme::Token => Scheme::Token,
        },
        header: request.signature.header.map(|header| header.to_lowercase()),
        prefix: request.signature.prefix,
    };
    Ok(Definition {
        agent: request.agent,
        signature,
        input: request.input,
        dedupe: dedupe.transpose()?,
        events: events.transpose()?,
        labels: request.labels,
        session_id: request.session_id,
        enabled: request.enabled.unwrap_or(true),
    })
}

fn place(place: HookPlace, pointer: &str) -> Result<Place, Refusal> {
    match (place.header, place.pointer) {
        (Some(header), None) => Ok(Place::Header(header.to_lowercase())),
        (None, Some(pointer)) => Ok(Place::Pointer(pointer)),
        (Some(_), Some(_)) | (None, None) => {
            let detail = "it is either a header or a pointer";
            Err(Refusal::field(ErrorCode::HookInvalid, pointer, detail))
        }
    }
}

fn shown(caller: &Caller, view: View, secret: Option<&Secret>) -> Hook {
    let place = |place: Place| match place {
        Place::Header(header) => HookPlace { header: Some(header), pointer: None },
        Place::Pointer(pointer) => HookPlace { header: None, pointer: Some(pointer) },
    };
    let definition = view.definition;
    Hook {
        path: match caller.namespace() {
            Some(namespace) => format!("/v1/hooks/{namespace}/{}", view.name),
            None => format!("/v1/hooks/{}", view.name),
        },
        name: view.name,
        agent: definition.agent,
        signature: HookSignature {
            scheme: match definition.signature.scheme {
                Scheme::HmacSha256 => HookScheme::HmacSha256,
                Scheme::Github => HookScheme::Github,
                Scheme::StandardWebhooks => HookScheme::StandardWebhooks,
                Scheme::Token => HookScheme::Token,
            },
            header: definition.signature.header,
            prefix: definition.signature.prefix,
            secret: secret.map(|secret| secret.expose().to_owned()),
        },
        input: definition.input,
        dedupe: definition.dedupe.map(|dedupe| HookDedupe {
            key: place(dedupe.key),
            window: format!("{}ms", dedupe.window_ms),
        }),
        events: definition
            .events
            .map(|events| HookEvents { from: events.from.map(place), any_of: events.any_of }),
        labels: definition.labels,
        session_id: definition.session_id,
        enabled: definition.enabled,
        created_at_ms: view.created_at_ms.as_millis(),
        updated_at_ms: view.updated_at_ms.as_millis(),
    }
}

fn delivery(logged: Logged) -> HookDelivery {
    HookDelivery {
        id: logged.id,
        at_ms: logged.at_ms.as_millis(),
        outcome: match logged.outcome.as_str() {
            "created" => HookOutcome::Created,
            "coalesced" => HookOutcome::Coalesced,
            "skipped" => HookOutcome::Skipped,
            _ => HookOutcome::Rejected,
        },
        run_id: logged.run_id,
        reason: logged.reason,
        event: logged.event,
        remote: logged.remote,
        body_bytes: logged.body_bytes,
    }
}
