//! Things outside of an agent's folder that its agent file names: registered agents, and definitions
//! of the catalog.

use std::collections::BTreeMap;
use std::path::Path;

use errand_agent::parcel::{self, ParcelPlan};
use errand_api::agent_file::{Agent, FileReference, ProblemKind, Problems, Unknown};
use errand_api::catalog::{CatalogKind, DefinitionName};
use errand_api::error_code::ErrorCode;
use errand_engine::agents;
use errand_engine::brief::BriefParts;
use errand_engine::parts::NamedParts;

use crate::context::Context;
use crate::failure::Failure;
use crate::place::RegistryOrServer;

/// References, each with true if it leads somewhere.
type References = BTreeMap<FileReference, bool>;

/// Finds out which of the references lead somewhere. Without a place, agents may be registered later,
/// and the catalog has nothing.
async fn look_up(
    place: Option<&RegistryOrServer>,
    references: &mut References,
) -> Result<(), Failure> {
    for (reference, is_known) in references {
        let found = match (definition(reference), place) {
            (Some(definition), Some(place)) => place.definition(&definition, None).await.map(drop),
            (Some(_), None) => {
                *is_known = false;
                continue;
            }
            (None, Some(place)) => agent(place, reference).await,
            (None, None) => Ok(()),
        };
        match found {
            Ok(()) => {}
            Err(failure) if is_absent(failure.code()) => *is_known = false,
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

const fn is_absent(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::AgentNotFound | ErrorCode::DefinitionNotFound)
}

/// Returns the definition that a reference names.
fn definition(reference: &FileReference) -> Option<DefinitionName> {
    match reference {
        FileReference::Skill(slug) => Some((CatalogKind::Skill, slug.clone())),
        FileReference::Config(slug) => Some((CatalogKind::Config, slug.clone())),
        FileReference::Definition(kind, name) => Some((*kind, name.clone())),
        FileReference::Agent(_) | FileReference::Program(_) | FileReference::Script(_) => None,
    }
}

async fn agent(place: &RegistryOrServer, reference: &FileReference) -> Result<(), Failure> {
    let FileReference::Agent(reference) = reference else { return Ok(()) };
    match place {
        RegistryOrServer::There(remote) => remote.agent(reference).await.map(drop),
        RegistryOrServer::Here(engine) => {
            let (name, version) = agents::split_reference(reference);
            let found = agents::find(engine, None, name, version).await;
            found.map(drop).map_err(|error| errand_engine::Error::from(error).into())
        }
    }
}

/// Returns the problem of a reference that leads nowhere.
fn known(references: &References, reference: &FileReference) -> Result<(), Unknown> {
    if references.get(reference).copied().unwrap_or(true) {
        return Ok(());
    }
    let (message, hint) = match (reference, definition(reference)) {
        (FileReference::Agent(agent), _) => (
            format!("no agent {agent} is registered"),
            "register it with `errand push`, or name its folder by path".to_owned(),
        ),
        (_, Some((kind, name))) => {
            let word = kind.path_word();
            let places = reference.places().join(", ");
            let (message, here) = if places.is_empty() {
                (format!("the catalog has no {word} {name:?}"), String::new())
            } else {
                let message = format!(
                    "the {word} {name:?} is neither in the agent's folder nor in the catalog"
                );
                (message, format!("create one of {places}, or "))
            };
            (
                message,
                format!(
                    "{here}apply it with `errand apply -f FILE`; `errand get {word}` lists them"
                ),
            )
        }
        (_, None) => return Ok(()),
    };
    Err(Unknown { message, hint: Some(hint), kind: ProblemKind::Invalid })
}

/// Checks an agent file, those that it names by path, and everything that they name elsewhere.
pub(super) async fn check(
    context: &Context,
    path: &Path,
) -> Result<Result<Agent, Vec<Problems>>, Failure> {
    // Agents and definitions are looked up once the files say which are named.
    let mut named = References::new();
    let mut note = |reference: &FileReference| {
        named.insert(reference.clone(), true);
        Ok(())
    };
    let checked = parcel::check(path, &mut note)?;
    if named.is_empty() {
        return Ok(checked);
    }
    look_up(context.place_of_catalog()?.as_ref(), &mut named).await?;
    Ok(parcel::check(path, &mut |reference| known(&named, reference))?)
}

/// Refuses an agent that names a skill or config that is neither in its folder nor in the catalog, or
/// a tier or service that the catalog does not have. Reads nothing if all of them are in its folder.
pub(super) async fn check_plan(context: &Context, plan: &ParcelPlan) -> Result<(), Failure> {
    let mut plans = plan.members().iter().chain([plan]);
    let names_none = |plan: &ParcelPlan| {
        let agent = plan.agent();
        let needs_none = agent.tier.is_none() && agent.dependencies.is_empty();
        needs_none && NamedParts::of_agent(agent).absent(&plan.source().folder).is_empty()
    };
    if plans.all(names_none) {
        return Ok(());
    }
    match check(context, &plan.source().agent_file).await? {
        Ok(_) => Ok(()),
        Err(problems) => Err(Failure::of_files(&problems)),
    }
}

/// Refuses a skill or config that the caller adds and that is neither in the agent's folder nor in the
/// catalog. Reads nothing if the caller adds none.
pub(super) async fn check_added(
    context: &Context,
    plan: &ParcelPlan,
    given: &BriefParts,
) -> Result<(), Failure> {
    let (agent, folder) = (plan.agent(), &plan.source().folder);
    let own = NamedParts::of_agent(agent).absent(folder);
    let mut absent = NamedParts::new(agent, &given.skills, &given.configs).absent(folder);
    absent.retain(|definition| !own.contains(definition));
    if absent.is_empty() {
        return Ok(());
    }
    let place = context.place_of_catalog()?;
    for definition in absent {
        let found = match &place {
            Some(place) => place.definition(&definition, None).await.map(drop),
            None => Err(Failure::new(ErrorCode::DefinitionNotFound, "there is no catalog")),
        };
        match found {
            Ok(()) => {}
            Err(failure) if is_absent(failure.code()) => {
                let word = definition.0.path_word();
                let message = format!(
                    "the {word} {:?} is neither in the agent's folder nor in the catalog",
                    definition.1
                );
                return Err(Failure::new(ErrorCode::BriefAssemblyFailed, message).hint(format!(
                    "apply it with `errand apply -f FILE`; `errand get {word}` lists them"
                )));
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// Returns the failure of an agent file with all of its problems: those with things elsewhere as well.
pub(super) async fn all_problems(context: &Context, path: &Path, failure: Failure) -> Failure {
    if !is_about_the_file(&failure) {
        return failure;
    }
    match check(context, path).await {
        Ok(Err(problems)) => Failure::of_files(&problems),
        Ok(Ok(_)) | Err(_) => failure,
    }
}

/// Returns true for a failure with problems of an agent file.
pub(super) fn is_about_the_file(failure: &Failure) -> bool {
    matches!(failure.code(), ErrorCode::AgentFileInvalid | ErrorCode::AgentUnsupported)
}
