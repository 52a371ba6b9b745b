//! Lists of registered agents.

use errand_store::DocumentKind;

use super::page::page;
use super::{Error, Version, find};
use crate::Engine;

/// Lists the current versions of all agents of a namespace by name: those after the name `after`,
/// at most `limit`.
///
/// # Errors
///
/// If the registry fails.
pub async fn list(
    engine: &Engine,
    namespace: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Version>, Error> {
    let after = after.map(str::to_owned);
    page(engine, DocumentKind::Agent, namespace, (String::new(), after), limit).await
}

/// Lists all versions of an agent by version: those after the version `after`, at most `limit`.
///
/// # Errors
///
/// [`super::AgentProblem::NotFound`] if there is no such agent.
pub async fn versions(
    engine: &Engine,
    namespace: Option<&str>,
    name: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Version>, Error> {
    current(engine, namespace, name).await?;
    let after = after.map(|version| super::version_key(name, version));
    let prefix = format!("{name}@");
    page(engine, DocumentKind::AgentVersion, namespace, (prefix, after), limit).await
}

/// Returns the current version of an agent.
///
/// # Errors
///
/// [`super::AgentProblem::NotFound`].
pub async fn current(
    engine: &Engine,
    namespace: Option<&str>,
    name: &str,
) -> Result<Version, Error> {
    find(engine, namespace, name, None).await
}
