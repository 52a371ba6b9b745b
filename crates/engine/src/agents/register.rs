//! Registration of a version of an agent.

use std::collections::BTreeSet;
use std::path::Path;

use errand_agent::parcel::{self, ParcelPlan};
use errand_api::agent_file::{self, Agent};
use errand_api::audit::{Action, Actor};
use errand_api::catalog::DefinitionName;
use errand_store::{Document, DocumentChange, DocumentKind, DocumentWrite, Expect};
use futures_util::future::BoxFuture;
use serde_json::json;

use super::{AgentProblem, Body, Error, Version, read, version_key};
use crate::error::{MemberError, RunEnding};
use crate::{Engine, audit, catalog, dependencies};

/// Tries of a registration that collides with others of the same agent.
const TRIES: usize = 8;

/// Parameters of a registration.
#[derive(Clone, Debug)]
pub struct Registration<'a> {
    /// Namespace of the agent; `None` for the default namespace.
    pub namespace: Option<&'a str>,
    /// Path or client that it came from, for people.
    pub source: String,
    /// Treatment of a version that is registered with other content.
    pub replace: Replace,
    /// Actor, for the audit log.
    pub by: &'a Actor,
}

/// Treatment of a version that is registered with other content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Refuse.
    No,
    /// Replace the content. Runs that began with the old one keep it.
    Yes,
}

/// Result of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationOutcome {
    /// The version is new.
    Created,
    /// The version has other content now.
    Replaced,
    /// The version was registered already, with this content.
    Same,
}

/// Reads and checks the agent in a folder, and the agents that it names by path; writes nothing.
/// Problems name its file `shown`.
///
/// # Errors
///
/// All problems, as `errand validate` reports them.
pub fn check(folder: &Path, shown: &str) -> Result<ParcelPlan, Error> {
    checked(folder, shown, parcel::plan)
}

/// Checks an uploaded folder, which contains the agents that its agent names by path.
///
/// # Errors
///
/// As [`check`].
pub fn check_sent(folder: &Path, shown: &str) -> Result<ParcelPlan, Error> {
    checked(folder, shown, parcel::plan_sent)
}

fn checked(
    folder: &Path,
    shown: &str,
    plan: fn(&Path) -> Result<ParcelPlan, parcel::Error>,
) -> Result<ParcelPlan, Error> {
    let located = parcel::locate(folder).map_err(|error| {
        let is_missing = matches!(error, parcel::Error::AgentFileMissing { .. });
        if is_missing { parcel::Error::AgentFileMissing { path: shown.into() } } else { error }
    })?;
    // Reports all problems, under the name that the owner knows.
    agent_file::parse_bytes(shown, &located.read()?)
        .map_err(|problems| parcel::Error::AgentFileInvalid { files: vec![problems] })?;
    let here = located.agent_file.display().to_string();
    let plan = plan(folder).map_err(|error| renamed(error, &here, shown))?;
    for member in plan.members() {
        let checked = crate::agent_check::check_agent(member.agent());
        checked.map_err(|error| MemberError::new(&member.agent().name, error))?;
    }
    crate::agent_check::check_agent(plan.agent())?;
    Ok(plan)
}

/// Renames the file in the error to the name that its owner knows.
fn renamed(error: parcel::Error, here: &str, shown: &str) -> parcel::Error {
    let parcel::Error::AgentFileInvalid { mut files } = error else { return error };
    for file in files.iter_mut().filter(|file| file.source_name == here) {
        shown.clone_into(&mut file.source_name);
    }
    parcel::Error::AgentFileInvalid { files }
}

