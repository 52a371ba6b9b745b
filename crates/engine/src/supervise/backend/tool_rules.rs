//! Rules about tools, compared with the tools that the servers of an attempt offer.

use std::collections::BTreeSet;

use errand_agent::agent_api::CalledTool;
use errand_agent::tool_door::offered_name;
use errand_api::agent_file::closest;
use errand_api::error_code::ErrorCode;
use errand_model::failure::Failure;
use errand_policy::{IdleToolRule, Policy};

use super::AttemptBackend;

impl AttemptBackend {
    /// Returns true if a rule that is enforced names a tool: the agent does not begin before the tools
    /// are listed then. Policies that cannot be read fail each call.
    pub(in crate::supervise) fn names_tools(&self) -> bool {
        self.policies().is_ok_and(crate::policy::RunPolicies::name_tools)
    }

    /// Returns notes about rules that are about none of these tools, or the failure of a run with a
    /// rule that names a tool of its own servers which there is not.
    pub(super) fn idle_tool_rules(&self, tools: &[CalledTool]) -> Result<Vec<String>, Failure> {
        let policies =
            self.policies().map_err(|refusal| Failure::new(refusal.code, refusal.message))?;
        let own = self.own_tools().iter().cloned();
        let listed = tools.iter().flat_map(|tool| [tool.offered.clone(), tool.name.clone()]);
        let names: Vec<String> = listed.chain(own).collect();
        let servers: BTreeSet<&str> = tools.iter().map(|tool| tool.server.as_str()).collect();
        let mut notes = Vec::new();
        for (policy, rule) in policies.idle_tool_rules(&names) {
            let told = told(policy, &rule, &names);
            let is_of_server =
                servers.iter().any(|server| rule.name.starts_with(&offered_name(server, "")));
            let is_meant = policy.is_of_agent_file() || is_of_server;
            if is_meant && !rule.is_pattern && !policy.is_shadow() {
                return Err(Failure::new(ErrorCode::ToolRuleUnknown, told));
            }
            notes.push(told);
        }
        Ok(notes)
    }
}

/// Describes a rule that is about no tool, with the nearest name.
fn told(policy: &Policy, rule: &IdleToolRule, names: &[String]) -> String {
    let IdleToolRule { list, name, is_pattern } = rule;
    let near = closest(name, names.iter().map(String::as_str)).filter(|_| !is_pattern);
    let near = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
    format!(
        "the rule {name:?} in {list} of the policy {} is about no tool of the agent's servers{near}",
        policy.title()
    )
}
