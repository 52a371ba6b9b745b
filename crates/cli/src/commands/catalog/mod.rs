//! The catalog: `errand apply`, `get`, `delete` and `diff`.

pub(crate) mod apply;
pub(crate) mod delete;
pub(crate) mod diff;
pub(crate) mod get;
mod lines;
mod source;

use std::str::FromStr as _;

use errand_api::catalog::{CatalogKind, DefinitionName};

use crate::context::Context;
use crate::failure::Failure;
use crate::place::RegistryOrServer;

/// Returns the place of the catalog, which has to exist.
fn place(context: &Context) -> Result<RegistryOrServer, Failure> {
    match context.place_of_catalog()? {
        Some(place) => Ok(place),
        None => context.place(),
    }
}

/// Parses a kind as people type it.
pub(super) fn kind(text: &str) -> Result<CatalogKind, String> {
    CatalogKind::from_str(text).map_err(|error| error.to_string())
}

/// Returns a definition as `kind/name`.
fn shown((kind, name): &DefinitionName) -> String {
    format!("{}/{name}", kind.path_word())
}
