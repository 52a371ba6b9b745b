//! `--version`, `--latest` and `--agent`: choice of the agent for a run that repeats another one.

use std::path::PathBuf;

use errand_api::error_code::ErrorCode;
use errand_engine::Engine;
use errand_engine::again::AgentChoice;
use errand_engine::operations::RunOperations as _;
use errand_model::RunId;

use super::{push, submit};
use crate::failure::Failure;
use crate::remote::{Remote, RemoteChoice};

// Choice of the agent that repeats a run; the recorded parcel by default.
#[derive(Debug, Default, clap::Args)]
#[group(id = "agent_choice", multiple = false)]
pub(crate) struct AgentFlags {
    /// With that registered version of the agent; by default with the very parcel of the run
    #[arg(long, value_name = "VERSION")]
    pub(super) version: Option<String>,
    /// With the registered version that is current now
    #[arg(long)]
    pub(super) latest: bool,
    /// With the agent in that folder, or of that agent file
    #[arg(long = "agent", value_name = "PATH")]
    pub(super) path: Option<PathBuf>,
}

impl AgentFlags {
    /// Returns true if a choice is given.
    pub(super) const fn is_given(&self) -> bool {
        self.version.is_some() || self.latest || self.path.is_some()
    }

    /// Returns the choice for a run of the local registry; the agent of a folder is packed.
    pub(super) fn here(&self, engine: &Engine) -> Result<AgentChoice, Failure> {
        if let Some(version) = &self.version {
            return Ok(AgentChoice::Version(version.clone()));
        }
        if let Some(path) = &self.path {
            let (parcel, source) = submit::read_agent(path)?.publish(engine)?;
            return Ok(AgentChoice::Parcel(Box::new(parcel), source));
        }
        Ok(if self.latest { AgentChoice::Latest } else { AgentChoice::Recorded })
    }

    /// Returns the choice for a run on a server; the agent of a folder is registered there.
    pub(super) async fn there(
        &self,
        remote: &Remote,
        run_id: &RunId,
    ) -> Result<RemoteChoice, Failure> {
        let latest = self.latest.then_some(true);
        let Some(path) = &self.path else {
            return Ok(RemoteChoice { version: self.version.clone(), latest });
        };
        let name = remote.record(run_id).await?.agent.name;
        let pushed = push::push(remote, path).await?;
        if pushed.name == name {
            return Ok(RemoteChoice { version: Some(pushed.version), latest });
        }
        let message =
            format!("run {run_id} is of the agent {name}, and {} is another", pushed.name);
        Err(Failure::new(ErrorCode::Usage, message).hint("`errand run` begins a run of that one"))
    }
}
