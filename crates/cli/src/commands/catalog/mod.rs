//! The catalog: `errand apply`, `get`, `delete` and `diff`.

pub(crate) mod apply;
pub(crate) mod delete;
pub(crate) mod diff;
pub(crate) mod get;
mod lines;
pub(super) mod source;

use std::str::FromStr as _;

use errand_api::catalog::{CatalogKind, DefinitionName};

use crate::context::Context;
use crate::failure::Failure;
use crate::place::RegistryOrServer;
use crate::user::actor;

/// Returns the place of the catalog, which has to exist.
fn place(context: &Context) -> Result<RegistryOrServer, Failure> {
    let place = match context.place_of_catalog()? {
        Some(place) => place,
        None => context.place()?,
    };
    Ok(by_user(context, place))
}

/// Returns the place with the user of this command, whom the audit log names.
fn by_user(context: &Context, place: RegistryOrServer) -> RegistryOrServer {
    match place {
        RegistryOrServer::Here(local) => RegistryOrServer::Here(local.acting_as(actor(context))),
        there @ RegistryOrServer::There(_) => there,
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
