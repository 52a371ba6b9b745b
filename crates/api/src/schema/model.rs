//! Models, tools and what else an agent refers to.

use std::collections::BTreeMap;

use errand_model::accounting::SideEffect;
use schemars::JsonSchema;

use super::scalar::{AnySchema, Word};

/// The model that an agent uses.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Model {
    /// Who serves it, such as `anthropic`.
    pub provider: String,
    /// The provider's name for it.
    pub name: String,
    /// Others that the agent uses when the first does not answer.
    pub fallback: Option<Vec<ModelName>>,
}

/// A model.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ModelName {
    /// Who serves it.
    pub provider: String,
    /// The provider's name for it.
    pub name: String,
}

/// A tool that the agent calls: its name, or more about it.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Tool {
    /// Its name alone.
    Name(String),
    /// More about it.
    Object(ToolObject),
}

/// A tool that the agent calls.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ToolObject {
    /// Its name, unique in the agent.
    pub name: String,
    /// What it does, for the model.
    pub description: Option<String>,
    /// Program and arguments that carry it out.
    #[schemars(length(min = 1))]
    pub command: Option<Vec<Word>>,
    /// What its arguments must be.
    pub input_schema: Option<AnySchema>,
    /// What a call can do to the world.
    pub side_effect: Option<SideEffect>,
}

/// An MCP server: one on stdio has a `command`, another a `url`.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["command"] }, { "required": ["url"] }]))]
pub struct McpServer {
    /// Its name, unique in the agent.
    pub name: String,
    /// Program and arguments of a server on stdio.
    #[schemars(length(min = 1))]
    pub command: Option<Vec<Word>>,
    /// Where a server that is reached over HTTP is.
    #[schemars(regex(pattern = "^https?://."))]
    pub url: Option<String>,
    /// Environment of a server on stdio.
    pub env: Option<BTreeMap<String, Word>>,
}
