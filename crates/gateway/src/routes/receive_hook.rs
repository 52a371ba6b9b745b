//! `POST /v1/hooks/…`: a request from outside, authenticated by its signature.

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use errand_api::error_code::ErrorCode;
use errand_api::gateway::hook::{HOOK_BODY_LIMIT_BYTES, HookAnswer, HookOutcome};
use errand_engine::hooks::{self, ReceivedHookRequest};
use errand_model::parse_namespace;
use http_body_util::{BodyExt as _, Limited};
use tokio::time::Instant;

use crate::Gateway;
use crate::auth::limited;
use crate::extract::{Params, amount};
use crate::peer::Peer;
use crate::rate::RateBucketKey;
use crate::refusal::Refusal;

type Answered = Result<(StatusCode, Json<HookAnswer>), Refusal>;

/// A request with its body, byte for byte.
#[derive(Debug)]
pub(crate) struct Raw {
    parts: axum::http::request::Parts,
    body: axum::body::Bytes,
}

impl FromRequest<Gateway> for Raw {
    type Rejection = Refusal;

    async fn from_request(request: Request, gateway: &Gateway) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        if let Some(Peer(peer)) = parts.extensions.get::<Peer>()
            && let Err(wait) =
                gateway.rates().take(RateBucketKey::Address(peer.ip()), Instant::now())
        {
            return Err(limited(wait));
        }
        match Limited::new(body, HOOK_BODY_LIMIT_BYTES).collect().await {
            Ok(collected) => Ok(Self { parts, body: collected.to_bytes() }),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                let detail = format!("the body has more than {}", amount(HOOK_BODY_LIMIT_BYTES));
                Err(Refusal::new(ErrorCode::RequestTooLarge, detail))
            }
            Err(error) => {
                let detail = format!("the body broke off: {error}");
                Err(Refusal::new(ErrorCode::RequestMalformed, detail))
            }
        }
    }
}

/// Receives a request to a hook of the default namespace.
pub(crate) async fn receive_hook(
    State(gateway): State<Gateway>,
    params: Params,
    raw: Raw,
) -> Answered {
    receive(&gateway, None, params.get("hook")?, &raw).await
}

/// Receives a request to a hook of a namespace.
pub(crate) async fn receive_hook_of(
    State(gateway): State<Gateway>,
    params: Params,
    raw: Raw,
) -> Answered {
    let namespace = parse_namespace(params.get("namespace")?)
        .map_err(|error| Refusal::new(ErrorCode::NamespaceInvalid, error.to_string()))?;
    receive(&gateway, namespace.as_deref(), params.get("hook")?, &raw).await
}

async fn receive(gateway: &Gateway, namespace: Option<&str>, name: &str, raw: &Raw) -> Answered {
    let remote = raw.parts.extensions.get::<Peer>().map(|Peer(peer)| peer.to_string());
    let received = ReceivedHookRequest {
        uri: &raw.parts.uri,
        headers: &raw.parts.headers,
        body: &raw.body,
        remote: remote.as_deref(),
    };
    let answer = Box::pin(hooks::receive(gateway.engine(), namespace, name, received)).await?;
    let status = match answer.outcome {
        HookOutcome::Created => StatusCode::ACCEPTED,
        HookOutcome::Coalesced | HookOutcome::Skipped | HookOutcome::Rejected => StatusCode::OK,
    };
    Ok((status, Json(answer)))
}
