//! Rules of policies: lists of names that are allowed, that a person is asked about, and that are
//! denied.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::at::At;
use super::reader::Reader;
use super::scalar::RuleItem;

/// Rules of a policy, by what they are about. Calls that no list is about are allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyRules {
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
    /// Starts of runs, by trigger: `manual`, `webhook`, `schedule` or `upstream`. A person cannot be
    /// asked about them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<RuleLists>,
}

/// Lists of rules. `deny` wins over `ask`, and `ask` over `allow`. With a list `allow`, everything
/// that is in none of the lists is denied; without one, it is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RuleLists {
    /// Allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<RuleItem>")]
    pub allow: Option<Vec<PolicyRule>>,
    /// Allowed if a person approves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<RuleItem>")]
    pub ask: Vec<PolicyRule>,
    /// Denied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<RuleItem>")]
    pub deny: Vec<PolicyRule>,
}

/// A rule: a pattern of names, in which a `*` stands for any characters, and conditions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenRule", into = "WrittenRule")]
pub struct PolicyRule {
    /// Pattern of names.
    pub name: String,
    /// Patterns of values by their paths in the call, such as `arguments.to`: all have to match.
    pub when: BTreeMap<String, Vec<String>>,
    /// Reason, for people.
    pub reason: Option<String>,
}

/// A rule as people write it: the pattern alone, or with conditions.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenRule {
    Name(String),
    Full {
        name: String,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        when: BTreeMap<String, Vec<String>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

impl From<WrittenRule> for PolicyRule {
    fn from(written: WrittenRule) -> Self {
        match written {
            WrittenRule::Name(name) => Self { name, when: BTreeMap::new(), reason: None },
            WrittenRule::Full { name, when, reason } => Self { name, when, reason },
        }
    }
}

impl From<PolicyRule> for WrittenRule {
    fn from(rule: PolicyRule) -> Self {
        let PolicyRule { name, when, reason } = rule;
        if when.is_empty() && reason.is_none() {
            Self::Name(name)
        } else {
            Self::Full { name, when, reason }
        }
    }
}

impl PolicyRules {
    /// Returns true if there is no rule.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reports rules that cannot be followed.
    pub(crate) fn check(&self, reader: &mut Reader, at: &At<'_>) {
        if self.trigger.as_ref().is_some_and(|lists| !lists.ask.is_empty())
            && let Some(at) = at.field("trigger").and_then(|at| at.field("ask"))
        {
            let message = "a person cannot be asked before there is a run";
            reader.report_hint(&at, message, "deny the trigger, or ask in a step of the agent");
        }
    }
}
