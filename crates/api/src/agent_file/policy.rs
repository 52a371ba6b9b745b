//! Rules of policies: lists of names that are allowed, that a person is asked about, and that are
//! denied.

use std::collections::BTreeMap;
use std::time::Duration;

use errand_model::parse_duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::at::At;
use super::egress::EgressPattern;
use super::policy_hook::PolicyHook;
use super::reader::Reader;
use super::scalar::{CommandLine, DurationWord, HttpUrl, RuleItem};

/// Time within which an external policy has to answer if it names none.
const EXTERNAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time that an external policy may name: calls of agents wait for it.
const EXTERNAL_TIMEOUT_LIMIT: Duration = Duration::from_secs(60);

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
    /// Calls of tools of servers with `holds: memory`, by name: `server_tool` or `tool`. Rules about
    /// `tools` count as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<RuleLists>,
    /// Calls of tools of servers with `holds: knowledge`, as those of a memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub knowledge: Option<RuleLists>,
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
    /// Results of tools, by the name of the tool, after the call and before the agent gets them. A
    /// condition such as `result.content.text` looks into them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_results: Option<RuleLists>,
    /// Answers of models, by the name of the model. Answers are held back until their end then. A
    /// condition such as `result.text` looks into them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_answers: Option<RuleLists>,
    /// Replays of runs of the agent, by kind: `strict` or `live`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replays: Option<RuleLists>,
    /// Connections out of a sandbox with `network: gateway`, by host: `*.example.com`, or with a port
    /// `10.1.2.3:5432`. Nothing is reached that no rule allows; a rule without a port allows 80
    /// and 443.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<RuleLists>,
    /// A program or a service that decides: it gets the same input as a program in Rego.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalPolicy>,
    /// Moments at which `rego` and `external` are asked: all but `after_tool` and `after_model` if
    /// left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("uniqueItems" = true))]
    pub hooks: Vec<PolicyHook>,
    /// Time for which a call waits for a person who is asked, before the agent is ended until the
    /// decision: `50s` for calls of tools, `4m` for calls of models if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DurationWord")]
    pub park_after: Option<String>,
}

/// A program, or a service, that gets a call as JSON and answers with
/// `{"decision": …, "reason": …, "modified": …}`. Anything else, an error and no answer in time deny.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["command"] }, { "required": ["url"] }]))]
pub struct ExternalPolicy {
    /// Program and arguments; the call is on its stdin, and the answer is what it prints.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "CommandLine")]
    pub command: Vec<String>,
    /// Address to which the call is posted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HttpUrl")]
    pub url: Option<String>,
    /// Time within which it has to answer, at most `1m`: `5s` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DurationWord")]
    pub timeout: Option<String>,
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
    /// Returns true if nothing is decided.
    pub fn is_empty(&self) -> bool {
        let (hooks, park_after) = (self.hooks.clone(), self.park_after.clone());
        *self == Self { hooks, park_after, ..Self::default() }
    }

    /// Returns the time for which a call waits for a person; `None`: the usual one.
    pub fn park_after(&self) -> Option<Duration> {
        self.park_after.as_deref().and_then(|text| parse_duration(text).ok())
    }

    /// Returns true if a program or an external policy is asked at that moment.
    pub fn asks_at(&self, hook: PolicyHook) -> bool {
        if self.hooks.is_empty() { hook.is_usual() } else { self.hooks.contains(&hook) }
    }

    /// Reports rules that cannot be followed. `program` is that of the policy, if it has one.
    pub(crate) fn check(&self, reader: &mut Reader, at: &At<'_>, program: Option<&str>) {
        if let (Some(external), Some(at)) = (&self.external, at.field("external")) {
            external.check(reader, &at);
        }
        if !self.hooks.is_empty()
            && program.is_none()
            && self.external.is_none()
            && let Some(at) = at.field("hooks")
        {
            let hint = "add rego: a program, or external: { command: […] }, or remove hooks";
            reader.report_hint(&at, "there is nothing that could be asked at these moments", hint);
        }
        if let (Some(lists), Some(at)) = (&self.egress, at.field("egress")) {
            check_hosts(reader, &at, lists);
        }
        let before_run = "a person cannot be asked before there is a run";
        let after_call = "a person cannot be asked about what was received already";
        let (in_step, earlier) =
            ("deny the trigger, or ask in a step of the agent", "deny it, or ask about the call");
        for (name, lists, message, hint) in [
            ("trigger", &self.trigger, before_run, in_step),
            ("replays", &self.replays, before_run, "deny the replay"),
            ("tool_results", &self.tool_results, after_call, earlier),
            ("model_answers", &self.model_answers, after_call, earlier),
        ] {
            if lists.as_ref().is_some_and(|lists| !lists.ask.is_empty())
                && let Some(at) = at.field(name).and_then(|at| at.field("ask"))
            {
                reader.report_hint(&at, message, hint);
            }
        }
    }
}

/// Reports patterns of hosts that cannot be followed.
fn check_hosts(reader: &mut Reader, at: &At<'_>, lists: &RuleLists) {
    let allow = lists.allow.as_deref().unwrap_or_default();
    for (name, rules) in [("allow", allow), ("ask", &lists.ask), ("deny", &lists.deny)] {
        for rule in rules {
            if let Err(problem) = EgressPattern::parse(&rule.name)
                && let Some(at) = at.field(name)
            {
                let message = format!("{:?} is no pattern of hosts", rule.name);
                reader.report_hint(&at, message, problem);
            }
        }
    }
}

impl ExternalPolicy {
    /// Returns the time within which it has to answer.
    pub fn timeout(&self) -> Duration {
        let written = self.timeout.as_deref().and_then(|text| parse_duration(text).ok());
        written.unwrap_or(EXTERNAL_TIMEOUT).min(EXTERNAL_TIMEOUT_LIMIT)
    }

    fn check(&self, reader: &mut Reader, at: &At<'_>) {
        if self.command.is_empty() == self.url.is_none() {
            let hint = "write command: [/opt/policies/decide.py], or url: \
                        https://policies.example/decide";
            reader.report_hint(at, "an external policy has one of command and url", hint);
        }
        let host = self.url.as_deref().and_then(|url| url.split('/').nth(2));
        if host.is_some_and(|host| host.contains('@'))
            && let Some(at) = at.field("url")
        {
            let message = "the URL of a policy has no user and password";
            reader.report_hint(&at, message, "a definition is no place for secrets");
        }
        let written = self.timeout.as_deref().and_then(|text| parse_duration(text).ok());
        if written.is_some_and(|timeout| timeout > EXTERNAL_TIMEOUT_LIMIT)
            && let Some(at) = at.field("timeout")
        {
            let message = "an external policy has to answer within a minute";
            reader.report_hint(&at, message, "write timeout: 1m, or less");
        }
    }
}
