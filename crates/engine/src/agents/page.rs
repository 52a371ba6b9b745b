//! Pages of registered agents.

use errand_store::DocumentKind;

use super::{Error, Version, read};
use crate::{Engine, documents};

/// Returns one page of registered agents or versions, in the order of their keys.
pub(super) async fn page(
    engine: &Engine,
    kind: DocumentKind,
    namespace: Option<&str>,
    (prefix, after): (String, Option<String>),
    limit: u32,
) -> Result<Vec<Version>, Error> {
    let found = documents::page(engine, kind, namespace, (prefix, after), limit).await?;
    found.iter().map(read).collect()
}
