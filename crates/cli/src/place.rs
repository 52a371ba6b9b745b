//! Place of a command: the registry of this machine, or a server. The output is the same for both.

use std::ops::Deref;

use errand_api::error_code::ErrorCode;
use errand_api::gateway::run_find::FoundRun;
use errand_engine::operations::{LocalOperations, Operations, RunListQuery};
use errand_model::RunId;
use errand_store::Filter;

use crate::context::Context;
use crate::failure::Failure;
use crate::remote::Remote;

/// Shortest part of an id that is accepted if nothing can be undone: a shorter one is more likely a
/// slip.
const STRICT_PART_LEAST: usize = 4;

/// Place where a command is carried out.
#[derive(Debug)]
pub(crate) enum RegistryOrServer {
    /// Registry of this machine.
    Here(LocalOperations),
    /// Server.
    There(Remote),
}

impl Context {
    /// Returns the place of execution: a server, or the local registry.
    pub(crate) fn place(&self) -> Result<RegistryOrServer, Failure> {
        match self.remote()? {
            Some(remote) => Ok(RegistryOrServer::There(remote)),
            None => self.engine().map(LocalOperations::of_user).map(RegistryOrServer::Here),
        }
    }

    /// Returns the place of execution; `None` if there is no registry.
    pub(crate) fn place_if_any(&self) -> Result<Option<RegistryOrServer>, Failure> {
        match self.remote()? {
            Some(remote) => Ok(Some(RegistryOrServer::There(remote))),
            None if self.registry().is_none() => Ok(None),
            None => {
                self.engine().map(LocalOperations::of_user).map(RegistryOrServer::Here).map(Some)
            }
        }
    }

    /// Returns the place of the catalog; `None` if there is no registry. A repository may have
    /// definitions in files and no database yet, which is made then.
    pub(crate) fn place_of_catalog(&self) -> Result<Option<RegistryOrServer>, Failure> {
        match self.place_if_any() {
            Err(failure) if failure.code() == ErrorCode::RegistryNotFound => {
                let has_files = self.registry().is_some_and(|registry| registry.catalog().is_dir());
                if has_files { self.place_or_create().map(Some) } else { Ok(None) }
            }
            place => place,
        }
    }

    /// Returns the place as [`Context::place`], and makes a registry if there is none.
    pub(crate) fn place_or_create(&self) -> Result<RegistryOrServer, Failure> {
        match self.remote()? {
            Some(remote) => Ok(RegistryOrServer::There(remote)),
            None => {
                self.engine_or_create().map(LocalOperations::of_user).map(RegistryOrServer::Here)
            }
        }
    }
}

impl RegistryOrServer {
    /// Returns the run that `text` names: a whole id, any unique part of one, or a name.
    ///
    /// Of several runs of that name, the live one is meant, or else the newest.
    pub(crate) async fn resolve(&self, context: &Context, text: &str) -> Result<RunId, Failure> {
        let found = self.find_runs(text).await?;
        if found.is_empty() {
            return Err(self.not_found(text).await);
        }
        if let Some(meant) = one_of_name(&found, text) {
            let note = format!("several runs have the name {text:?}; {meant} is meant");
            context.printer.note(&note);
            return Ok(meant);
        }
        only(&found, text)
    }

    /// Returns the runs that `texts` name, in that order.
    pub(crate) async fn resolve_all(
        &self,
        context: &Context,
        texts: &[String],
    ) -> Result<Vec<RunId>, Failure> {
        let mut ids = Vec::new();
        for text in texts {
            ids.push(self.resolve(context, text).await?);
        }
        Ok(ids)
    }

    /// Returns the only run that `text` can name: for commands that cannot be undone.
    pub(crate) async fn resolve_strictly(&self, text: &str) -> Result<RunId, Failure> {
        let run_id = only(&self.find_runs(text).await?, text)?;
        if text.len() >= STRICT_PART_LEAST || run_id.as_str() == text {
            return Ok(run_id);
        }
        if self.record(&run_id).await?.name.as_deref() == Some(text) {
            return Ok(run_id);
        }
        let message = format!("{text:?} is too short a part of an id for what cannot be undone");
        Err(Failure::new(ErrorCode::RunAmbiguous, message)
            .hint(format!("it fits {run_id} alone: say at least {STRICT_PART_LEAST} characters")))
    }

    /// Returns the failure for a word that names no run; with a hint if it names an agent.
    async fn not_found(&self, text: &str) -> Failure {
        let failure =
            Failure::new(ErrorCode::RunNotFound, format!("no run has the id or name {text:?}"));
        match self.last_run_of(text).await {
            Ok(Some(last)) => failure
                .hint(format!("{text:?} is an agent; its last run is {last}: name that instead")),
            // The failure stands, even if the search for a hint fails.
            Ok(None) | Err(_) => failure.hint("`errand ps -a` lists all runs"),
        }
    }

    /// Returns the newest run of the agent of that name.
    async fn last_run_of(&self, agent: &str) -> Result<Option<RunId>, Failure> {
        let query = RunListQuery {
            filter: Filter { agent: Some(agent.to_owned()), ..Filter::default() },
            with_children: true,
            since: None,
            after: None,
            limit: 1,
        };
        Ok(self.list_runs(&query).await?.runs.into_iter().next().map(|record| record.run_id))
    }
}

impl Deref for RegistryOrServer {
    type Target = dyn Operations<Failure>;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Here(local) => local,
            Self::There(remote) => remote,
        }
    }
}

fn only(found: &[FoundRun], text: &str) -> Result<RunId, Failure> {
    match found {
        [one] => Ok(one.run_id.clone()),
        [] => {
            Err(Failure::new(ErrorCode::RunNotFound, format!("no run has the id or name {text:?}"))
                .hint("`errand ps -a` lists all runs"))
        }
        several => {
            let ids: Vec<_> = several.iter().map(|found| format!("  {}", found.run_id)).collect();
            let message = format!("{text:?} fits several runs:\n{}", ids.join("\n"));
            Err(Failure::new(ErrorCode::RunAmbiguous, message)
                .hint("use more of the id: any part that is in only one of them"))
        }
    }
}

/// Returns the run that is meant among several with the name `text`, newest first: the live one, or
/// else the newest; `None` if several live.
fn one_of_name(found: &[FoundRun], text: &str) -> Option<RunId> {
    let is_named = |found: &FoundRun| found.name.as_deref() == Some(text);
    if found.len() < 2 || !found.iter().all(is_named) {
        return None;
    }
    let mut live = found.iter().filter(|found| found.is_live);
    match (live.next(), live.next()) {
        (Some(_), Some(_)) => None,
        (Some(one), None) => Some(one.run_id.clone()),
        (None, _) => found.first().map(|newest| newest.run_id.clone()),
    }
}
