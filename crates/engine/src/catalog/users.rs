//! Users of definitions: other definitions, and registered agents.

use errand_api::catalog::DefinitionName;
use errand_model::catalog::CatalogKind;
use errand_store::{DocumentKind, DocumentWrite};

use super::apply::touch;
use super::find::not_found;
use super::stored::{self, StoredDefinition, key_of};
use super::{Error, files};
use crate::{Engine, documents};

/// Documents read at once.
const PAGE: u32 = 500;
/// Users that a refusal names.
const NAMED: usize = 10;

/// Member of a registered agent's document with the keys of the definitions that the agent uses.
const USES: &str = "uses";

/// Returns the first users of a definition, as `kind/name`.
pub(super) async fn of(
    engine: &Engine,
    namespace: Option<&str>,
    definition: &DefinitionName,
) -> Result<Vec<String>, Error> {
    let mut users = Vec::new();
    for filed in files::read(engine, namespace)? {
        if filed.manifest.spec.references().contains(definition) {
            users.push(format!("{} ({})", key_of(&filed.manifest.name()), filed.file));
        }
    }
    for kind in CatalogKind::ALL {
        let mut after = None;
        loop {
            let page = stored::page(engine, namespace, *kind, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            let refers = |it: &&StoredDefinition| {
                it.current.as_ref().is_some_and(|current| current.references.contains(definition))
            };
            users.extend(page.iter().filter(refers).map(|it| key_of(&it.definition())));
        }
    }
    users.extend(agents(engine, namespace, &key_of(definition)).await?);
    users.truncate(NAMED);
    Ok(users)
}

/// Returns the versions of registered agents that use a definition.
async fn agents(
    engine: &Engine,
    namespace: Option<&str>,
    used: &str,
) -> Result<Vec<String>, Error> {
    let (mut users, mut after) = (Vec::new(), None);
    loop {
        let place = (String::new(), after);
        let page =
            documents::page(engine, DocumentKind::AgentVersion, namespace, place, PAGE).await?;
        let Some(last) = page.last() else { return Ok(users) };
        after = Some(last.key.clone());
        for version in &page {
            let uses = version.body.get(USES).and_then(serde_json::Value::as_array);
            if uses.is_some_and(|uses| uses.iter().any(|it| it == used)) {
                users.push(format!("agent/{}", version.key));
            }
        }
    }
}

/// Returns the keys of definitions, for the document of an agent that uses them.
pub(crate) fn used_by(definitions: &[DefinitionName]) -> Vec<String> {
    definitions.iter().map(key_of).collect()
}

/// Returns writes that fail if one of the definitions is deleted meanwhile. Definitions from files
/// have none.
///
/// # Errors
///
/// [`super::CatalogProblem::NotFound`] if one does not exist any more.
pub(crate) async fn touched(
    engine: &Engine,
    namespace: Option<&str>,
    definitions: &[DefinitionName],
) -> Result<Vec<DocumentWrite>, Error> {
    let mut writes = Vec::new();
    for definition in definitions {
        match touch(engine, namespace, definition).await? {
            Some(write) => writes.push(write),
            None if files::find(&files::read(engine, namespace)?, definition).is_some() => {}
            None => return Err(not_found(engine, namespace, definition, None).await?.into()),
        }
    }
    Ok(writes)
}
