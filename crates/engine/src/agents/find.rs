//! Lookup of a registered agent by name.

use errand_agent::parcel::Parcel;
use errand_api::agent_file::closest;
use errand_store::DocumentKind;
use futures_util::future::BoxFuture;

use super::page::page;
use super::{AgentProblem, Error, Version, read, version_key};
use crate::{Engine, parcels};

/// Most names in a hint: a screen full.
const SUGGESTED: u32 = 50;

/// Splits `name` or `name@version`.
pub fn split_reference(reference: &str) -> (&str, Option<&str>) {
    reference.split_once('@').map_or((reference, None), |(name, version)| (name, Some(version)))
}

/// Returns the version of that name; without `version`, the current one.
///
/// # Errors
///
/// [`AgentProblem::NotFound`].
pub fn find<'a>(
    engine: &'a Engine,
    namespace: Option<&'a str>,
    name: &'a str,
    version: Option<&'a str>,
) -> BoxFuture<'a, Result<Version, Error>> {
    Box::pin(async move {
        let (kind, key) = match version {
            Some(version) => (DocumentKind::AgentVersion, version_key(name, version)),
            None => (DocumentKind::Agent, name.to_owned()),
        };
        match engine.store().document(kind, namespace, &key).await? {
            Some(found) => read(&found),
            None => Err(not_found(engine, namespace, name, version).await?.into()),
        }
    })
}

/// Returns the error for an unknown agent, with a hint at the known ones.
pub(super) fn not_found<'a>(
    engine: &'a Engine,
    namespace: Option<&'a str>,
    name: &'a str,
    version: Option<&'a str>,
) -> BoxFuture<'a, Result<AgentProblem, Error>> {
    Box::pin(async move {
        if let Some(version) = version {
            let known =
                under(engine, namespace, DocumentKind::AgentVersion, &format!("{name}@")).await?;
            if !known.is_empty() {
                let versions: Vec<&str> =
                    known.iter().map(|known| known.version.as_str()).collect();
                let hint = format!("versions of {name}: {}", versions.join(", "));
                return Ok(AgentProblem::NotFound { reference: version_key(name, version), hint });
            }
        }
        let known = under(engine, namespace, DocumentKind::Agent, "").await?;
        let names: Vec<&str> = known.iter().map(|known| known.name.as_str()).collect();
        let hint = match closest(name, names.iter().copied()) {
            Some(meant) => format!("did you mean {meant}?"),
            None if names.is_empty() => "register it with errand push PATH".to_owned(),
            None => format!("registered agents: {}", names.join(", ")),
        };
        let reference = version.map_or_else(|| name.to_owned(), |it| version_key(name, it));
        Ok(AgentProblem::NotFound { reference, hint })
    })
}

async fn under(
    engine: &Engine,
    namespace: Option<&str>,
    kind: DocumentKind,
    prefix: &str,
) -> Result<Vec<Version>, Error> {
    page(engine, kind, namespace, (prefix.to_owned(), None), SUGGESTED).await
}

/// Returns the parcel of a version.
///
/// # Errors
///
/// If the parcel is missing.
pub fn open(engine: &Engine, version: &Version) -> Result<Parcel, Error> {
    Ok(parcels::open(engine, &version.digest)?)
}
