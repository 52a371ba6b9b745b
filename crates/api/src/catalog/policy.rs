//! Policies: decisions about the calls of agents.

use errand_model::catalog::CatalogKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::definition::Definition;
use crate::agent_file::PolicyRules;
use crate::agent_file::at::At;
use crate::agent_file::reader::Reader;

/// Decisions about the calls of agents: by rules, by a program in Rego, by an external policy, or by
/// several of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Policy", deny_unknown_fields)]
pub struct PolicyDefinition {
    /// Purpose of the policy, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Effect of its verdicts: `enforce` if left out.
    #[serde(skip_serializing_if = "PolicyMode::is_default")]
    pub mode: PolicyMode,
    /// The rules.
    #[serde(flatten)]
    pub rules: Box<PolicyRules>,
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
        Self { rules: Box::new(rules), ..Self::default() }
    }
}

impl Definition for PolicyDefinition {
    const KIND: CatalogKind = CatalogKind::Policy;

    fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    fn check(&self, reader: &mut Reader, spec: &At<'_>) {
        self.rules.check(reader, spec, self.rego.as_deref());
        if self.rules.is_empty() && self.rego.is_none() {
            let hint = "write tools: { deny: [send_mail] }, or rego: a program, or external:";
            reader.report_hint(spec, "the policy has no rule and no program", hint);
        }
    }
}
