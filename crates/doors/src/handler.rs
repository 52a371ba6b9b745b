//! A request at a door: its checks, and the call that it becomes.

use std::sync::Arc;

use errand_agent::agent_api::{RefusedCall, RefusedTarget};
use errand_agent::tool_door;
use errand_api::agent_file::ProviderName;
use errand_api::error_code::ErrorCode;
use errand_wire::refusal::RefusalCause;
use errand_wire::{WireCall, WireFormat};
use http_body_util::{BodyExt as _, Collected, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderMap, HeaderValue, UPGRADE, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};

use crate::begin;
use crate::bounds;
use crate::call::CallRequest;
use crate::context::DoorContext;
use crate::ledger::Try;
use crate::provider;
use crate::refuse::ClientShape;
use crate::respond::{DoorBody, response};
use crate::token;
use crate::tools::{self, ToolGateway};
use crate::tries::AskedRequest;
use crate::usage::ExpectedUsage;

/// Header in which the SDKs of `OpenAI` and Anthropic count how often they repeated a request.
const RETRY_COUNT: &str = "x-stainless-retry-count";

/// Answers one request.
pub(crate) async fn answer(
    door: Arc<DoorContext>,
    gateway: Option<Arc<ToolGateway>>,
    request: Request<Incoming>,
) -> Response<DoorBody> {
    let (parts, body) = request.into_parts();
    if let Some(gateway) = gateway.filter(|_| parts.uri.path() == tool_door::PATH) {
        if token::place_of(door.token(), &parts.headers, None).is_none() {
            return unauthorized();
        }
        return tools::answer(&door, &gateway, (parts, body)).await;
    }
    match checked(&door, parts, body).await {
        Ok(call) => begin::answer(&door, call).await,
        Err(refused) => {
            let RefusedRequest { response, refused } = *refused;
            if let Some(refused) = refused {
                door.backend().note_refusal(refused).await;
            }
            response
        }
    }
}

/// A request that is refused before it is a call.
struct RefusedRequest {
    response: Response<DoorBody>,
    /// `None`: clients try such requests, and go on with others.
    refused: Option<RefusedCall>,
}

/// Refuses a request for tools without the token of the attempt.
fn unauthorized() -> Response<DoorBody> {
    let text = "the token is missing, or is not the one of this attempt of the run: send \
                $ERRAND_MCP_TOKEN as bearer\n";
    let mut refused = response(401, text);
    refused.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    refused
}

/// Checks a request, and describes the call that it asks for.
async fn checked(
    door: &DoorContext,
    parts: Parts,
    body: Incoming,
) -> Result<CallRequest, Box<RefusedRequest>> {
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let (path, query) = (parts.uri.path(), parts.uri.query());
    let format = WireFormat::of(parts.method.as_str(), target);
    let named = provider::of_path(path);
    let shape = ClientShape::of(named.map(|(name, _)| name), format, target, false);
    let name = named.map(|(name, _)| name);
    let refuse_model = |model, why, message: &str| Err(refused(shape, (name, model), why, message));
    let refuse = |cause, code, message: &str| refuse_model(None, (cause, code), message);
    let Some(key_place) = token::place_of(door.token(), &parts.headers, query) else {
        door.count_foreign();
        let message = "the key is missing, or is not the one of this attempt of the run: use the \
                       key that the run's environment has for the provider";
        return refuse(RefusalCause::Unauthorized, ErrorCode::TokenInvalid, message);
    };
    door.count_request();
    let found = named.and_then(|(name, rest)| Some((door.provider(name)?, rest)));
    let Some((provider, rest)) = found else {
        let message = format!("no provider is configured for the path {path}");
        return refuse(RefusalCause::Missing, ErrorCode::ModelRequestInvalid, &message);
    };
    if parts.headers.contains_key(UPGRADE) {
        let message = "this gateway speaks HTTP: send the request without an upgrade";
        return refuse(RefusalCause::Upgrade, ErrorCode::ModelRequestInvalid, message);
    }
    let body = match whole(body).await {
        Ok(body) => body,
        Err((cause, code, message)) => return refuse(cause, code, &message),
    };
    let call = match WireCall::of(format, target, &body, door.ignored()) {
        Ok(call) => call,
        Err(error) => {
            let message = error.to_string();
            return refuse(RefusalCause::Invalid, ErrorCode::ModelRequestInvalid, &message);
        }
    };
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&parts.method);
    let shape = ClientShape::of(Some(provider.name), format, target, call.is_stream);
    let (sent, detail) = (sent(&parts.headers), detail(&parts.method, path, &call));
    let way = door.way(provider.name, call.model.as_deref());
    let asked = AskedRequest {
        rest: rest.to_owned(),
        query: token::without_keys(query),
        key_place,
        method: parts.method,
        headers: parts.headers,
        body,
        provider,
        way,
    };
    let Some(first) = asked.attempt(1, &call) else {
        let message = no_way(&asked, path);
        let why = (RefusalCause::Invalid, ErrorCode::ModelRequestInvalid);
        return refuse_model(call.model.as_deref(), why, &message);
    };
    Ok(CallRequest {
        first,
        expected: ExpectedUsage::of(&call, reads),
        sent,
        detail,
        shape,
        call,
        asked,
        is_changed: false,
    })
}

/// Returns the reason for which a request cannot be sent.
fn no_way(asked: &AskedRequest, path: &str) -> String {
    match asked.route() {
        Some(route) => format!(
            "the model route {route} cannot be followed: the request names its model twice, or in \
             no place that its format has"
        ),
        None => format!("the path {path} cannot be passed on"),
    }
}

/// Refuses a request for a model of a provider, as far as both are known.
fn refused(
    shape: ClientShape,
    (provider, model): (Option<ProviderName>, Option<&str>),
    (cause, code): (RefusalCause, ErrorCode),
    message: &str,
) -> Box<RefusedRequest> {
    let provider = provider.map(|name| name.as_str().to_owned());
    let target = RefusedTarget::Model { provider, model: model.map(str::to_owned) };
    let call = RefusedCall { target, code, message: message.to_owned() };
    let refused = Some(call).filter(|_| cause != RefusalCause::Upgrade);
    Box::new(RefusedRequest { response: shape.refusal(cause, code, message), refused })
}

/// Reads the body of a request.
///
/// # Errors
///
/// The refusal of a request that is too large or breaks off.
async fn whole(body: Incoming) -> Result<Bytes, (RefusalCause, ErrorCode, String)> {
    let collected = Limited::new(body, bounds::REQUEST_BYTES).collect().await;
    collected.map(Collected::to_bytes).map_err(|error| {
        if error.is::<LengthLimitError>() {
            let message = format!("the request has more than {} bytes", bounds::REQUEST_BYTES);
            return (RefusalCause::TooLarge, ErrorCode::ModelRequestTooLarge, message);
        }
        let message = "the request ended before its body did".to_owned();
        (RefusalCause::Invalid, ErrorCode::ModelRequestInvalid, message)
    })
}

fn sent(headers: &HeaderMap) -> Try {
    let count = headers.get(RETRY_COUNT).and_then(|count| count.to_str().ok()?.parse::<u32>().ok());
    match count {
        Some(0) => Try::First,
        Some(_) => Try::Again,
        None => Try::Unsaid,
    }
}

/// Returns the description of a call, for people.
fn detail(method: &Method, path: &str, call: &WireCall) -> String {
    let stream = if call.is_stream { " (stream)" } else { "" };
    match &call.model {
        Some(model) => format!("{model}: {method} {path}{stream}"),
        None => format!("{method} {path}"),
    }
}
