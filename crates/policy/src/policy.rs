//! A policy: its rules, its program, and whether it is enforced.

use errand_api::agent_file::PolicyRules;
use errand_api::catalog::{PolicyDefinition, PolicyMode};

use crate::call::PolicyCall;
use crate::decision::{PolicyDecision, PolicyVerdict};
use crate::rego::{RegoInvalid, RegoProgram};
use crate::rules;

/// Policy of the catalog, or the rules of an agent file.
#[derive(Clone, Debug)]
pub struct Policy {
    name: String,
    version: Option<u64>,
    mode: PolicyMode,
    rules: PolicyRules,
    rego: Option<RegoProgram>,
}

impl Policy {
    /// Compiles a policy. `version` is that of the catalog, if it has one.
    ///
    /// # Errors
    ///
    /// [`RegoInvalid`]: its program is not valid.
    pub fn compile(
        name: &str,
        version: Option<u64>,
        definition: &PolicyDefinition,
    ) -> Result<Self, RegoInvalid> {
        let rego = definition.rego.as_deref().map(|text| RegoProgram::compile(name, text));
        Ok(Self {
            name: name.to_owned(),
            version,
            mode: definition.mode,
            rules: definition.rules(),
            rego: rego.transpose()?,
        })
    }

    /// Returns the name, with the version if there is one: `no-mail@3`.
    pub fn title(&self) -> String {
        match self.version {
            Some(version) => format!("{}@{version}", self.name),
            None => self.name.clone(),
        }
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns true if the verdicts are only recorded.
    pub fn is_shadow(&self) -> bool {
        self.mode == PolicyMode::Shadow
    }

    /// Returns true if the rules deny a tool of these names whatever its arguments are. A program is
    /// not asked: it may decide by arguments.
    pub fn denies_tool(&self, names: &[&str]) -> bool {
        rules::deny_tool(&self.rules, names)
    }

    /// Decides about a call.
    pub fn decide(&self, call: &PolicyCall) -> PolicyDecision {
        let by_rules = rules::decide(&self.rules, call);
        let decided = match &self.rego {
            Some(program) if by_rules.verdict != PolicyVerdict::Deny => {
                by_rules.combine(program.decide(call))
            }
            Some(_) | None => by_rules,
        };
        if decided.verdict == PolicyVerdict::Ask && !call.hook.asks() {
            let reason = format!("the policy asks a person, who cannot be asked at {}", call.hook);
            return PolicyDecision::of(PolicyVerdict::Deny, reason);
        }
        decided
    }
}
