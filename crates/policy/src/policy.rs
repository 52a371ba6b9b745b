//! A policy: its rules, its program, and whether it is enforced.

use std::net::IpAddr;
use std::time::Duration;

use errand_api::agent_file::{ExternalPolicy, PolicyHook, PolicyRules, RuleLists};
use errand_api::catalog::{PolicyDefinition, PolicyMode};
use serde_json::Value;

use crate::call::PolicyCall;
use crate::decision::{PolicyDecision, PolicyVerdict};
use crate::rego::{RegoInvalid, RegoProgram};
use crate::rules::{self, IdleToolRule};

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
    /// Name of the rules of an agent file, which are no policy of the catalog: it has no such version.
    pub const OF_AGENT_FILE: &str = "agent-file";

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
            rules: definition.rules.as_ref().clone(),
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

    /// Returns true for the rules of an agent file.
    pub fn is_of_agent_file(&self) -> bool {
        self.name == Self::OF_AGENT_FILE
    }

    /// Returns the rules about tools that are about none of these names.
    pub fn idle_tool_rules(&self, names: &[String]) -> Vec<IdleToolRule> {
        rules::idle_tool_rules(&self.rules, names)
    }

    /// Returns true if a rule about tools names one, without a pattern.
    pub fn names_tools(&self) -> bool {
        // No name is that of a tool that there is.
        self.idle_tool_rules(&[]).iter().any(|rule| !rule.is_pattern)
    }

    /// Returns true if the policy decides about calls at a moment: it has rules about them, or its
    /// program is asked then.
    pub fn decides_at(&self, hook: PolicyHook) -> bool {
        rules::lists_at(&self.rules, hook).is_some() || self.asks_program_at(hook)
    }

    /// Returns true if the policy looks into requests to models: its program sees them, a rule has a
    /// condition on them, or a person has to read them.
    pub fn sees_requests(&self) -> bool {
        let lists = rules::lists_at(&self.rules, PolicyHook::BeforeModel);
        let reads =
            |lists: &RuleLists| !lists.ask.is_empty() || rules::have_condition_on(lists, "request");
        self.asks_program_at(PolicyHook::BeforeModel) || lists.is_some_and(reads)
    }

    fn asks_program_at(&self, hook: PolicyHook) -> bool {
        let has_program = self.rego.is_some() || self.rules.external.is_some();
        has_program && self.rules.asks_at(hook)
    }

    /// Returns the time for which a call waits for a person, before its agent is ended until the
    /// decision; `None`: the usual one.
    pub fn park_after(&self) -> Option<Duration> {
        self.rules.park_after()
    }

    /// Returns the external policy that is to be asked after a decision of [`Policy::decide`]: none if
    /// the call is denied already, or the policy is not asked at such a moment.
    pub fn external(&self, call: &PolicyCall, decided: &PolicyDecision) -> Option<&ExternalPolicy> {
        let asks = decided.verdict != PolicyVerdict::Deny && self.rules.asks_at(call.hook);
        self.rules.external.as_ref().filter(|_| asks)
    }

    /// Returns true if a rule allows connections to a host, or asks a person about them: nothing else
    /// opens a host to an agent.
    pub fn opens(&self, host: &str, port: u16) -> bool {
        rules::opens(&self.rules, host, port)
    }

    /// Returns the addresses that rules about hosts name exactly, for a port.
    pub fn named_addresses(&self, port: u16) -> Vec<IpAddr> {
        rules::named_addresses(&self.rules, port)
    }

    /// Decides about a call by rules and by the program; [`Policy::external`] has what remains to be
    /// asked.
    pub fn decide(&self, call: &PolicyCall) -> PolicyDecision {
        let by_rules = rules::decide(&self.rules, call);
        let asks = by_rules.verdict != PolicyVerdict::Deny && self.rules.asks_at(call.hook);
        let decided = match &self.rego {
            Some(program) if asks => by_rules.combine(program.decide(call)),
            Some(_) | None => by_rules,
        };
        decided.carried_out(call).enforceable(call.hook)
    }

    /// Returns a decision together with the answer of the external policy. `Err` has the reason for
    /// which there is no answer, and denies.
    pub fn with_answer(
        call: &PolicyCall,
        decided: PolicyDecision,
        answer: Result<&Value, String>,
    ) -> PolicyDecision {
        let answered = match answer {
            Ok(answer @ Value::Object(_)) => PolicyDecision::of_document(answer, call.hook),
            Ok(_) => {
                let reason = "the external policy answered with something else than an object";
                PolicyDecision::of(PolicyVerdict::Deny, reason)
            }
            Err(reason) => PolicyDecision::of(
                PolicyVerdict::Deny,
                format!("the external policy gave no answer: {reason}"),
            ),
        };
        decided.combine(answered).carried_out(call).enforceable(call.hook)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(rules: Value) -> Policy {
        let rules = serde_json::from_value(rules).unwrap();
        Policy::compile("p", None, &PolicyDefinition::of_rules(rules)).unwrap()
    }

    fn call(hook: PolicyHook) -> PolicyCall {
        PolicyCall::new(hook, vec!["x".to_owned()], json!({ "name": "x" }), &json!({}))
    }

    #[test]
    fn an_answer_that_is_no_decision_denies() {
        let before_tool = call(PolicyHook::BeforeTool);
        let verdict = |answer: Result<&Value, String>| {
            Policy::with_answer(&before_tool, PolicyDecision::ALLOWED, answer).verdict
        };
        let allow = json!({ "decision": "allow" });
        assert_eq!(verdict(Ok(&allow)), PolicyVerdict::Allow);
        for answer in [json!(null), json!("allow"), json!({}), json!({ "decision": "perhaps" })] {
            assert_eq!(verdict(Ok(&answer)), PolicyVerdict::Deny, "{answer}");
        }
        assert_eq!(verdict(Err("no answer".to_owned())), PolicyVerdict::Deny);
        let asked = json!({ "decision": "ask" });
        assert_eq!(verdict(Ok(&asked)), PolicyVerdict::Ask);
        let trigger = call(PolicyHook::AgentTrigger);
        let decided = Policy::with_answer(&trigger, PolicyDecision::ALLOWED, Ok(&asked));
        assert_eq!(decided.verdict, PolicyVerdict::Deny);
    }

    #[test]
    fn an_external_policy_is_asked_at_its_moments_unless_a_rule_denies() {
        let asks = |rules: Value, hook| {
            let (policy, call) = (policy(rules), call(hook));
            policy.external(&call, &policy.decide(&call)).is_some()
        };
        let external = json!({ "command": ["decide"] });
        assert!(asks(json!({ "external": external }), PolicyHook::BeforeTool));
        assert!(!asks(json!({ "external": external }), PolicyHook::AfterTool));
        let named = json!({ "external": external, "hooks": ["after_tool"] });
        assert!(asks(named.clone(), PolicyHook::AfterTool));
        assert!(!asks(named, PolicyHook::BeforeTool));
        let denied = json!({ "external": external, "tools": { "deny": ["x"] } });
        assert!(!asks(denied, PolicyHook::BeforeTool));
    }
}
