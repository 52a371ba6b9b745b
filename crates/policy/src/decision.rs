//! Decisions of policies, and the decision of several.

use errand_api::agent_file::PolicyHook;
use serde_json::Value;

use crate::call::PolicyCall;
use crate::obligation::Obligations;

/// Verdict of a policy, the weakest first: of several, the strongest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyVerdict {
    /// The call may be made.
    Allow,
    /// The call may be made with a changed payload.
    Modify,
    /// The call may be made if a person approves.
    Ask,
    /// The call must not be made.
    Deny,
}

impl PolicyVerdict {
    /// Returns the word of journals.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Modify => "modify",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

/// Decision of one policy.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyDecision {
    /// The verdict.
    pub verdict: PolicyVerdict,
    /// Reason, for people.
    pub reason: Option<String>,
    /// The changed payload, for the verdict `modify`, or together with `ask`.
    pub modified: Option<Value>,
    /// Obligations that come with the decision.
    pub obligations: Obligations,
}

impl PolicyDecision {
    /// Nothing is said against the call.
    pub const ALLOWED: Self = Self {
        verdict: PolicyVerdict::Allow,
        reason: None,
        modified: None,
        obligations: Obligations { given: Vec::new(), labels: Vec::new(), redact: Vec::new() },
    };

    /// Returns a verdict with its reason.
    pub fn of(verdict: PolicyVerdict, reason: impl Into<String>) -> Self {
        Self { verdict, reason: Some(reason.into()), ..Self::ALLOWED }
    }

    /// Reads a decision: a word, or an object with `decision`, `reason`, `modified` and `obligations`.
    /// Anything else denies; nothing (`null`) allows.
    pub(crate) fn of_document(value: &Value, hook: PolicyHook) -> Self {
        let word = match value {
            Value::Null => return Self::ALLOWED,
            Value::String(word) => Some(word.as_str()),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                value.get("decision").and_then(Value::as_str)
            }
        };
        let verdict = match word {
            Some("allow" | "not-applicable") => PolicyVerdict::Allow,
            Some("ask" | "requires-approval") => PolicyVerdict::Ask,
            Some("modify") => PolicyVerdict::Modify,
            Some("deny") => PolicyVerdict::Deny,
            Some(_) | None => {
                let reason = "the policy answered with something else than a decision";
                return Self::of(PolicyVerdict::Deny, reason);
            }
        };
        let obligations = match Obligations::of(value.get("obligations").unwrap_or(&Value::Null)) {
            Ok(obligations) => obligations,
            Err(_) if verdict == PolicyVerdict::Deny => Obligations::default(),
            Err(reason) => return Self::of(PolicyVerdict::Deny, reason),
        };
        let reason = value.get("reason").and_then(Value::as_str).map(str::to_owned);
        let modified = value.get("modified").filter(|it| !it.is_null()).cloned();
        if modified.is_some() || verdict == PolicyVerdict::Modify {
            if hook.replaces().is_none() {
                let reason = format!("the policy changes what cannot be changed at {hook}");
                return Self::of(PolicyVerdict::Deny, reason);
            }
            if hook == PolicyHook::AfterTool && !modified.as_ref().is_none_or(is_tool_result) {
                let reason = "the policy puts something in place of a result that is no result of \
                              a tool: `modified` has a list `content`";
                return Self::of(PolicyVerdict::Deny, reason);
            }
            if modified.is_none() {
                let reason = "the policy says modify, and has nothing in `modified`";
                return Self::of(PolicyVerdict::Deny, reason);
            }
        }
        Self { verdict, reason, modified, obligations }
    }

    /// Returns the decision with what it redacts: as a changed payload. One that cannot be redacted
    /// denies.
    #[must_use]
    pub(crate) fn carried_out(self, call: &PolicyCall) -> Self {
        if self.obligations.redact.is_empty() || self.verdict == PolicyVerdict::Deny {
            return self;
        }
        let hook = call.hook;
        let denied = |problem: &str| {
            let reason = format!("the policy obliges errand to redact {problem} at {hook}");
            Self::of(PolicyVerdict::Deny, reason)
        };
        let Some(member) = hook.replaces() else { return denied("what cannot be changed") };
        let current = self.modified.as_ref().or_else(|| call.call().get(member));
        let Some(current) = current.filter(|current| !current.is_null()) else {
            return denied(&format!("{member:?}, which is not known, or no JSON,"));
        };
        let redacted = self.obligations.redacted(current);
        if redacted == *current {
            return self;
        }
        if hook == PolicyHook::AfterTool && !is_tool_result(&redacted) {
            return denied("a part without which the result is none of a tool");
        }
        let verdict = self.verdict.max(PolicyVerdict::Modify);
        Self { verdict, modified: Some(redacted), ..self }
    }

    /// Returns the decision as it can be enforced: a person who cannot be asked denies.
    #[must_use]
    pub(crate) fn enforceable(self, hook: PolicyHook) -> Self {
        if self.verdict != PolicyVerdict::Ask || hook.asks() {
            return self;
        }
        let reason = format!("the policy asks a person, who cannot be asked at {hook}");
        Self::of(PolicyVerdict::Deny, reason)
    }

    /// Returns the decision of two: the stronger verdict with its reason, and the later change.
    #[must_use]
    pub fn combine(self, other: Self) -> Self {
        let modified = other.modified.clone().or_else(|| self.modified.clone());
        let obligations = self.obligations.clone().and(other.obligations.clone());
        let stronger = if other.verdict > self.verdict { other } else { self };
        Self { modified, obligations, ..stronger }
    }
}

/// Returns true if a value is the result of a tool, as the Model Context Protocol has it: an object
/// with a list of typed blocks.
fn is_tool_result(value: &Value) -> bool {
    let is_block = |block: &Value| block.get("type").is_some_and(Value::is_string);
    value.get("content").and_then(Value::as_array).is_some_and(|blocks| blocks.iter().all(is_block))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn deny_wins_over_ask_over_modify_over_allow() {
        let decide = |verdict| PolicyDecision::of(verdict, format!("{verdict:?}"));
        let all =
            [PolicyVerdict::Allow, PolicyVerdict::Modify, PolicyVerdict::Ask, PolicyVerdict::Deny];
        for (place, stronger) in all.iter().enumerate() {
            for weaker in &all[..place] {
                let one = decide(*stronger).combine(decide(*weaker));
                let other = decide(*weaker).combine(decide(*stronger));
                assert_eq!((one.verdict, other.verdict), (*stronger, *stronger));
                assert_eq!(one.reason, Some(format!("{stronger:?}")));
            }
        }
    }

    #[test]
    fn a_change_stays_beside_a_stronger_verdict() {
        let change = PolicyDecision {
            modified: Some(json!(1)),
            ..PolicyDecision::of(PolicyVerdict::Modify, "")
        };
        let asked = change.combine(PolicyDecision::of(PolicyVerdict::Ask, "who?"));
        assert_eq!((asked.verdict, asked.modified), (PolicyVerdict::Ask, Some(json!(1))));
    }
}
