//! Coordinators, their children, and runs that were handed over, in the record.

use errand_model::event::AgentUsage;
use errand_model::plan::Membership;
use errand_model::run::Run;
use errand_model::{Digest, RunId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::usd;
use crate::usage::UsageSums;

/// A run whose steps are runs of other agents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordCoordinator {
    /// `chain`, `fan_out` or `workflow`.
    #[serde(rename = "type")]
    pub pattern: String,
    /// Counts of its children.
    pub children: RecordChildren,
    /// Messages that were routed.
    pub messages: u32,
    /// Agents by name.
    pub agents: Vec<RecordMemberAgent>,
}

/// Counts of a coordinator's children.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordChildren {
    /// Started ones, in all.
    pub started: u32,
    /// Live ones.
    pub live: u32,
    /// Children that are not over and wait for people.
    pub waiting: u32,
    /// Completed ones.
    pub completed: u32,
    /// Failed ones.
    pub failed: u32,
    /// Cancelled ones.
    pub cancelled: u32,
    /// Expected number, if known: not for a workflow, and not before it began.
    pub total: Option<u32>,
}

impl RecordChildren {
    /// Returns the number of ended ones.
    pub const fn ended(&self) -> u32 {
        self.completed.saturating_add(self.failed).saturating_add(self.cancelled)
    }
}

/// An agent that takes part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordMemberAgent {
    /// Its name in the plan.
    pub name: String,
    /// Its name.
    pub agent: String,
    /// Its version.
    pub version: String,
    /// The digest of its parcel, pinned when the coordinator was admitted.
    #[schemars(with = "String")]
    pub digest: Digest,
}

/// Membership of a run in a coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordMember {
    /// The coordinator's run.
    #[schemars(with = "String")]
    pub coordinator: RunId,
    /// The key of the step there.
    pub step: String,
    /// The agent's name in the plan.
    pub name: String,
    /// Number of coordinators above it, from 1.
    pub depth: u32,
}

impl From<&Membership> for RecordMember {
    fn from(member: &Membership) -> Self {
        Self {
            coordinator: member.coordinator.clone(),
            step: member.key.clone(),
            name: member.name.clone(),
            depth: member.depth,
        }
    }
}

/// Successor of a run that was handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordHandoff {
    /// The agent, as the agent file of this one names it.
    pub to: String,
    /// Its run, which begins once this one ended well.
    #[schemars(with = "String")]
    pub run_id: RunId,
    /// Summary of the work done and left.
    pub summary: String,
}

/// Returns the state of a coordinator; `None` for other runs.
pub(super) fn coordinator(run: &Run) -> Option<RecordCoordinator> {
    let (plan, state) = (run.spec.plan.as_deref()?, run.coordination.as_deref()?);
    let agents = plan.agents.iter().map(|(name, agent)| RecordMemberAgent {
        name: name.clone(),
        agent: agent.name.clone(),
        version: agent.version.clone(),
        digest: agent.digest.clone(),
    });
    Some(RecordCoordinator {
        pattern: plan.pattern.word().to_owned(),
        children: RecordChildren {
            started: state.started,
            live: u32::try_from(state.live.len()).unwrap_or(u32::MAX),
            waiting: state.waiting(),
            completed: state.completed,
            failed: state.failed,
            cancelled: state.cancelled,
            total: state.total(plan),
        },
        messages: state.messages,
        agents: agents.collect(),
    })
}

pub(super) fn handoff(run: &Run) -> Option<RecordHandoff> {
    run.handoff.as_deref().map(|handoff| RecordHandoff {
        to: handoff.to.clone(),
        run_id: handoff.run_id.clone(),
        summary: handoff.summary.clone(),
    })
}

/// Returns the usage of ended children of a coordinator, or wakes of a service, by agent, the most
/// expensive first.
pub(super) fn usage_by_agent(run: &Run) -> Vec<UsageSums> {
    let of_children = run.coordination.as_deref().map(|state| &state.usage);
    let of_wakes = || run.service.as_ref().map(|service| &service.usage);
    let Some(usage) = of_children.or_else(of_wakes) else { return Vec::new() };
    let sums = |(agent, used): (&String, &AgentUsage)| UsageSums {
        key: Some(agent.clone()),
        runs: used.runs,
        model_calls: used.model_calls,
        unpriced_calls: used.tokens.unpriced_calls,
        tool_calls: used.tool_calls,
        input_tokens: used.tokens.input_tokens,
        output_tokens: used.tokens.output_tokens,
        cached_tokens: used.tokens.cached_tokens,
        reasoning_tokens: used.tokens.reasoning_tokens,
        cost_micro_usd: used.tokens.cost_micro_usd,
        cost_usd: used.tokens.cost_micro_usd.map(usd),
        wall_time_ms: used.wall_ms,
    };
    let mut all: Vec<UsageSums> = usage.iter().map(sums).collect();
    all.sort_by_key(|sums| std::cmp::Reverse(sums.cost_micro_usd));
    all
}
