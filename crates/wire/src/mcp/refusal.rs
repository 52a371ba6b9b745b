//! Refusals of requests, and the headers that a request of the stateless era must have.

use serde_json::{Value, json};

use super::id::McpId;
use super::request::{McpEra, McpRequest};

/// Codes of errors of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum McpErrorCode {
    /// The text is not JSON.
    Parse,
    /// The message is no request.
    InvalidRequest,
    /// The method is not known.
    MethodNotFound,
    /// The parameters are wrong.
    InvalidParams,
    /// The server failed.
    Internal,
    /// A header says something else than the message.
    HeaderMismatch,
    /// The version of the protocol is not served.
    UnsupportedProtocolVersion,
}

impl McpErrorCode {
    /// The number of the code.
    pub const fn number(self) -> i64 {
        match self {
            Self::Parse => -32_700,
            Self::InvalidRequest => -32_600,
            Self::MethodNotFound => -32_601,
            Self::InvalidParams => -32_602,
            Self::Internal => -32_603,
            Self::HeaderMismatch => -32_020,
            Self::UnsupportedProtocolVersion => -32_022,
        }
    }
}

/// Returns the response to a request that fails with an error of the protocol.
pub fn error_response(id: Option<&McpId>, code: McpErrorCode, message: &str) -> Vec<u8> {
    let error = json!({"code": code.number(), "message": message});
    response(id, "error", &error)
}

/// Returns the response to a tool call that is denied.
///
/// The response is that of a failed tool: many clients never show an error of the protocol to the
/// model.
pub fn denied_tool(id: &McpId, era: McpEra, message: &str) -> Vec<u8> {
    let mut result = json!({"content": [{"type": "text", "text": message}], "isError": true});
    match era {
        McpEra::Session => {}
        McpEra::Stateless => result["resultType"] = "complete".into(),
    }
    response(Some(id), "result", &result)
}

/// Returns the response with a result, which is JSON.
pub fn result_response(id: &McpId, result: &str) -> Vec<u8> {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{result}}}", id.as_json()).into_bytes()
}

fn response(id: Option<&McpId>, name: &str, value: &Value) -> Vec<u8> {
    let id = id.map_or("null", McpId::as_json);
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"{name}\":{value}}}").into_bytes()
}

/// Headers of a request over HTTP that repeat members of its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct McpHeaders<'a> {
    /// `MCP-Protocol-Version`.
    pub protocol_version: Option<&'a str>,
    /// `Mcp-Method`.
    pub method: Option<&'a str>,
    /// `Mcp-Name`.
    pub name: Option<&'a str>,
}

impl McpHeaders<'_> {
    /// Checks that the headers say what the body says. Intermediaries route and decide by headers,
    /// so a request that says two things is refused.
    ///
    /// # Errors
    ///
    /// A sentence that names the header, for [`McpErrorCode::HeaderMismatch`].
    pub fn check(&self, request: &McpRequest) -> Result<(), String> {
        let version = request.protocol_version.as_deref();
        let is_required = match version.or(self.protocol_version).map(McpEra::of) {
            Some(McpEra::Stateless) => true,
            Some(McpEra::Session) | None => false,
        };
        agree("Mcp-Method", self.method, Some(&request.method), is_required)?;
        agree("Mcp-Name", self.name, request.name.as_deref(), is_required)?;
        agree("MCP-Protocol-Version", self.protocol_version, version, is_required)
    }
}

fn agree(
    header: &str,
    found: Option<&str>,
    said: Option<&str>,
    is_required: bool,
) -> Result<(), String> {
    match (found, said) {
        (Some(found), Some(said)) if found != said => {
            Err(format!("the header {header} says {found:?}, and the message {said:?}"))
        }
        (None, Some(said)) if is_required => {
            Err(format!("the header {header} is missing: the message says {said:?}"))
        }
        (_, _) => Ok(()),
    }
}
