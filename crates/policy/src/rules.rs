//! Decisions by rules.

use std::net::IpAddr;

use errand_api::agent_file::{
    EgressEffect, EgressPattern, PolicyHook, PolicyRule, PolicyRules, RuleLists,
};
use errand_model::pattern::matches;

use crate::call::PolicyCall;
use crate::decision::{PolicyDecision, PolicyVerdict};
use crate::pattern::{at_path, matches_value};

/// Returns the lists that are about calls at a moment.
pub(crate) fn lists_at(rules: &PolicyRules, hook: PolicyHook) -> Option<&RuleLists> {
    match hook {
        PolicyHook::AgentTrigger => rules.trigger.as_ref(),
        PolicyHook::BeforeTool => rules.tools.as_ref(),
        PolicyHook::BeforeModel => rules.models.as_ref(),
        PolicyHook::OnMemory => rules.memory.as_ref(),
        PolicyHook::OnKnowledge => rules.knowledge.as_ref(),
        PolicyHook::OnMessage => rules.messages.as_ref(),
        PolicyHook::OnArtifact => rules.artifacts.as_ref(),
        PolicyHook::AfterTool => rules.tool_results.as_ref(),
        PolicyHook::AfterModel => rules.model_answers.as_ref(),
        PolicyHook::OnReplay => rules.replays.as_ref(),
        PolicyHook::OnEgress => rules.egress.as_ref(),
    }
}

/// Decides about a call by the lists that are about calls of its kind.
pub(crate) fn decide(rules: &PolicyRules, call: &PolicyCall) -> PolicyDecision {
    lists_at(rules, call.hook).map_or(PolicyDecision::ALLOWED, |lists| by_lists(lists, call))
}

/// A rule about tools that is about none of the tools that there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleToolRule {
    /// List of the rule, such as `tools.deny`.
    pub list: String,
    /// Its name, or its pattern of names.
    pub name: String,
    /// The name is a pattern.
    pub is_pattern: bool,
}

/// Returns the rules about tools that are about none of these names.
pub(crate) fn idle_tool_rules(rules: &PolicyRules, names: &[String]) -> Vec<IdleToolRule> {
    let mut idle = Vec::new();
    let of_tools = [
        ("tools", &rules.tools),
        ("tool_results", &rules.tool_results),
        ("memory", &rules.memory),
        ("knowledge", &rules.knowledge),
    ];
    for (kind, lists) in of_tools {
        let Some(lists) = lists else { continue };
        let allow = lists.allow.as_deref().unwrap_or_default();
        for (list, all) in [("allow", allow), ("ask", &lists.ask), ("deny", &lists.deny)] {
            let is_idle = |rule: &&PolicyRule| !names.iter().any(|it| matches(&rule.name, it));
            idle.extend(all.iter().filter(is_idle).map(|rule| IdleToolRule {
                list: format!("{kind}.{list}"),
                name: rule.name.clone(),
                is_pattern: rule.name.contains('*'),
            }));
        }
    }
    idle
}

/// Returns true if a rule has a condition on a member of the call.
pub(crate) fn have_condition_on(lists: &RuleLists, member: &str) -> bool {
    let all = lists.allow.iter().flatten().chain(&lists.ask).chain(&lists.deny);
    let is_on = |path: &String| path.split('.').next() == Some(member);
    all.flat_map(|rule| rule.when.keys()).any(is_on)
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
    let find = |rules: &[PolicyRule], effect: EgressEffect| {
        rules.iter().find(|rule| fits(rule, call, effect)).cloned()
    };
    let shown = call.names.first().map_or("", String::as_str);
    let told = |rule: PolicyRule, verb: &str| {
        rule.reason.unwrap_or_else(|| format!("the rule {:?} {verb} {shown:?}", rule.name))
    };
    if let Some(rule) = find(&lists.deny, EgressEffect::Closes) {
        return PolicyDecision::of(PolicyVerdict::Deny, told(rule, "denies"));
    }
    if let Some(rule) = find(&lists.ask, EgressEffect::Opens) {
        return PolicyDecision::of(PolicyVerdict::Ask, told(rule, "asks a person about"));
    }
    match &lists.allow {
        Some(allowed) if find(allowed, EgressEffect::Opens).is_none() => {
            let reason = format!("{shown:?} is not in the list of what is allowed");
            PolicyDecision::of(PolicyVerdict::Deny, reason)
        }
        Some(_) | None => PolicyDecision::ALLOWED,
    }
}

/// Returns true if a rule allows connections to a host, or asks a person about them.
pub(crate) fn opens(rules: &PolicyRules, host: &str, port: u16) -> bool {
    openers(rules).any(|pattern| pattern.is_about(host, port, EgressEffect::Opens))
}

/// Returns the addresses that rules allow by naming them, not by a pattern.
pub(crate) fn named_addresses(rules: &PolicyRules, port: u16) -> Vec<IpAddr> {
    let named = openers(rules).filter_map(|pattern| {
        let address = pattern.address()?;
        let is_about = pattern.is_about(pattern.host, port, EgressEffect::Opens);
        is_about.then(|| address.to_canonical())
    });
    named.collect()
}

/// Returns the patterns of hosts of rules that allow, or ask.
fn openers(rules: &PolicyRules) -> impl Iterator<Item = EgressPattern<'_>> {
    let lists = rules.egress.iter();
    let all = lists.flat_map(|lists| lists.allow.iter().flatten().chain(&lists.ask));
    all.filter_map(|rule| EgressPattern::parse(&rule.name).ok())
}

fn fits(rule: &PolicyRule, call: &PolicyCall, effect: EgressEffect) -> bool {
    let holds = |(path, patterns): (&String, &Vec<String>)| {
        let found = at_path(call.call(), path);
        found.into_iter().any(|value| matches_value(patterns, value))
    };
    let is_about = match call.hook {
        PolicyHook::OnEgress => {
            let host = call.call()["host"].as_str().unwrap_or_default();
            let port = call.call()["port"].as_u64().and_then(|port| u16::try_from(port).ok());
            EgressPattern::parse(&rule.name)
                .is_ok_and(|it| it.is_about(host, port.unwrap_or_default(), effect))
        }
        PolicyHook::AgentTrigger
        | PolicyHook::BeforeTool
        | PolicyHook::AfterTool
        | PolicyHook::BeforeModel
        | PolicyHook::AfterModel
        | PolicyHook::OnMemory
        | PolicyHook::OnKnowledge
        | PolicyHook::OnMessage
        | PolicyHook::OnArtifact
        | PolicyHook::OnReplay => call.names.iter().any(|name| matches(&rule.name, name)),
    };
    is_about && rule.when.iter().all(holds)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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
