//! What became of a plan so far: part of the run's fold.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::RunId;
use crate::event::{AgentUsage, PauseReason};

/// How a coordinated run stands: the fold of its `step.*`, `message.*` and `child.*` events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Coordination {
    /// Children that were started and are not over, by the keys of their steps.
    pub live: BTreeMap<String, LiveChild>,
    /// Children that were started, in all.
    pub started: u32,
    /// Messages that were routed.
    pub messages: u32,
    /// What all children used that are over, by agent.
    pub usage: BTreeMap<String, AgentUsage>,
}

/// A child that is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveChild {
    /// Its run.
    pub run_id: RunId,
    /// Its name in the plan.
    pub name: String,
    /// What it waits for, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<PauseReason>,
}
