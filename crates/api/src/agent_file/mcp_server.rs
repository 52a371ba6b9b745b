//! Tool servers of an agent, which speak the Model Context Protocol.

use std::borrow::Cow;
use std::collections::BTreeMap;

use errand_model::accounting::SideEffect;
use errand_model::pattern;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::at::{At, field_of};
use super::reader::Reader;
use super::scalar::{
    CommandLine, DurationText, HttpUrl, Slug, check_variable_name, scalars, secret_name,
};
use super::shape::ReadNamed;

/// An MCP server: one on stdio has a `command`, another a `url`. Errand starts or reaches it, and
/// offers its tools to the agent as `<server>_<tool>`, at the address in `ERRAND_MCP_URL`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["command"] }, { "required": ["url"] }]))]
pub struct McpServer {
    /// Its name, unique in the agent; the names of its tools begin with it.
    #[schemars(with = "Slug", extend("examples" = ["github"]))]
    pub name: String,
    /// Program and arguments of a server on stdio, looked up as the agent's own command is; empty
    /// if it has a `url`.
    #[serde(default)]
    #[schemars(with = "CommandLine")]
    pub command: Vec<String>,
    /// Address of a server that is reached over HTTP.
    #[serde(default)]
    #[schemars(with = "HttpUrl")]
    pub url: Option<String>,
    /// Environment of a server on stdio: text, or `{ secret: NAME }`, with `prefix: TEXT` if
    /// text comes before the value. The agent sees none of it.
    #[serde(default)]
    #[schemars(with = "McpEnvironment")]
    pub env: BTreeMap<String, McpValue>,
    /// Headers of requests to a server with a `url`: text, or `{ secret: NAME }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "McpRequestHeaders")]
    pub headers: BTreeMap<String, McpValue>,
    /// Side effects of its tools, by patterns of their names on that server. A tool that no pattern
    /// fits has the effects that the server claims; without a claim it is treated as the worst.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "McpEffects")]
    pub effects: BTreeMap<String, SideEffect>,
    /// Data that its tools read and write: policies are asked about calls of them at `on_memory`, or at
    /// `on_knowledge`, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<McpHolding>,
    /// Labels of what its tools return, such as `untrusted`: policies see which labels a run has read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Slug>")]
    pub labels: Vec<String>,
    /// Time limit of one call: five minutes if left out.
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "timeout")]
    #[schemars(rename = "timeout", with = "DurationText")]
    pub timeout_ms: Option<u64>,
}

/// Data that the tools of a server read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum McpHolding {
    /// A memory of the agent.
    Memory,
    /// A body of knowledge, such as documents.
    Knowledge,
}

/// A value that a tool server gets: text, or the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum McpValue {
    /// The text itself.
    Text(String),
    /// The value of a secret, which only the server gets.
    Secret {
        /// Name of the secret.
        secret: String,
        /// Text before the value, such as `Bearer `.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        prefix: String,
    },
}

impl McpServer {
    /// Names of the secrets that the server gets.
    pub fn secrets(&self) -> impl Iterator<Item = &String> {
        self.env.values().chain(self.headers.values()).filter_map(|value| match value {
            McpValue::Text(_) => None,
            McpValue::Secret { secret, .. } => Some(secret),
        })
    }

    /// Returns the side effect that the agent file gives to a tool, by its name on the server. An
    /// exact name counts before a pattern, and a longer pattern before a shorter one.
    pub fn effect_of(&self, tool: &str) -> Option<SideEffect> {
        if let Some(effect) = self.effects.get(tool) {
            return Some(*effect);
        }
        let fitting = self.effects.iter().filter(|(name, _)| pattern::matches(name, tool));
        fitting.max_by_key(|(name, _)| name.len()).map(|(_, effect)| *effect)
    }
}

scalars! {
    /// Variables of a tool server by name, with text or the name of a secret. Names that begin with
    /// `ERRAND_` are reserved.
    McpEnvironment as "McpEnvironment" = {
        "type": "object",
        "propertyNames": { "pattern": "^(?!ERRAND_)[A-Za-z_][A-Za-z0-9_]*$" },
        "additionalProperties": value_schema()
    }, environment;
    /// Headers of requests by name, with text or the name of a secret.
    McpRequestHeaders as "McpRequestHeaders" = {
        "type": "object",
        "propertyNames": { "pattern": "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$" },
        "additionalProperties": value_schema()
    }, headers;
    /// Classes of side effects by patterns of tools' names, in which `*` stands for any characters.
    McpEffects as "McpEffects" = {
        "type": "object",
        "additionalProperties": { "enum": [
            "read_only", "local_write", "external_write", "financial", "communication",
            "code_execution", "privileged"
        ] }
    }, effects;
}

/// Returns the schema of a [`McpValue`].
fn value_schema() -> Value {
    json!({
        "anyOf": [
            { "type": ["string", "number", "boolean"] },
            {
                "type": "object",
                "required": ["secret"],
                "properties": {
                    "secret": { "type": "string", "description": "Name of the secret." },
                    "prefix": {
                        "type": "string", "description": "Text before the value of the secret."
                    }
                },
                "additionalProperties": false
            }
        ]
    })
}

/// Headers that errand itself sends.
const OWN_HEADERS: [&str; 9] = [
    "accept",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
];

fn environment(reader: &mut Reader, at: &At<'_>) -> Option<Value> {
    values(reader, at, &check_variable_name)
}

fn headers(reader: &mut Reader, at: &At<'_>) -> Option<Value> {
    values(reader, at, &|name| {
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(format!("{name:?} cannot be the name of a header"));
        }
        if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(format!("errand sends the header {name} itself"));
        }
        Ok(())
    })
}

fn values(
    reader: &mut Reader,
    at: &At<'_>,
    check: &dyn Fn(&str) -> Result<(), String>,
) -> Option<Value> {
    let mut values = Map::new();
    for entry in reader.entries(at)? {
        let field = field_of(at, entry);
        if let Err(message) = check(&entry.key) {
            reader.report_at(entry.key_place, &field.path, message, None);
            continue;
        }
        let value = if field.is_map() {
            secret_value(reader, &field)
        } else {
            reader.word(&field).map(Value::String)
        };
        if let Some(value) = value {
            values.insert(entry.key.clone(), value);
        }
    }
    Some(Value::Object(values))
}

fn secret_value(reader: &mut Reader, at: &At<'_>) -> Option<Value> {
    let object = reader.object(at, &["secret", "prefix"])?;
    let secret = object.require(reader, "secret", "write secret: and its name")?;
    let mut value = json!({ "secret": secret_name(reader, &secret)? });
    if let Some(prefix) = object.get("prefix") {
        value["prefix"] = reader.word(&prefix)?.into();
    }
    Some(value)
}

fn effects(reader: &mut Reader, at: &At<'_>) -> Option<Value> {
    let mut effects = Map::new();
    for entry in reader.entries(at)? {
        let field = field_of(at, entry);
        let class = reader.choice(&field, "a class of side effects", &SideEffect::ALL);
        if let Some(class) = class {
            effects.insert(entry.key.clone(), json!(class));
        }
    }
    Some(Value::Object(effects))
}