/// Stores the parcel of a checked agent and registers it as the current version.
///
/// # Errors
///
/// [`AgentProblem::Conflict`], or a skill or config that is neither in a folder nor in the catalog;
/// nothing was registered then.
pub fn register<'a>(
    engine: &'a Engine,
    plan: ParcelPlan,
    registration: Registration<'a>,
) -> BoxFuture<'a, Result<(Version, RegistrationOutcome), Error>> {
    Box::pin(async move {
        let found = known(engine, registration.namespace, plan.agent()).await?;
        refuse_other(&registration, &plan, found.as_ref())?;
        let uses = definitions(engine, registration.namespace, &plan).await?;
        let parcel = plan.publish(&engine.registry().parcels())?;
        // A worker elsewhere that runs a coordinator may need a member's parcel, although no run of it
        // is admitted here.
        crate::parcels::share(engine, &parcel)?;
        for _ in 0..TRIES {
            let found = known(engine, registration.namespace, &parcel.agent).await?;
            let before = found.as_ref().map(read).transpose()?;
            let version = Version {
                name: parcel.agent.name.clone(),
                version: parcel.agent.version.clone(),
                digest: parcel.digest.clone(),
                description: parcel.agent.description.clone(),
                registered_at: engine.now(),
                source: registration.source.clone(),
            };
            let outcome = match before {
                Some(before) if before.digest == version.digest => {
                    return Ok((before, RegistrationOutcome::Same));
                }
                Some(before) if registration.replace == Replace::No => {
                    return Err(conflict(&version, before).into());
                }
                Some(_) => RegistrationOutcome::Replaced,
                None => RegistrationOutcome::Created,
            };
            match write(engine, &registration, &version, (found.as_ref(), &uses)).await {
                Ok(()) => return Ok((version, outcome)),
                Err(Error::Store(errand_store::Error::DocumentChanged { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Err(RunEnding.into())
    })
}

/// Returns the definitions of the catalog that an agent and its members use.
async fn definitions(
    engine: &Engine,
    namespace: Option<&str>,
    plan: &ParcelPlan,
) -> Result<Vec<DefinitionName>, Error> {
    let mut uses = BTreeSet::new();
    for plan in plan.members().iter().chain([plan]) {
        let folder = &plan.source().folder;
        uses.extend(catalog::check_names(engine, namespace, plan.agent(), folder).await?);
        uses.extend(dependencies::check_names(engine, namespace, plan.agent()).await?);
    }
    Ok(uses.into_iter().collect())
}

/// Returns the document of that version, if it is registered.
async fn known(
    engine: &Engine,
    namespace: Option<&str>,
    agent: &Agent,
) -> Result<Option<Document>, Error> {
    let key = version_key(&agent.name, &agent.version);
    Ok(engine.store().document(DocumentKind::AgentVersion, namespace, &key).await?)
}

/// Refuses a conflicting version before a parcel is written.
fn refuse_other(
    registration: &Registration<'_>,
    plan: &ParcelPlan,
    found: Option<&Document>,
) -> Result<(), Error> {
    let Some(before) = found.map(read).transpose()? else { return Ok(()) };
    if registration.replace == Replace::Yes || before.digest == *plan.digest() {
        return Ok(());
    }
    let Version { name, version, digest: registered, .. } = before;
    Err(AgentProblem::Conflict { name, version, registered, given: plan.digest().clone() }.into())
}

fn conflict(given: &Version, before: Version) -> AgentProblem {
    let Version { name, version, digest: registered, .. } = before;
    AgentProblem::Conflict { name, version, registered, given: given.digest.clone() }
}

async fn write(
    engine: &Engine,
    registration: &Registration<'_>,
    version: &Version,
    (found, uses): (Option<&Document>, &[DefinitionName]),
) -> Result<(), Error> {
    let key = version_key(&version.name, &version.version);
    let body = Body { uses: catalog::used_by(uses), ..body(version) }.to_json();
    let write = |kind, key: &str, expect| DocumentWrite {
        kind,
        namespace: registration.namespace.map(str::to_owned),
        key: key.to_owned(),
        expect,
        change: DocumentChange::Put { body: body.clone(), due_at: None },
    };
    let expect = found.map_or(Expect::Absent, |found| Expect::Revision(found.revision));
    let deed = audit::AuditedAction {
        namespace: registration.namespace,
        action: Action::AgentRegistered,
        object: &key,
        by: registration.by,
        detail: json!({ "digest": version.digest, "source": version.source }),
    };
    let mut writes = catalog::touched(engine, registration.namespace, uses).await?;
    writes.extend([
        write(DocumentKind::AgentVersion, &key, expect),
        write(DocumentKind::Agent, &version.name, Expect::Anything),
        audit::write(engine, deed)?,
    ]);
    engine.store().write_documents(writes).await?;
    Ok(())
}

/// Returns the stored form of a version.
pub(super) fn body(version: &Version) -> Body {
    Body {
        schema: 1,
        name: version.name.clone(),
        version: version.version.clone(),
        digest: version.digest.clone(),
        description: version.description.clone(),
        registered_at_ms: version.registered_at,
        source: version.source.clone(),
        uses: Vec::new(),
    }
}
