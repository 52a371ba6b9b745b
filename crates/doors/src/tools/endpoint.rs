//! Requests of an agent for its tools: the streamable HTTP of the protocol, of both eras.

use std::sync::Arc;

use errand_api::error_code::ErrorCode;
use errand_wire::mcp::{
    McpEra, McpErrorCode, McpHeaders, McpMessage, McpRequest, error_response, result_response,
};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, ORIGIN};
use hyper::http::request::Parts;
use hyper::{Method, Response};
use serde_json::{Map, Value, json};

use super::call::{self, ToolRequest, failed_tool};
use super::gateway::{ToolGateway, ToolsUnknown};
use super::{bounds, rpc};
use crate::context::DoorContext;
use crate::respond::{DoorBody, response};

/// Members of `_meta` that are about the agent's own conversation with errand.
const OF_CONVERSATION: &str = "io.modelcontextprotocol/";
const PROGRESS_TOKEN: &str = "progressToken";

/// Answers one request. Its token was checked before.
pub(crate) async fn answer(
    door: &Arc<DoorContext>,
    gateway: &Arc<ToolGateway>,
    (parts, body): (Parts, Incoming),
) -> Response<DoorBody> {
    if !is_own_origin(&parts.headers) {
        return plain(403, "requests of web pages are refused");
    }
    if parts.method != Method::POST {
        // There are no streams without a request, and no sessions to end.
        return plain(405, "send messages with POST");
    }
    let limited = Limited::new(body, bounds::REQUEST_BYTES).collect().await;
    let Ok(body) = limited else {
        let text = format!("the request has more than {} bytes", bounds::REQUEST_BYTES);
        return message(413, error_response(None, McpErrorCode::InvalidRequest, &text));
    };
    let body = body.to_bytes();
    match McpMessage::of(&body) {
        Ok(McpMessage::Request(request)) => {
            respond(door, gateway, (&parts.headers, &request, &body)).await
        }
        Ok(McpMessage::Notification(_) | McpMessage::Response(_)) => response(202, Vec::new()),
        Err(error) => message(400, error_response(None, McpErrorCode::Parse, &error.to_string())),
    }
}

async fn respond(
    door: &Arc<DoorContext>,
    gateway: &Arc<ToolGateway>,
    (headers, request, body): (&HeaderMap, &McpRequest, &[u8]),
) -> Response<DoorBody> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let given = McpHeaders {
        protocol_version: text("mcp-protocol-version"),
        method: text("mcp-method"),
        name: text("mcp-name"),
    };
    let refuse =
        |status, code, text: &str| message(status, error_response(Some(&request.id), code, text));
    if let Err(mismatch) = given.check(request) {
        return refuse(400, McpErrorCode::HeaderMismatch, &mismatch);
    }
    let version = request.protocol_version.as_deref().or(given.protocol_version);
    let era = version.map_or(McpEra::Session, McpEra::of);
    let is_opening = ["initialize", "server/discover"].contains(&request.method.as_str());
    if era == McpEra::Stateless && version != Some(rpc::STATELESS_VERSION) && !is_opening {
        let text = format!("errand speaks {} and {}", rpc::STATELESS_VERSION, rpc::SESSION_VERSION);
        return refuse(400, McpErrorCode::UnsupportedProtocolVersion, &text);
    }
    let result = match request.method.as_str() {
        "initialize" => initialized(version),
        "server/discover" => discovered(),
        "ping" => json!({}).to_string().into(),
        "tools/list" => match listed(door, gateway, (era, body)).await {
            Ok(result) => result,
            Err(text) => return refuse(200, McpErrorCode::Internal, &text),
        },
        "tools/call" => called(door, gateway, body).await,
        other => {
            let status = if era == McpEra::Stateless { 404 } else { 200 };
            let text = format!("errand serves tools, not {other}");
            return refuse(status, McpErrorCode::MethodNotFound, &text);
        }
    };
    message(200, result_response(&request.id, &in_era(era, &result)))
}

/// Opens a session in the version that the client asks for, or else in the latest one.
fn initialized(version: Option<&str>) -> Arc<str> {
    let known = version.filter(|version| rpc::SESSION_VERSIONS.contains(version));
    json!({
        "protocolVersion": known.unwrap_or(rpc::SESSION_VERSION),
        "capabilities": { "tools": { "listChanged": false } },
        "serverInfo": rpc::own_name(),
    })
    .to_string()
    .into()
}

