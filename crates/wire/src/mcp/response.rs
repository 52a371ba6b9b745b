//! Responses of the protocol.

use errand_model::{Digest, canonical};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::id::McpId;
use crate::lenient::{Count, Flag, List, Object, Text};
use crate::request::{MalformedRequest, malformed};

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpResponse {
    /// Id of the request; `None`: it could not be read.
    pub id: Option<McpId>,
    /// Outcome of the request.
    pub outcome: McpOutcome,
}

/// Outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum McpOutcome {
    /// A result, which may tell that a tool failed.
    Result(McpResult),
    /// An error of the protocol.
    Error {
        /// Code of the error.
        code: i64,
        /// Text of the error.
        message: String,
    },
}

/// A result, as far as a gateway decides by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct McpResult {
    /// Kind of the result.
    pub kind: McpResultKind,
    /// The tool failed.
    pub is_error: bool,
    /// Texts of the content, a line break between them.
    pub text: String,
    /// Tools that a list tells of.
    pub tools: Vec<ListedTool>,
    /// The list goes on under this cursor.
    pub next_cursor: Option<String>,
    /// Version that the server answers `initialize` with.
    pub protocol_version: Option<String>,
}

/// Kind of a result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum McpResultKind {
    /// The request is done.
    #[default]
    Complete,
    /// The server needs input before it can answer: the client repeats the request with it.
    InputRequired,
    /// The server works on in a task.
    Task {
        /// Id of the task.
        id: Option<String>,
        /// Milliseconds after which the client may ask again.
        poll_interval_ms: Option<u64>,
    },
    /// A kind that is not known, in the server's word.
    Other(String),
}

/// A tool of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedTool {
    /// Name on that server.
    pub name: String,
    /// Description, as the model reads it.
    pub description: String,
    /// Digest of the whole definition. It changes with everything that a model or a person was told.
    pub digest: Digest,
    /// Claims of the server about the tool's effects.
    pub hints: ToolHints,
}

/// Claims of a server about the effects of a tool. An agent's file overrides them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToolHints {
    /// The tool changes nothing.
    pub read_only: Option<bool>,
    /// The tool may destroy something.
    pub destructive: Option<bool>,
    /// A repeated call has no further effect.
    pub idempotent: Option<bool>,
    /// The tool reaches the world outside.
    pub open_world: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ResultMembers<'a> {
    #[serde(borrow)]
    result_type: Text<'a>,
    is_error: Flag,
    #[serde(borrow)]
    content: List<Content<'a>>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    next_cursor: Text<'a>,
    #[serde(borrow)]
    protocol_version: Text<'a>,
    #[serde(borrow)]
    task_id: Text<'a>,
    poll_interval_ms: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Content<'a> {
    #[serde(borrow)]
    text: Text<'a>,
}

impl McpResult {
    pub(super) fn of(result: &RawValue) -> Result<Self, MalformedRequest> {
        let Object(members) = serde_json::from_str::<Object<ResultMembers<'_>>>(result.get())
            .map_err(|it| malformed(&it))?;
        let members = members.unwrap_or_default();
        let kind = match members.result_type.as_str() {
            "" | "complete" => McpResultKind::Complete,
            "input_required" => McpResultKind::InputRequired,
            "task" => McpResultKind::Task {
                id: members.task_id.owned(),
                poll_interval_ms: members.poll_interval_ms.0,
            },
            other => McpResultKind::Other(other.to_owned()),
        };
        let texts: Vec<&str> =
            members.content.0.iter().filter_map(|content| content.text.given()).collect();
        Ok(Self {
            kind,
            is_error: members.is_error.0 == Some(true),
            text: texts.join("\n"),
            tools: members.tools.map(tools).transpose()?.unwrap_or_default(),
            next_cursor: members.next_cursor.owned(),
            protocol_version: members.protocol_version.owned(),
        })
    }
}

fn tools(list: &RawValue) -> Result<Vec<ListedTool>, MalformedRequest> {
    let list: Value = serde_json::from_str(list.get()).map_err(|it| malformed(&it))?;
    Ok(list.as_array().into_iter().flatten().filter_map(ListedTool::of).collect())
}

impl ListedTool {
    /// Describes a tool by its definition; `None` for one without a name.
    pub fn of(definition: &Value) -> Option<Self> {
        let hint = |name: &str| definition["annotations"][name].as_bool();
        Some(Self {
            name: definition["name"].as_str()?.to_owned(),
            description: definition["description"].as_str().unwrap_or_default().to_owned(),
            digest: Digest::of(canonical::to_string(definition).as_bytes()),
            hints: ToolHints {
                read_only: hint("readOnlyHint"),
                destructive: hint("destructiveHint"),
                idempotent: hint("idempotentHint"),
                open_world: hint("openWorldHint"),
            },
        })
    }
}

/// A response as the other side sent it, for a gateway that passes results on unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawMcpResponse {
    /// Id of the request, as JSON; `None`: the response names none.
    pub id: Option<String>,
    /// The result as JSON, or code and text of an error.
    pub outcome: Result<String, (i64, String)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawEnvelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<RawError>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawError {
    code: i64,
    message: String,
}

impl RawMcpResponse {
    /// Reads a response; `None` for any other text.
    pub fn of(json: &[u8]) -> Option<Self> {
        let envelope: RawEnvelope<'_> = serde_json::from_slice(json).ok()?;
        if envelope.method.is_some() {
            return None;
        }
        let outcome = match (envelope.result, envelope.error) {
            (Some(result), None) => Ok(result.get().to_owned()),
            (_, Some(error)) => Err((error.code, error.message)),
            (None, None) => return None,
        };
        let id = envelope.id.map(RawValue::get).filter(|id| *id != "null").map(str::to_owned);
        Some(Self { id, outcome })
    }
}
