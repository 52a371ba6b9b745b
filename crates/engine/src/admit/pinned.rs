//! Agents that an agent file names, as they are pinned in a run: by their digests.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use errand_api::agent_file::Member;
use errand_model::catalog::{CatalogKind, CatalogPin};
use errand_model::coordination::DEPTH_LIMIT;
use errand_model::event::{AgentRef, RunCreated};
use errand_model::placement::Placement;
use errand_model::plan::Plan;
use errand_model::{Digest, RunId};
use futures_util::future::BoxFuture;

use super::Error;
use crate::admit::NestedTooDeep;
use crate::error::MemberError;
use crate::family::FAMILY;
use crate::parts::NamedParts;
use crate::submission::Submission;
use crate::{Engine, agents, catalog, parcels};

/// Agents that a run pins besides its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    /// Plan of a coordinator: its agents, and the pattern of their cooperation.
    pub(super) plan: Option<Box<Plan>>,
    /// Agents that the run may be handed over to, by their names in the agent file.
    pub(super) handoffs: BTreeMap<String, AgentRef>,
}

/// Finds each agent that the agent file names: by the digest that its parcel was built with, or, if
/// registered, in the run's namespace.
///
/// # Errors
///
/// [`Error::Member`] if an agent does not exist; [`super::NestedTooDeep`].
pub(super) fn resolve<'a>(
    engine: &'a Engine,
    submission: &'a Submission,
) -> BoxFuture<'a, Result<Parts, Error>> {
    Box::pin(async move {
        let agent = &submission.parcel.agent;
        let depth = submission.member.as_ref().map_or(0, |member| member.depth);
        // Its children would be one level deeper.
        let is_too_deep = depth >= DEPTH_LIMIT && agent.coordinator.is_some();
        if depth > DEPTH_LIMIT || is_too_deep {
            return Err(NestedTooDeep { agent: agent.name.clone() }.into());
        }
        let mut parts = Parts::default();
        if let Some(coordinator) = &agent.coordinator {
            let agents = Box::pin(pin(engine, submission, &coordinator.agents)).await?;
            parts.plan = Some(Box::new(Plan { agents, pattern: coordinator.pattern.clone() }));
        }
        if !agent.handoffs.is_empty() {
            parts.handoffs = Box::pin(pin(engine, submission, &agent.handoffs)).await?;
        }
        Ok(parts)
    })
}

/// Returns the definitions of the catalog that the run uses: those of the run that it repeats, for a
/// replay, else the current ones.
///
/// # Errors
///
/// If a skill or config exists neither in the parcel nor in the catalog.
pub(super) fn definitions<'a>(
    engine: &'a Engine,
    submission: &'a Submission,
) -> BoxFuture<'a, Result<Vec<CatalogPin>, Error>> {
    Box::pin(async move {
        let agent = &submission.parcel.agent;
        let given = &submission.options.brief;
        let named = NamedParts::new(agent, &given.skills, &given.configs);
        if named.is_empty() {
            return Ok(Vec::new());
        }
        if let (Some(_), Some(origin)) = (&submission.lineage.replay, &submission.origin)
            && let Some(stored) = engine.store().load(origin).await?
            && stored.run.spec.agent.digest == submission.parcel.digest
        {
            let mut pins = stored.run.spec.catalog.clone();
            // Tier and services are those of today.
            pins.retain(|pin| matches!(pin.kind, CatalogKind::Skill | CatalogKind::Config));
            return Ok(pins);
        }
        let namespace = submission.options.namespace.as_deref();
        let folder = submission.parcel.files_path();
        Ok(catalog::pin(engine, namespace, (&agent.name, named), &folder).await?)
    })
}

/// Puts the pinned agents into the first event of a run. A coordinator without a placement by its
/// caller is carried out by a worker of its own.
pub(super) fn take_part(id: &RunId, created: &mut RunCreated, parts: Parts) {
    let Parts { plan, handoffs } = parts;
    created.handoffs = handoffs;
    created.plan = plan;
    if created.plan.is_some() && created.placement.is_none() {
        let mut placement = Placement::default();
        placement.demands.affinity.insert(FAMILY.to_owned(), id.to_string());
        created.placement = Some(placement);
    }
}

async fn pin(
    engine: &Engine,
    submission: &Submission,
    members: &BTreeMap<String, Member>,
) -> Result<BTreeMap<String, AgentRef>, Error> {
    // Often one agent has many names.
    let mut known: BTreeMap<&str, AgentRef> = BTreeMap::new();
    let mut pinned = BTreeMap::new();
    for (name, member) in members {
        let found = match known.get(member.agent.as_str()) {
            Some(found) => found.clone(),
            None => Box::pin(find(engine, submission, member))
                .await
                .map_err(|error| MemberError::new(&member.agent, error))?,
        };
        known.insert(&member.agent, found.clone());
        pinned.insert(name.clone(), found);
    }
    Ok(pinned)
}

async fn find(
    engine: &Engine,
    submission: &Submission,
    member: &Member,
) -> Result<AgentRef, Error> {
    if let Some(digest) = &member.digest {
        return of_parcel(engine, digest, source(&submission.source, &member.agent));
    }
    let (name, version) = agents::split_reference(&member.agent);
    let namespace = submission.options.namespace.as_deref();
    let found = agents::find(engine, namespace, name, version).await?;
    // Opening the parcel now reports a missing one before the run exists.
    of_parcel(engine, &found.digest, found.source)
}

fn of_parcel(engine: &Engine, digest: &Digest, path: String) -> Result<AgentRef, Error> {
    let parcel = parcels::open(engine, digest)?;
    let (name, version) = (parcel.agent.name, parcel.agent.version);
    Ok(AgentRef { name, version, digest: parcel.digest, path })
}

/// Returns the place that a member was built from, for people.
fn source(of: &str, member: &str) -> String {
    let of = Path::new(of);
    if !of.is_absolute() {
        return format!("{member} of {}", of.display());
    }
    let is_file = of.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let folder = if is_file { of.parent().unwrap_or(of) } else { of };
    let mut path = PathBuf::new();
    for part in folder.join(member).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::CurDir => {}
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => path.push(part),
        }
    }
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::source;

    #[test]
    fn a_member_comes_from_beside_the_agent_that_names_it() {
        assert_eq!(source("/a/team", "../researcher"), "/a/researcher");
        assert_eq!(source("/a/team/agent.yaml", "./b/c.yaml"), "/a/team/b/c.yaml");
        assert_eq!(source("pushed from host", "../x"), "../x of pushed from host");
    }
}
