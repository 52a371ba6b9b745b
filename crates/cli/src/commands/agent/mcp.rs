//! `errand agent mcp`: the tools of the run over stdin and stdout, for agents that only start
//! servers.

use std::io::{BufRead as _, Write as _};
use std::sync::Arc;

use errand_agent::tool_door::{TOKEN_VARIABLE, URL_VARIABLE};
use errand_api::error_code::ErrorCode;
use errand_wire::mcp::{McpErrorCode, McpMessage, McpRequest, error_response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::context::Context;
use crate::failure::Failure;

/// Requests at once; others wait.
const REQUESTS: usize = 64;
/// Messages of the agent that wait to be sent.
const WAITING: usize = 64;

/// Address and token of the tools.
#[derive(Debug)]
struct ToolAddress {
    uri: Uri,
    authority: String,
    authorization: String,
}

/// Passes messages on until stdin ends and each request is answered.
pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let address = Arc::new(address(context)?);
    let (sender, mut messages) = mpsc::channel::<Vec<u8>>(WAITING);
    // Stdin has no other way to be read without blocking. The thread ends with stdin, or with the
    // process.
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().split(b'\n') {
            let Ok(line) = line else { return };
            if !line.trim_ascii().is_empty() && sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    let places = Arc::new(Semaphore::new(REQUESTS));
    let mut under_way = JoinSet::new();
    while let Some(message) = messages.recv().await {
        while under_way.try_join_next().is_some() {}
        // The semaphore is never closed.
        let place = Arc::clone(&places).acquire_owned().await;
        let address = Arc::clone(&address);
        under_way.spawn(async move {
            let _place = place;
            if let Some(mut answer) = answered(&address, message).await {
                answer.push(b'\n');
                let mut stdout = std::io::stdout().lock();
                // An agent that is gone reads no answer.
                drop(stdout.write_all(&answer).and_then(|()| stdout.flush()));
            }
        });
    }
    while under_way.join_next().await.is_some() {}
    Ok(())
}

fn address(context: &Context) -> Result<ToolAddress, Failure> {
    let text = |name: &str| context.variable(name).and_then(|value| value.to_str());
    let missing = || {
        let message = "this run has no tools: ERRAND_MCP_URL is not set";
        Failure::new(ErrorCode::NotInRun, message)
            .hint("the agent file names tool servers under mcp_servers, or `errand run --mcp FILE`")
    };
    let (url, token) = text(URL_VARIABLE).zip(text(TOKEN_VARIABLE)).ok_or_else(missing)?;
    let bad = || Failure::new(ErrorCode::NotInRun, format!("{URL_VARIABLE} is not a URL: {url}"));
    let uri: Uri = url.parse().map_err(|_| bad())?;
    let authority = uri.authority().ok_or_else(bad)?.to_string();
    Ok(ToolAddress { uri, authority, authorization: format!("Bearer {token}") })
}

/// Sends a message, and returns the answer to a request.
async fn answered(address: &ToolAddress, message: Vec<u8>) -> Option<Vec<u8>> {
    let request = match McpMessage::of(&message) {
        Ok(McpMessage::Request(request)) => Some(request),
        Ok(McpMessage::Notification(_) | McpMessage::Response(_)) => None,
        Err(error) => {
            return Some(error_response(None, McpErrorCode::Parse, &error.to_string()));
        }
    };
    match send(address, request.as_ref(), message).await {
        Ok(body) if body.is_empty() => None,
        Ok(body) => Some(body),
        Err(error) => {
            let text = format!("errand cannot be reached: {error}");
            request.map(|it| error_response(Some(&it.id), McpErrorCode::Internal, &text))
        }
    }
}

async fn send(
    address: &ToolAddress,
    of: Option<&McpRequest>,
    message: Vec<u8>,
) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(&address.authority).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let repeated = [
        ("mcp-method", of.map(|request| request.method.as_str())),
        ("mcp-name", of.and_then(|request| request.name.as_deref())),
        ("mcp-protocol-version", of.and_then(|request| request.protocol_version.as_deref())),
    ];
    let mut request = Request::post(address.uri.path());
    for (name, value) in repeated {
        // Over HTTP, headers repeat members of the message.
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            request = request.header(name, value);
        }
    }
    let request = request
        .header(HOST, &address.authority)
        .header(AUTHORIZATION, &address.authorization)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json, text/event-stream")
        .body(Full::new(Bytes::from(message)))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|it| it == "application/json");
    let body = response.into_body().collect().await?.to_bytes();
    if status.is_success() || is_json {
        return Ok(body.to_vec());
    }
    Err(format!("status {status}: {}", String::from_utf8_lossy(&body).trim()).into())
}