fn discovered() -> Arc<str> {
    json!({
        "supportedVersions": [rpc::STATELESS_VERSION],
        "capabilities": { "tools": {} },
        "serverInfo": rpc::own_name(),
        "_meta": { "io.modelcontextprotocol/serverInfo": rpc::own_name() },
        "ttlMs": 0, "cacheScope": "private",
    })
    .to_string()
    .into()
}

/// Returns a page of the tools that the policies may allow.
async fn listed(
    door: &DoorContext,
    gateway: &ToolGateway,
    (era, body): (McpEra, &[u8]),
) -> Result<Arc<str>, String> {
    let backend = door.backend();
    let all = gateway.tools(backend).await.map_err(|unknown| said(&unknown))?;
    let mut offered = Vec::new();
    for tool in &all.tools {
        if !backend.denies_tool(&tool.called()).map_err(|refusal| refusal.message)? {
            offered.push(tool);
        }
    }
    let params = params_of(body);
    let start = match params.get("cursor") {
        None | Some(Value::Null) => 0,
        Some(cursor) => {
            let place = cursor.as_str().and_then(|text| text.parse::<usize>().ok());
            place.filter(|place| *place <= offered.len()).ok_or("there is no such cursor")?
        }
    };
    let end = offered.len().min(start + bounds::PAGE);
    let tools: Vec<Value> = offered[start..end].iter().map(|tool| tool.offered()).collect();
    let mut page = json!({ "tools": tools });
    if era == McpEra::Stateless {
        // Policies differ from run to run, and a list costs nothing.
        page["ttlMs"] = 0.into();
        page["cacheScope"] = "private".into();
    }
    if end < offered.len() {
        page["nextCursor"] = end.to_string().into();
    }
    Ok(page.to_string().into())
}

async fn called(door: &Arc<DoorContext>, gateway: &Arc<ToolGateway>, body: &[u8]) -> Arc<str> {
    let mut params = params_of(body);
    let all = match gateway.tools(door.backend()).await {
        Ok(all) => all,
        Err(unknown) => return failed_tool(&said(&unknown)),
    };
    let name = params.get("name").and_then(Value::as_str).unwrap_or_default();
    let Some(tool) = all.find(name).cloned() else {
        let message = format!("there is no tool {name:?}");
        call::note_refusal(door, Some(name), ErrorCode::ToolCallFailed, &message).await;
        return failed_tool(&message);
    };
    let arguments = match params.remove("arguments") {
        None | Some(Value::Null) => json!({}),
        Some(arguments) => arguments,
    };
    let mut meta = match params.remove("_meta") {
        Some(Value::Object(meta)) => meta,
        Some(_) | None => Map::new(),
    };
    meta.retain(|name, _| !name.starts_with(OF_CONVERSATION) && name != PROGRESS_TOKEN);
    call::result(door, gateway, ToolRequest { tool, arguments, meta }).await
}

fn said(unknown: &ToolsUnknown) -> String {
    match unknown {
        ToolsUnknown::Failed(failure) => failure.message.clone(),
        ToolsUnknown::Refused(refusal) => refusal.message.clone(),
    }
}

fn params_of(body: &[u8]) -> Map<String, Value> {
    // The message was read before.
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    let Value::Object(mut members) = message else { return Map::new() };
    match members.remove("params") {
        Some(Value::Object(params)) => params,
        Some(_) | None => Map::new(),
    }
}

/// Returns a result as the era of the client has it: since 2026-07-28 each says its kind.
fn in_era(era: McpEra, result: &str) -> String {
    match era {
        McpEra::Session => result.to_owned(),
        McpEra::Stateless => match serde_json::from_str::<Map<String, Value>>(result) {
            Ok(mut members) if !members.contains_key("resultType") => {
                members.insert("resultType".to_owned(), "complete".into());
                Value::Object(members).to_string()
            }
            Ok(_) | Err(_) => result.to_owned(),
        },
    }
}

/// Returns true if a request is not that of a web page of another origin.
fn is_own_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let host = origin.to_str().ok().and_then(|origin| reqwest::Url::parse(origin).ok());
    let host = host.as_ref().and_then(|url| url.host_str());
    host.is_some_and(|host| ["127.0.0.1", "localhost", "[::1]"].contains(&host))
}

fn plain(status: u16, text: &str) -> Response<DoorBody> {
    response(status, format!("{text}\n").into_bytes())
}

fn message(status: u16, body: Vec<u8>) -> Response<DoorBody> {
    let mut response = response(status, body);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
