//! From a name to a parcel.

use errand_agent::parcel::Parcel;
use errand_store::DocumentKind;

use super::{Error, Version, read, version_key};
use crate::{Engine, parcels};

/// `name` or `name@version`, taken apart.
pub fn split_reference(reference: &str) -> (&str, Option<&str>) {
    reference.split_once('@').map_or((reference, None), |(name, version)| (name, Some(version)))
}

/// The version of that name; without a version, the current one.
///
/// # Errors
///
/// [`Error::NotFound`].
pub async fn find(
    engine: &Engine,
    namespace: Option<&str>,
    name: &str,
    version: Option<&str>,
) -> Result<Version, Error> {
    let (kind, key) = match version {
        Some(version) => (DocumentKind::AgentVersion, version_key(name, version)),
        None => (DocumentKind::Agent, name.to_owned()),
    };
    let found = engine.store().document(kind, namespace, &key).await?;
    read(&found.ok_or(Error::NotFound { reference: key })?)
}

/// The parcel of a version.
///
/// # Errors
///
/// If it is not there any more.
pub fn open(engine: &Engine, version: &Version) -> Result<Parcel, Error> {
    Ok(parcels::open(engine, &version.digest)?)
}
