//! Models, tools and servers that an agent uses.

use errand_model::accounting::SideEffect;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::scalar::{AnySchema, CommandLine, DependencyName, NeededService, Slug, ToolName};

/// The model that an agent uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Provider of the model, such as `anthropic`.
    #[schemars(with = "Slug", extend("examples" = ["anthropic"]))]
    pub provider: String,
    /// The provider's name for it.
    #[schemars(extend("examples" = ["claude-sonnet-4-5"]))]
    pub name: String,
    /// Others that the agent uses, in this order, when the first does not answer.
    #[serde(default)]
    pub fallback: Vec<ModelName>,
}

/// A model without fallbacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelName {
    /// Provider of the model.
    #[schemars(with = "Slug", extend("examples" = ["openai"]))]
    pub provider: String,
    /// The provider's name for it.
    #[schemars(extend("examples" = ["gpt-4o-mini"]))]
    pub name: String,
}

/// A tool that the agent calls: its name, or more about it.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename = "Tool", untagged)]
#[expect(dead_code, reason = "describes what a file may say")]
pub(super) enum ToolForm {
    /// Its name alone.
    Name(ToolName),
    /// More about it.
    Object(Tool),
}

/// A tool that the agent calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ToolObject")]
pub struct Tool {
    /// Its name, unique in the agent.
    #[schemars(with = "Slug", extend("examples" = ["read_file"]))]
    pub name: String,
    /// Description of the tool, for the model.
    #[serde(default)]
    pub description: Option<String>,
    /// Program and arguments that carry it out; empty for a tool that is built in or served.
    #[serde(default)]
    #[schemars(with = "CommandLine")]
    pub command: Vec<String>,
    /// JSON Schema of its arguments.
    #[serde(default)]
    #[schemars(with = "AnySchema")]
    pub input_schema: Option<Value>,
    /// Side effect of a call; unknown if absent, and then treated as the worst.
    #[serde(default)]
    pub side_effect: Option<SideEffect>,
}

/// A service that the agent needs: its name, or more about it.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename = "Dependency", untagged)]
#[expect(dead_code, reason = "describes what a file may say")]
pub(super) enum DependencyForm {
    /// Its name alone.
    Name(DependencyName),
    /// More about it.
    Object(DependencyObject),
}

/// A service of the catalog that the agent needs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what a file may say")]
pub(super) struct DependencyObject {
    /// Name of the service.
    #[schemars(with = "NeededService")]
    service: String,
    /// A port of the agent's container that the service needs to reach, besides those that the
    /// service names.
    #[serde(default)]
    #[schemars(range(min = 1, max = 65535), extend("examples" = [6080]))]
    port: Option<u16>,
}

/// A service that the agent needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    /// Tier of the other agent; only in definitions that an older errand stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Another agent; only in definitions that an older errand stored, which are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Name of the service.
    #[serde(default)]
    pub service: Option<String>,
    /// A port of the agent's container that the service needs to reach.
    #[serde(default)]
    pub port: Option<u16>,
}

impl Dependency {
    /// Returns the service of the catalog; `None` for a service of another agent, which is refused.
    pub fn service_name(&self) -> Option<&str> {
        self.service.as_deref().filter(|_| self.agent.is_none())
    }
}
