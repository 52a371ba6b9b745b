//! Checks of an agent that do not depend on a run of it.

use errand_api::agent_file::Agent;

use crate::error::{AgentUnsupported, operation_error};
use crate::schema::{self, SchemaProblem};

operation_error! {
    /// Error: the agent cannot be run by this version.
    pub enum Error {
        /// The agent cannot be run by this version.
        Unsupported(AgentUnsupported),
        /// A schema is malformed, or the input does not match it.
        Schema(SchemaProblem),
    }
}

/// Checks an agent as far as that does not depend on the machine that will run it.
///
/// # Errors
///
/// First problem that was found.
pub(crate) fn check_agent(agent: &Agent) -> Result<(), Error> {
    refuse(&agent.unsupported())?;
    Ok(schema::check_schemas(agent)?)
}

/// Refuses an agent that asks for anything in `unsupported`.
pub(crate) fn refuse(unsupported: &[String]) -> Result<(), AgentUnsupported> {
    if unsupported.is_empty() { Ok(()) } else { Err(AgentUnsupported::asking_for(unsupported)) }
}
