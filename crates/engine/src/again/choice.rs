//! Choice of the agent that repeats a run: the recorded one, or one in which a fault is mended.

use std::time::Duration;

use errand_agent::parcel::Parcel;
use errand_model::budget::BudgetLimits;

use super::Error;
use crate::submission::Submission;
use crate::{Engine, agents};

/// The agent of a run that repeats another one.
#[derive(Clone, Debug, Default)]
pub enum AgentChoice {
    /// The parcel of the repeated run.
    #[default]
    Recorded,
    /// The current registered version of the agent of that name.
    Latest,
    /// A registered version of the agent of that name.
    Version(String),
    /// A parcel, and the folder it was built from.
    Parcel(Box<Parcel>, String),
}

impl AgentChoice {
    /// Returns true for the agent of the repeated run.
    pub const fn is_recorded(&self) -> bool {
        matches!(self, Self::Recorded)
    }
}

/// Returns the submission with the chosen agent. Inherited steps stay: a completed step runs again
/// only if the chosen agent uses its key for something else.
///
/// # Errors
///
/// [`agents::AgentProblem::NotFound`] for a version that is not registered; if its parcel is
/// missing.
pub async fn chosen(
    engine: &Engine,
    submission: Submission,
    choice: AgentChoice,
) -> Result<Submission, Error> {
    let namespace = submission.options.namespace.as_deref();
    let name = &submission.parcel.agent.name;
    let version = match choice {
        AgentChoice::Recorded => return Ok(submission),
        AgentChoice::Parcel(parcel, source) => return Ok(with_agent(submission, *parcel, source)),
        AgentChoice::Latest => agents::find(engine, namespace, name, None).await?,
        AgentChoice::Version(version) => {
            agents::find(engine, namespace, name, Some(&version)).await?
        }
    };
    let parcel = agents::open(engine, &version)?;
    Ok(with_agent(submission, parcel, version.source))
}

/// Returns the submission with another agent. Limits that came from the recorded agent are replaced
/// by the other one's.
fn with_agent(mut submission: Submission, parcel: Parcel, source: String) -> Submission {
    let before = &submission.parcel.agent;
    let own: Vec<_> = BudgetLimits::from(&before.budgets).named().collect();
    let (run, queue) = (before.timeouts.run_ms, before.timeouts.queue_ms);
    let options = &mut submission.options;
    options.budgets.retain(|limit| !own.contains(limit));
    let is_own =
        |limit: &Duration, own: Option<u64>| own.map(Duration::from_millis) == Some(*limit);
    options.timeout = options.timeout.filter(|limit| !is_own(limit, run));
    options.queue_timeout = options.queue_timeout.filter(|limit| !is_own(limit, queue));
    Submission { parcel: parcel.into(), source, ..submission }
}
