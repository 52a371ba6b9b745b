//! Decisions by rules.

use errand_api::agent_file::{PolicyHook, PolicyRule, PolicyRules, RuleLists};
use errand_model::pattern::matches;
use serde_json::Value;

use crate::call::PolicyCall;
use crate::decision::{PolicyDecision, PolicyVerdict};
use crate::pattern::{at_path, matches_value};

/// Decides about a call by the lists that are about calls of its kind.
pub(crate) fn decide(rules: &PolicyRules, call: &PolicyCall) -> PolicyDecision {
    let lists = match call.hook {
        PolicyHook::AgentTrigger => &rules.trigger,
        PolicyHook::BeforeTool => &rules.tools,
        PolicyHook::BeforeModel => &rules.models,
        PolicyHook::OnMessage => &rules.messages,
        PolicyHook::OnArtifact => &rules.artifacts,
        PolicyHook::AfterTool | PolicyHook::AfterModel | PolicyHook::OnReplay => &None,
    };
    lists.as_ref().map_or(PolicyDecision::ALLOWED, |lists| by_lists(lists, call))
}

/// Returns true if a tool of these names is denied whatever its arguments are: a rule without
/// conditions denies it, or no rule of the list of what is allowed is about it.
pub(crate) fn deny_tool(rules: &PolicyRules, names: &[&str]) -> bool {
    let Some(lists) = &rules.tools else { return false };
    let is_about = |rule: &PolicyRule| names.iter().any(|name| matches(&rule.name, name));
    let denies = lists.deny.iter().any(|rule| rule.when.is_empty() && is_about(rule));
    denies || lists.allow.as_ref().is_some_and(|allowed| !allowed.iter().any(is_about))
}

fn by_lists(lists: &RuleLists, call: &PolicyCall) -> PolicyDecision {
    let find = |rules: &[PolicyRule]| rules.iter().find(|rule| fits(rule, call)).cloned();
    let shown = call.names.first().map_or("", String::as_str);
    let told = |rule: PolicyRule, verb: &str| {
        rule.reason.unwrap_or_else(|| format!("the rule {:?} {verb} {shown:?}", rule.name))
    };
    if let Some(rule) = find(&lists.deny) {
        return PolicyDecision::of(PolicyVerdict::Deny, told(rule, "denies"));
    }
    if let Some(rule) = find(&lists.ask) {
        return PolicyDecision::of(PolicyVerdict::Ask, told(rule, "asks a person about"));
    }
    match &lists.allow {
        Some(allowed) if find(allowed).is_none() => {
            let reason = format!("{shown:?} is not in the list of what is allowed");
            PolicyDecision::of(PolicyVerdict::Deny, reason)
        }
        Some(_) | None => PolicyDecision::ALLOWED,
    }
}

fn fits(rule: &PolicyRule, call: &PolicyCall) -> bool {
    let holds = |(path, patterns): (&String, &Vec<String>)| {
        let value = at_path(call.call(), path).unwrap_or(&Value::Null);
        matches_value(patterns, value)
    };
    call.names.iter().any(|name| matches(&rule.name, name)) && rule.when.iter().all(holds)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(rules: &Value, name: &str, arguments: &Value) -> PolicyDecision {
        let rules: PolicyRules = serde_json::from_value(json!({ "tools": rules })).unwrap();
        let names = vec![format!("mail_{name}"), name.to_owned()];
        let call = json!({ "name": name, "arguments": arguments });
        decide(&rules, &PolicyCall::new(PolicyHook::BeforeTool, names, call, &json!({})))
    }

    #[test]
    fn deny_comes_before_ask_and_ask_before_allow() {
        let rules =
            json!({ "allow": ["send", "read*"], "ask": ["send"], "deny": ["mail_read_all"] });
        let verdict = |name: &str| tool(&rules, name, &json!({})).verdict;
        assert_eq!(verdict("read"), PolicyVerdict::Allow);
        assert_eq!(verdict("read_all"), PolicyVerdict::Deny);
        assert_eq!(verdict("send"), PolicyVerdict::Ask);
        assert_eq!(verdict("delete"), PolicyVerdict::Deny, "in no list");
        let rules = json!({ "deny": ["delete"] });
        assert_eq!(tool(&rules, "send", &json!({})), PolicyDecision::ALLOWED);
    }

    #[test]
    fn conditions_have_to_hold_together() {
        let rules = json!({ "deny": [{
            "name": "send", "when": { "arguments.to": ["*@a.org", "*@b.org"], "arguments.urgent": ["true"] },
            "reason": "no urgent mail outside",
        }] });
        let send =
            |to: &str, urgent: bool| tool(&rules, "send", &json!({ "to": to, "urgent": urgent }));
        assert_eq!(send("x@b.org", true).reason.as_deref(), Some("no urgent mail outside"));
        assert_eq!(send("x@b.org", false).verdict, PolicyVerdict::Allow);
        assert_eq!(send("x@c.org", true).verdict, PolicyVerdict::Allow);
        assert_eq!(
            tool(&rules, "send", &json!({})).verdict,
            PolicyVerdict::Allow,
            "nothing is there"
        );
    }

    #[test]
    fn an_empty_list_of_what_is_allowed_denies_everything() {
        let decided = tool(&json!({ "allow": [] }), "send", &json!({}));
        assert_eq!(decided.verdict, PolicyVerdict::Deny);
        assert_eq!(
            decided.reason.as_deref(),
            Some("\"mail_send\" is not in the list of what is allowed")
        );
    }
}
