//! The policies of a run, and their decision about one call.

use std::net::IpAddr;
use std::time::Duration;

use errand_api::agent_file::PolicyRules;
use errand_api::catalog::{CatalogSpec, PolicyDefinition};
use errand_model::Payload;
use errand_model::catalog::{CatalogKind, CatalogPin};
use errand_model::event::PolicyDecided;
use errand_policy::{IdleToolRule, Policy, PolicyCall, PolicyDecision, PolicyHook, PolicyVerdict};
use serde_json::Value;

use super::error::OWN_RULES;
use super::external::ExternalPolicies;
use super::{Error, PolicyDenied, PolicyInvalid};
use crate::{Engine, catalog};

/// Check of a payload that a policy puts in the place of another one.
pub(crate) type PayloadCheck<'a> = &'a (dyn Fn(&Value) -> Result<(), String> + Send + Sync);

/// Policies of a run, in the order in which they decide.
#[derive(Debug, Default)]
pub(crate) struct RunPolicies {
    policies: Vec<Policy>,
    /// Asks those that are external.
    external: ExternalPolicies,
}

/// Decision of all policies of a run about one call.
#[derive(Clone, Debug)]
pub(crate) struct DecidedCall {
    /// The verdict that is enforced, with the change.
    pub(crate) decision: PolicyDecision,
    /// Policy that gave the verdict.
    pub(crate) policy: String,
    /// Entries of the journal: what each policy said.
    pub(crate) entries: Vec<PolicyDecided>,
    /// Entry of the policy whose change is enforced.
    changed_by: Option<usize>,
}

impl DecidedCall {
    /// Returns the error of a call that is denied.
    pub(crate) fn denied(&self) -> Option<PolicyDenied> {
        let reason =
            || self.decision.reason.clone().unwrap_or_else(|| "no reason given".to_owned());
        (self.decision.verdict == PolicyVerdict::Deny)
            .then(|| PolicyDenied { policy: self.policy.clone(), reason: reason() })
    }
}

impl RunPolicies {
    /// Compiles the rules of an agent file and the policies of the catalog among `pins`.
    ///
    /// # Errors
    ///
    /// If a policy is missing or damaged, or its program is not valid.
    pub(crate) fn of(
        engine: &Engine,
        rules: Option<&PolicyRules>,
        pins: &[CatalogPin],
    ) -> Result<Self, Error> {
        let external = ExternalPolicies::of(engine);
        let mut policies = Vec::new();
        if let Some(rules) = rules {
            external.check_program(OWN_RULES, rules)?;
            let definition = PolicyDefinition::of_rules(rules.clone());
            policies.push(compile(OWN_RULES, None, &definition)?);
        }
        for pin in pins.iter().filter(|pin| pin.kind == CatalogKind::Policy) {
            let manifest = catalog::manifest_of(engine, pins, pin.kind, &pin.name)?;
            if let Some(CatalogSpec::Policy(definition)) = manifest.map(|manifest| manifest.spec) {
                external.check_program(&pin.name, &definition.rules)?;
                policies.push(compile(&pin.name, pin.version, &definition)?);
            }
        }
        Ok(Self { policies, external })
    }

    /// Returns true if one of them decides about calls at a moment.
    pub(crate) fn decide_at(&self, hook: PolicyHook) -> bool {
        self.policies.iter().any(|policy| policy.decides_at(hook))
    }

    /// Returns true if a rule that is enforced allows connections to a host, or asks about them.
    pub(crate) fn open(&self, host: &str, port: u16) -> bool {
        self.enforced().any(|policy| policy.opens(host, port))
    }

    /// Returns the addresses that enforced rules about hosts name exactly.
    pub(crate) fn named_addresses(&self, port: u16) -> Vec<IpAddr> {
        self.enforced().flat_map(|policy| policy.named_addresses(port)).collect()
    }

    fn enforced(&self) -> impl Iterator<Item = &Policy> {
        self.policies.iter().filter(|policy| !policy.is_shadow())
    }

    /// Returns true if a rule that is enforced names a tool, without a pattern.
    pub(crate) fn name_tools(&self) -> bool {
        self.enforced().any(Policy::names_tools)
    }

    /// Returns the rules about tools that are about none of these names, with their policies.
    pub(crate) fn idle_tool_rules(&self, names: &[String]) -> Vec<(&Policy, IdleToolRule)> {
        let of =
            |policy| Policy::idle_tool_rules(policy, names).into_iter().map(move |it| (policy, it));
        self.policies.iter().flat_map(of).collect()
    }

