//! Requests of the protocol.

use errand_model::{Digest, canonical};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::id::McpId;
use crate::lenient::{Object, Text};
use crate::pointer::{IgnorePointer, remove};
use crate::request::{MalformedRequest, malformed};

/// The first version without sessions.
const FIRST_STATELESS: &str = "2026-07-28";

/// Era of a version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum McpEra {
    /// `initialize` opens a session: until 2025-11-25.
    Session,
    /// Every request stands alone: since 2026-07-28.
    Stateless,
}

impl McpEra {
    /// Returns the era of a version, which is a date.
    pub fn of(version: &str) -> Self {
        if version >= FIRST_STATELESS { Self::Stateless } else { Self::Session }
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpRequest {
    /// Id of the request.
    pub id: McpId,
    /// Method, such as `tools/call`.
    pub method: String,
    /// Name of the tool or prompt, or the address of the resource.
    pub name: Option<String>,
    /// Arguments of a tool or prompt: a JSON object as sent.
    pub arguments: Option<String>,
    /// Version of the protocol that the request names. Without one, a header or the session says.
    pub protocol_version: Option<String>,
    /// Name of the client, where the request gives it.
    pub client: Option<String>,
    /// Token under which the client wants notifications of progress, as JSON.
    pub progress_token: Option<String>,
    /// The request repeats one whose answer asked for input, and gives that.
    pub continues: bool,
    /// The client accepts a task as the answer.
    pub accepts_task: bool,
    /// Digest of method and parameters, without the volatile ones.
    pub digest: Digest,
}

/// Parameters that change although the request asks for the same.
const VOLATILE: [&str; 2] = ["_meta", "requestState"];

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CLIENT: &str = "io.modelcontextprotocol/clientInfo";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const TASKS: &str = "io.modelcontextprotocol/tasks";

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Params<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    uri: Text<'a>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    protocol_version: Text<'a>,
    #[serde(borrow)]
    client_info: Object<ClientInfo<'a>>,
    #[serde(borrow)]
    input_responses: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ClientInfo<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

impl McpRequest {
    pub(super) fn of(
        id: McpId,
        method: &str,
        params: Option<&RawValue>,
    ) -> Result<Self, MalformedRequest> {
        let text = params.map_or("{}", RawValue::get);
        let Object(read) =
            serde_json::from_str::<Object<Params<'_>>>(text).map_err(|it| malformed(&it))?;
        let read = read.unwrap_or_default();
        let value: Value = serde_json::from_str(text).map_err(|it| malformed(&it))?;
        let meta = &value["_meta"];
        let version = read.protocol_version.given().or_else(|| meta[VERSION].as_str());
        let client = read.client_info.0.as_ref().and_then(|client| client.name.given());
        let token = &meta["progressToken"];
        Ok(Self {
            id,
            method: method.to_owned(),
            name: read.name.given().or(read.uri.given()).map(str::to_owned),
            arguments: read.arguments.map(|arguments| arguments.get().to_owned()),
            protocol_version: version.map(str::to_owned),
            client: client.or_else(|| meta[CLIENT]["name"].as_str()).map(str::to_owned),
            progress_token: (!token.is_null()).then(|| token.to_string()),
            continues: read.input_responses.is_some(),
            accepts_task: meta[CAPABILITIES]["extensions"].get(TASKS).is_some(),
            digest: digest(method, value, &[]),
        })
    }

    /// Returns the digest without the parameters that an agent's file ignores as well. `json` is
    /// the whole message.
    ///
    /// # Errors
    ///
    /// [`MalformedRequest`] if the message is not JSON.
    pub fn digest_without(
        &self,
        json: &[u8],
        ignore: &[IgnorePointer],
    ) -> Result<Digest, MalformedRequest> {
        let mut message: Value = serde_json::from_slice(json).map_err(|it| malformed(&it))?;
        Ok(digest(&self.method, message["params"].take(), ignore))
    }

    /// Era of the request, if it tells.
    pub fn era(&self) -> Option<McpEra> {
        self.protocol_version.as_deref().map(McpEra::of)
    }
}

fn digest(method: &str, mut params: Value, ignore: &[IgnorePointer]) -> Digest {
    if params.is_null() {
        params = Value::Object(serde_json::Map::new());
    }
    for name in VOLATILE {
        remove(&mut params, &[name], &|_| true);
    }
    for pointer in ignore {
        pointer.remove_from(&mut params);
    }
    let mut text = format!("{method}\n");
    text.push_str(&canonical::to_string(&params));
    Digest::of(text.as_bytes())
}
