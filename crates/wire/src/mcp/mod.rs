//! Model Context Protocol: messages between clients and tool servers, of both eras.
//!
//! Until 2025-11-25 a client opens a session with `initialize`. Since 2026-07-28 there is none:
//! every request carries its version in `_meta`, and a server may answer that it needs input.
//! Messages are passed on as they are; only the members that a gateway decides by are read.

mod id;
mod message;
mod refusal;
mod request;
mod response;
mod stream;

pub use id::McpId;
pub use message::{McpMessage, McpNotification};
pub use refusal::{McpErrorCode, McpHeaders, denied_tool, error_response, result_response};
pub use request::{McpEra, McpRequest};
pub use response::{
    ListedTool, McpOutcome, McpResponse, McpResult, McpResultKind, RawMcpResponse, ToolHints,
};
pub use stream::{DecodedMessage, McpDecoder, McpEvents, McpShape};
