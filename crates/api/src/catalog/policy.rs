//! Policies: decisions about the calls of agents.

use errand_model::catalog::CatalogKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::definition::Definition;
use crate::agent_file::at::At;
use crate::agent_file::reader::Reader;
use crate::agent_file::{PolicyRules, RuleLists};

/// Decisions about the calls of agents: by rules, by a program in Rego, or by both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Policy")]
pub struct PolicyDefinition {
    /// Purpose of the policy, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Effect of its verdicts: `enforce` if left out.
    #[serde(skip_serializing_if = "PolicyMode::is_default")]
    pub mode: PolicyMode,
    /// Calls of tools, by name: `server_tool` or `tool`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<RuleLists>,
    /// Calls of models, by name: `model` or `provider/model`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<RuleLists>,
    /// Messages to other agents, by the name of the receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<RuleLists>,
    /// Artifacts, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<RuleLists>,
    /// Starts of runs, by trigger: `manual`, `webhook`, `schedule` or `upstream`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<RuleLists>,
    /// A program of the package `errand` in Rego (version 1), with a rule `decision`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 262_144))]
    pub rego: Option<String>,
}

/// Effect of a policy's verdicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyMode {
    /// Verdicts are carried out.
    #[default]
    Enforce,
    /// Verdicts are only recorded.
    Shadow,
}

impl PolicyMode {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl PolicyDefinition {
    /// Returns the policy of an agent file's own rules.
    pub fn of_rules(rules: PolicyRules) -> Self {
        let PolicyRules { tools, models, messages, artifacts, trigger } = rules;
        Self { tools, models, messages, artifacts, trigger, ..Self::default() }
    }

    /// Returns the rules.
    pub fn rules(&self) -> PolicyRules {
        PolicyRules {
            tools: self.tools.clone(),
            models: self.models.clone(),
            messages: self.messages.clone(),
            artifacts: self.artifacts.clone(),
            trigger: self.trigger.clone(),
        }
    }
}

impl Definition for PolicyDefinition {
    const KIND: CatalogKind = CatalogKind::Policy;

    fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    fn check(&self, reader: &mut Reader, spec: &At<'_>) {
        let rules = self.rules();
        rules.check(reader, spec);
        if rules.is_empty() && self.rego.is_none() {
            let hint = "write tools: { deny: [send_mail] }, or rego: a program";
            reader.report_hint(spec, "the policy has no rule and no program", hint);
        }
    }
}