    /// Returns true if one of them looks into requests to models.
    pub(crate) fn see_requests(&self) -> bool {
        self.policies.iter().any(Policy::sees_requests)
    }

    /// Returns the shortest time after which an agent that waits for a person is ended until the
    /// decision, if a policy says one.
    pub(crate) fn park_after(&self) -> Option<Duration> {
        self.enforced().filter_map(Policy::park_after).min()
    }

    /// Returns true if a tool of these names is denied whatever its arguments are.
    pub(crate) fn denies_tool(&self, names: &[&str]) -> bool {
        self.enforced().any(|policy| policy.denies_tool(names))
    }

    /// Decides about a call. Each policy sees the payload as the one before it left it.
    pub(crate) async fn decide(&self, mut call: PolicyCall) -> DecidedCall {
        let mut entries = Vec::new();
        let mut enforced = PolicyDecision::ALLOWED;
        let (mut by, mut changed_by) = (String::new(), None);
        for policy in self.policies.iter().filter(|policy| policy.decides_at(call.hook)) {
            let decided = self.external.decide(policy, &call).await;
            entries.push(entry(policy, &call, &decided));
            if policy.is_shadow() {
                continue;
            }
            if let (Some(member), Some(changed)) = (call.hook.replaces(), &decided.modified) {
                call.input["call"][member] = changed.clone();
                changed_by = Some(entries.len() - 1);
            }
            if decided.verdict > enforced.verdict {
                by = policy.title();
            }
            enforced = enforced.combine(decided);
        }
        DecidedCall { decision: enforced, policy: by, entries, changed_by }
    }
}

impl DecidedCall {
    /// Checks the payload that is to take the place of that of `call`. One that cannot be used denies,
    /// and one that is equal changes nothing.
    pub(crate) fn check_change(
        &mut self,
        hook: PolicyHook,
        call: &Value,
        check: Option<PayloadCheck<'_>>,
    ) {
        let Some(changed) = &self.decision.modified else { return };
        if hook.replaces().and_then(|member| call.get(member)) == Some(changed) {
            self.decision.modified = None;
            return;
        }
        let Some(Err(reason)) = check.map(|check| check(changed)) else { return };
        if let Some(entry) = self.changed_by.and_then(|place| self.entries.get_mut(place)) {
            PolicyVerdict::Deny.as_str().clone_into(&mut entry.enforced);
            entry.labels.clear();
            entry.reason = Some(reason.clone());
            self.policy.clone_from(&entry.policy);
        }
        if self.decision.verdict != PolicyVerdict::Deny {
            self.decision = PolicyDecision::of(PolicyVerdict::Deny, reason);
        }
    }

    /// Adds the call to the entries of the journal, as it was before any change.
    pub(crate) fn note_call(&mut self, call: &Payload) {
        for entry in &mut self.entries {
            entry.call = Some(call.clone());
        }
    }

    /// Masks the reasons: a policy may quote the call.
    pub(crate) fn mask_reasons(&mut self, mask: impl Fn(&str) -> String) {
        let of_entries = self.entries.iter_mut().map(|entry| &mut entry.reason);
        for reason in of_entries.chain([&mut self.decision.reason]).flatten() {
            *reason = mask(reason);
        }
    }

    /// Returns the changed payload, if one is enforced.
    pub(crate) fn changed(&self) -> Option<&Value> {
        self.decision.modified.as_ref()
    }
}

fn compile(
    name: &str,
    version: Option<u64>,
    definition: &PolicyDefinition,
) -> Result<Policy, PolicyInvalid> {
    Policy::compile(name, version, definition)
        .map_err(|error| PolicyInvalid { policy: name.to_owned(), reason: error.to_string() })
}

fn entry(policy: &Policy, call: &PolicyCall, decided: &PolicyDecision) -> PolicyDecided {
    let verdict = decided.verdict.as_str();
    let enforced = if policy.is_shadow() { PolicyVerdict::Allow.as_str() } else { verdict };
    PolicyDecided {
        hook: call.hook.as_str().to_owned(),
        policy: policy.title(),
        verdict: verdict.to_owned(),
        enforced: enforced.to_owned(),
        reason: decided.reason.clone(),
        by: None,
        subject: call.names.first().cloned(),
        call: None,
        obligations: decided.obligations.given.clone(),
        labels: if enforced == PolicyVerdict::Deny.as_str() || policy.is_shadow() {
            Vec::new()
        } else {
            decided.obligations.labels.clone()
        },
    }
}
