//! Checks of an agent that do not depend on a run of it.

use std::path::Path;

use errand_api::agent_file::Agent;

use crate::{Error, brief, schema};

/// Checks an agent as far as that does not depend on the machine that will run it.
///
/// # Errors
///
/// First problem that was found.
pub(crate) fn check_agent(agent: &Agent, files: &Path) -> Result<(), Error> {
    refuse(&agent.unsupported())?;
    schema::check_schemas(agent)?;
    brief::check(agent, files)
}

/// Refuses an agent that asks for anything in `unsupported`.
pub(crate) fn refuse(unsupported: &[String]) -> Result<(), Error> {
    if unsupported.is_empty() { Ok(()) } else { Err(Error::asking_for(unsupported)) }
}
